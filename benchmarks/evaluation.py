"""Evaluate dictionaries of three seeds beside baselines and a random encoder.

Run ``python benchmarks/evaluation.py --data FILE.h5ad --encoder scvi:DIR --name NAME --labels cell_type``, or
``--encoder scvi`` to fit one. The entry ``evaluation`` of ``docs/benchmarks/results.json`` keeps one table
per `--name`; `--out` keeps the whole evaluation.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import anndata as ad

import conceptome as cm

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"


def encoder_of(adata: ad.AnnData, args: argparse.Namespace) -> cm.core.Encoder:
    if ":" in args.encoder:
        return cm.encoders.from_spec(args.encoder, adata)
    options = None if args.epochs is None else cm.encoders.ScviOptions(max_epochs=args.epochs)
    return cm.encoders.fit(args.encoder, adata, batch_key=args.batch, seed=0, options=options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", required=True, help="such as scvi, or scvi:DIR")
    parser.add_argument("--epochs", type=int, help="of an scvi that is fitted")
    parser.add_argument("--name", required=True, help="what the results are called")
    parser.add_argument("--labels", nargs="+", required=True)
    parser.add_argument("--batch")
    parser.add_argument("--donor")
    parser.add_argument("--gene-sets", nargs="*", default=[], help="GMT files")
    parser.add_argument("--units", type=int, default=128, help="units of a dictionary whose genes are tested")
    parser.add_argument("--out", type=Path, help="file for the whole evaluation")
    args = parser.parse_args()

    adata = ad.read_h5ad(args.data)
    adata.var_names_make_unique()
    encoder = encoder_of(adata, args)
    embeddings = encoder.embed(adata)
    start = time.process_time()
    donors = None if args.donor is None else adata.obs[args.donor].astype(str).tolist()
    dictionary = cm.dictionaries.train(embeddings, seed=0, groups=donors)
    labels, no_phase = list(args.labels), ""
    try:
        adata.obs["phase"] = cm.evaluation.cell_cycle_phase(adata)
        labels.append("phase")
    except cm.core.InputError as error:
        no_phase = str(error)
    found = cm.evaluation.evaluate(
        adata,
        encoder,
        dictionary,
        label_keys=labels,
        embeddings=embeddings,
        group_key=args.donor,
        batch_key=args.batch,
        n_seeds=3,
        gene_tests=cm.evaluation.GeneTests(
            gene_sets=tuple(cm.enrichment.load_gene_sets(path) for path in args.gene_sets),
            n_units=args.units,
        ),
    )
    seconds = time.process_time() - start
    if args.out:
        cm.evaluation.write_evaluation(found, args.out)
    measures = found.measures[found.measures["label"] == ""]
    table: dict[str, dict[str, list[float | None]]] = {}
    for row in measures.to_dict("records"):
        name = " ".join(filter(None, (row["metric"], row["label_key"])))
        numbers = [None if row[key] != row[key] else round(row[key], 4) for key in ("value", "sd")]
        table.setdefault(name, {})[row["dictionary"]] = numbers
    verdicts = cm.evaluation.judge(found, sides=[key for key in (args.batch, args.donor) if key])
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results.setdefault("evaluation", {})[args.name] = {
        "encoder": encoder.name,
        "n_cells": adata.n_obs,
        "n_genes": adata.n_vars,
        "n_concepts": dictionary.n_concepts,
        "seeds": list(found.seeds),
        "processor_seconds": round(seconds, 1),
        "missing": {**found.missing, **({"phase": no_phase} if no_phase else {})},
        "mean_and_sd": table,
        "evidence": {
            " ".join(filter(None, (row["metric"], row["label_key"]))): row["evidence"]
            for row in verdicts.to_dict("records")
        },
    }
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    print(measures.round(3).to_string())
    print(f"{seconds:.0f} s of processor time")


if __name__ == "__main__":
    main()
