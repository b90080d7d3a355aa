"""Look into where the concepts of `simulator.py` fall short, and why.

Run ``python benchmarks/simulator_why.py --steps easy noisy``. For scVI on some of the steps

- the ten genes of highest score of each matched concept, by substitution with few and many pairs, by
  masking and by differential expression: are they of the programme, of another one or of none, and is
  their expression higher or lower where the concept is active?
- MCC by the number of concepts and of active ones, the number of programmes being known to nobody.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", TQDM_DISABLE="1")

import argparse
import json
from typing import Any

import numpy as np
import pandas as pd
import torch

import conceptome as cm
from conceptome.core import Embeddings, Encoder
from conceptome.evaluation import recovery
from simulator import RESULTS, TOPK, Trial

SIZES = ((12, 3), (24, 3), (24, 6), (48, 3), (48, 6), (160, 3), (160, 10))
N_TOP = 10


def name_genes(trial: Trial, encoder: Encoder, embeddings: Embeddings) -> list[dict[str, Any]]:
    """Sort the ten strongest genes of each matched concept, by method."""
    dictionary = cm.dictionaries.train(embeddings, TOPK, seed=trial.seed, progress=False)
    activations = dictionary.encode(embeddings)
    matched = recovery(trial.adata, activations, n_null=1).programmes
    matched = matched[matched["unit"] >= 0]
    concepts = matched["unit"].tolist()
    expression = cm.attribution.differential_expression(trial.adata, activations, concepts=concepts)
    methods = {"differential expression": expression.scores()}
    for name, n_pairs, way in (
        ("32 pairs", 32, "substitute"),
        ("128 pairs", 128, "substitute"),
        ("mask", 128, "mask"),
    ):
        pairs = cm.counterfactuals.match(
            activations,
            embeddings,
            dictionary=dictionary,
            n_pairs=n_pairs,
            concepts=concepts,
            seed=trial.seed,
        )
        found = cm.attribution.attribute(
            trial.adata, encoder, dictionary, pairs, intervention=way, n_bootstrap=200, seed=trial.seed
        )
        methods[name] = found.scores()
    fold = expression.scores("log_fold_change")
    own = trial.adata.varm["programmes"] > 0
    rows = []
    for method, scores in methods.items():
        shares = [
            sort_top(scores.loc[unit], fold.loc[unit].to_numpy(), own=own, programme=programme)
            for programme, unit in zip(matched["programme"], concepts, strict=True)
        ]
        rows.append({"method": method, **pd.DataFrame(shares).mean().to_dict()})
    return rows


def sort_top(scores: pd.Series, fold: np.ndarray, *, own: np.ndarray, programme: int) -> dict[str, float]:
    """Return the shares of the ten strongest genes by whose they are and where they are higher."""
    values = np.where(scores > 0, scores, 0.0)
    top = np.argsort(-values, kind="stable")[:N_TOP]
    top = top[values[top] > 0]
    mine, higher = own[top, programme], fold[top] > 0
    others = own[top].any(axis=1) & ~mine
    kinds = {"own": mine, "another's": others, "no programme's": ~mine & ~others}
    return {
        f"{kind}, {side}": float((which & (higher == (side == "higher"))).sum() / N_TOP)
        for kind, which in kinds.items()
        for side in ("higher", "lower")
    }


def by_size(trial: Trial, embeddings: Embeddings) -> list[dict[str, Any]]:
    """Measure dictionaries of several sizes."""
    rows = []
    for n_concepts, k in SIZES:
        options = cm.dictionaries.TopK(n_concepts, k=k)
        dictionary = cm.dictionaries.train(embeddings, options, seed=trial.seed, progress=False)
        found = recovery(trial.adata, dictionary.encode(embeddings), n_null=10)
        rows.append({"n_concepts": n_concepts, "k": k, "mcc": found.mcc, "mcc_null": found.null.mean()})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", nargs="+", default=["easy", "noisy"])
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    genes, sizes = [], []
    for step in args.steps:
        for seed in range(args.seeds):
            trial = Trial.simulated(step, seed)
            encoder = trial.encoders()["scVI"]
            embeddings = encoder.embed(trial.adata)
            genes += [{"step": step, **row} for row in name_genes(trial, encoder, embeddings)]
            sizes += [{"step": step, **row} for row in by_size(trial, embeddings)]
            print(step, seed, flush=True)
    summary = {
        "n_seeds": args.seeds,
        "genes": pd.DataFrame(genes).groupby(["step", "method"]).mean().reset_index().to_dict("records"),
        "sizes": pd.DataFrame(sizes)
        .groupby(["step", "n_concepts", "k"])
        .mean()
        .reset_index()
        .to_dict("records"),
    }
    for table in ("genes", "sizes"):
        print(pd.DataFrame(summary[table]).round(3).to_string(index=False))
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["simulator_why"] = summary
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
