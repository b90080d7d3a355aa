"""Compare the dictionaries of two datasets on one scVI: concepts that return, and neurons beside them.

Run ``python benchmarks/two_datasets.py --a pbmc3k_10x_raw.h5ad --b kang2018_ctrl_5donors_2511genes_raw.h5ad
--gene-sets FILE.gmt --out DIR``. One scVI is fitted on the genes that both have (batch = dataset), and
``conceptome run`` trains a dictionary on each dataset. The runs are compared by directions, gene scores,
activations and terms; so are neurons, the coordinates of the embedding, which go through the same steps
with each dataset by itself. The entry ``two_datasets`` of ``docs/benchmarks/results.json`` keeps the means.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import anndata as ad
import pandas as pd

import conceptome as cm
from conceptome.evaluation import ComparedConcepts, compare_concepts

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"
LABEL = "cell_type_harmonized"
TERMS = {"min_size": 5, "max_size": 500, "n_permutations": 1000}


def prepare(paths: dict[str, Path], out: Path) -> None:
    """Write each dataset with the shared genes, and the scVI fitted on both."""
    cells = {name: cm.data.read(path) for name, path in paths.items()}
    first, second = cells.values()
    genes = first.var_names[first.var_names.isin(second.var_names)]
    cells = {name: each[:, genes].copy() for name, each in cells.items()}
    for name, each in cells.items():
        each.write_h5ad(out / f"{name}.h5ad")
    both = ad.concat(cells, label="dataset", index_unique="-")
    cm.encoders.fit("scvi", both, batch_key="dataset", seed=0).save(out / "encoder")


def neurons(data: Path, encoder_folder: Path, gene_sets: list[str]) -> ComparedConcepts:
    """Do for the coordinates of the embedding what a run does for concepts."""
    adata = cm.data.read(data)
    encoder = cm.encoders.load("scvi", encoder_folder)
    embeddings = encoder.embed(adata)
    dictionary = cm.dictionaries.NeuronDictionary.fit(embeddings)
    activations = dictionary.encode(embeddings)
    pairs = cm.counterfactuals.match(
        activations, embeddings, dictionary=dictionary, library_size=cm.data.library_size(adata)
    )
    found = cm.attribution.attribute(adata, encoder, dictionary, pairs)
    sets = [cm.enrichment.load_gene_sets(name) for name in gene_sets]
    terms = cm.enrichment.gsea(found, sets, **TERMS)
    labels = cm.evaluation.label_concepts(activations, adata.obs[LABEL])["best_label"]
    name = f"neurons of {data.stem}"
    return ComparedConcepts(name, dictionary, embeddings, activations, found, terms, labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--a", type=Path, required=True)
    parser.add_argument("--b", type=Path, required=True)
    parser.add_argument("--gene-sets", nargs="+", required=True)
    parser.add_argument("--labels", type=Path, help="labels that mean the same, see conceptome compare")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    names = args.a.stem, args.b.stem
    if not (args.out / "encoder").is_dir():
        prepare(dict(zip(names, (args.a, args.b), strict=True)), args.out)
    runs = [
        cm.pipeline.run(
            cm.pipeline.RunConfig(
                data=str(args.out / f"{name}.h5ad"),
                out=str(args.out / f"run-{name}"),
                encoder=f"scvi:{args.out / 'encoder'}",
                label_key=(LABEL,),
                gene_sets=tuple(args.gene_sets),
                min_size=TERMS["min_size"],
            ),
            until="summarise",
        )
        for name in names
    ]
    found = cm.pipeline.compare_runs(runs, labels=args.labels)
    cm.pipeline.write_comparison(found, args.out / "comparison")
    units = [neurons(args.out / f"{name}.h5ad", args.out / "encoder", args.gene_sets) for name in names]
    beside = compare_concepts(*units)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["two_datasets"] = {
        "datasets": list(names),
        "n_genes": len(units[0].attributions.genes) if units[0].attributions else 0,
        "concepts": rows(found.summary),
        "neurons": rows(beside.summary),
        "n_returning": len(found.consensus),
    }
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    print(found.text)
    print(beside.summary.round(3).to_string())


def rows(summary: pd.DataFrame) -> list[dict[str, object]]:
    """Turn the means into records of four digits."""
    table = summary.drop(columns=["run_a", "run_b"], errors="ignore").round(4)
    return list(json.loads(table.to_json(orient="records")))


if __name__ == "__main__":
    main()
