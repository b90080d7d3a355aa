"""Compare how faithful gene scores are: by substitution, by gradients, and by means that never ask the model.

Run ``python benchmarks/faithfulness.py --data FILE.h5ad --encoder scvi:DIR --dictionary DIR --name NAME``.
Half of the factuals of each concept are attributed with, the other half measured on. The entry
``faithfulness`` of ``docs/benchmarks/results.json`` keeps one table per `--name`; `--figure` draws it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import conceptome as cm
from conceptome.attribution.baselines import Baseline
from conceptome.attribution.gradients import GradientMethod

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"
BASELINES: tuple[Baseline, ...] = ("wilcoxon", "t_test", "log_fold_change", "logistic")
METHODS: tuple[GradientMethod, ...] = ("integrated_gradients", "gradient")
FREQUENCIES = (0.02, 0.5)  # of the concepts that are drawn


def gradient_scores(
    adata: ad.AnnData, encoder: cm.core.Encoder, dictionary: cm.core.Dictionary, pairs: cm.core.Pairs
) -> dict[str, pd.DataFrame]:
    """Average the gradients of the pre-activation over the pairs of each concept."""
    scores: dict[str, pd.DataFrame] = {}
    for method in METHODS:
        effects = {
            k: cm.attribution.gradient_effects(adata, encoder, dictionary, pairs, concept=k, method=method)
            for k in np.unique(pairs.concept).tolist()
        }
        rows = np.array([found.pre.mean(axis=0) for found in effects.values()])
        scores[method] = pd.DataFrame(rows, index=list(effects), columns=adata.var_names)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", required=True, help="such as scvi:DIR")
    parser.add_argument("--dictionary", type=Path, required=True)
    parser.add_argument("--name", required=True, help="what the results are called")
    parser.add_argument("--n-concepts", type=int, default=8)
    parser.add_argument("--n-pairs", type=int, default=64)
    parser.add_argument("--every", type=int, default=1, help="see attribution.faithfulness")
    parser.add_argument("--no-gradients", action="store_true", help="for encoders without")
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()

    adata = ad.read_h5ad(args.data)
    adata.var_names_make_unique()
    encoder, dictionary = cm.encoders.from_spec(args.encoder, adata), cm.dictionaries.load(args.dictionary)
    embeddings = encoder.embed(adata)
    activations = dictionary.encode(embeddings)
    frequency = activations.frequency()
    usual = np.flatnonzero((frequency > FREQUENCIES[0]) & (frequency < FREQUENCIES[1]))
    drawn = np.random.default_rng(0).choice(usual, args.n_concepts, replace=False)
    concepts: list[int] = np.sort(drawn).tolist()
    pairs = cm.counterfactuals.match(
        activations,
        embeddings,
        dictionary=dictionary,
        library_size=cm.data.library_size(adata),
        n_pairs=args.n_pairs,
        concepts=concepts,
    )
    kept, held_out = cm.counterfactuals.hold_out(pairs)
    record = cm.attribution.attribute(adata, encoder, dictionary, kept, n_bootstrap=2)
    before = pd.DataFrame(record.effect_pre, index=record.concepts, columns=record.genes)
    scores = {"substitution, pre-activation": before, "substitution": record.scores("attribution")}
    if not args.no_gradients:
        scores |= gradient_scores(adata, encoder, dictionary, kept)
    scores |= cm.attribution.baseline_scores(adata, activations, methods=BASELINES, concepts=concepts)
    start = time.perf_counter()
    found = cm.attribution.faithfulness(adata, encoder, dictionary, held_out, scores, every=args.every)
    seconds = time.perf_counter() - start
    if args.figure:
        cm.pl.faithfulness(found).savefig(args.figure, dpi=150)

    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results.setdefault("faithfulness", {})[args.name] = {
        "n_concepts": len(found.concepts),
        "n_pairs": args.n_pairs,
        "seconds": round(seconds, 1),
        "areas": rounded(found.summary(), ["method"]),
        "against_wilcoxon": rounded(found.against("wilcoxon"), ["method", "curve"]),
        "strongest_genes": rounded(found.at(), ["method", "n_genes"]),
    }
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    print(found.summary().round(3).to_string())


def rounded(table: pd.DataFrame, keys: list[str]) -> dict[str, dict[str, float]]:
    """Turn a table into numbers of four digits by the name of the row."""
    rows = table.set_index(table[keys].astype(str).agg(", ".join, axis=1)).drop(columns=keys)
    values = rows.round(4).to_dict("split")
    return {
        str(name): dict(zip(values["columns"], row, strict=True))
        for name, row in zip(values["index"], values["data"], strict=True)
    }


if __name__ == "__main__":
    main()
