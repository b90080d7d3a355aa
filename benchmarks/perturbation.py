"""Tell whether perturbed cells move the concepts that gene scores say they should.

Run ``python benchmarks/perturbation.py --data FILE.h5ad --name NAME --key COLUMN --control VALUE``. An scVI
is fitted (or loaded, ``--encoder DIR``) and a dictionary trained on all cells, whose perturbation neither is
told; the rest is ``cm.evaluation.check_perturbations``. For a stimulus ``--published TABLE --cell-type KEY``
compares within cell types and takes the published genes of the response. The entry ``perturbation`` of
``docs/benchmarks/results.json`` keeps one table per `--name`; ``--figure FILE.png`` draws all of them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import conceptome as cm

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"
METHODS = ("attribution", "drivers", "knockout", "wilcoxon", "log_fold_change", "level", "degree", "random")
PANELS = {
    ("direct", "within"): "the perturbed gene's score\ntells moving concepts (AUROC)",
    ("direct", "agreement"): "moving concepts go where the\nperturbed gene's score says",
    ("indirect", "matched"): "a concept's scores tell responding\ngenes of like expression (AUROC)",
    ("indirect", "push"): "size of the responders' push\ntells moving concepts (AUROC)",
    ("indirect", "agreement"): "moving concepts go where\nresponding genes push",
}


def published_responses(table: Path, adata: ad.AnnData) -> pd.DataFrame:
    """Read the published response of each cell type, in the names of the data."""
    found = pd.read_csv(table, sep="\t")
    found = found[(found["padj"] < 0.05) & (found["log2FoldChange"].abs() > 1)]
    ids = adata.var["ensembl_id"].astype(str)
    known = ((ids != "") & ~ids.duplicated(keep=False)).to_numpy()
    names = pd.Series(adata.var_names[known], index=ids[known])
    rows = {
        "perturbation": "stimulated " + found["cell_type"],
        "gene": found["ensembl_id"].map(names),
        "change": np.sign(found["log2FoldChange"]),
    }
    return pd.DataFrame(rows).dropna()


def rounded(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Turn a table of scores into numbers of four digits; NaN becomes null."""
    rows = json.loads(table.set_index("score").round(4).to_json(orient="index"))
    return dict(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", required=True, help="what the results are called")
    parser.add_argument("--key", required=True)
    parser.add_argument("--control", required=True)
    parser.add_argument("--leave-out", default="", help="value of the column whose cells are left out")
    parser.add_argument("--block-key", help="such as batch")
    parser.add_argument("--action", choices=("loss", "gain"), default="loss")
    parser.add_argument("--encoder", type=Path, help="folder of a fitted scVI")
    parser.add_argument("--n-concepts", type=int, default=80)
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--published", type=Path)
    parser.add_argument("--cell-type", help="column to compare within, with --published")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()

    adata = cm.data.read(args.data)
    adata = adata[adata.obs[args.key].astype(str) != args.leave_out].copy()
    encoder = (
        cm.encoders.load("scvi", args.encoder)
        if args.encoder
        else cm.encoders.fit("scvi", adata, batch_key=args.block_key, seed=0)
    )
    key, block_key, targets, responses, match_on = args.key, args.block_key, None, None, []
    if args.published:
        types = adata.obs[args.cell_type].astype(str)
        adata.obs["what"] = np.where(adata.obs[key] == args.control, args.control, "stimulated " + types)
        responses = published_responses(args.published, adata)
        key, block_key, targets, match_on = "what", args.cell_type, {}, [args.cell_type]
    embeddings = encoder.embed(adata)
    options = cm.dictionaries.TopK(n_concepts=args.n_concepts, k=args.k)
    checks = [
        cm.evaluation.check_perturbations(
            adata,
            encoder,
            cm.dictionaries.train(embeddings, options, seed=seed),
            key=key,
            control=args.control,
            action=args.action,
            block_key=block_key,
            targets=targets,
            responses=responses,
            match_on=match_on,
            seed=seed,
        )
        for seed in range(args.seeds)
    ]
    entry = {
        "n_cells": adata.n_obs,
        "n_genes": adata.n_vars,
        "n_concepts": args.n_concepts,
        "k": args.k,
        "n_not_attributable": [len(check.not_attributable) for check in checks],
        "targets": json.loads(checks[0].targets.round(3).to_json(orient="records")),
        "moving": [moving(check.shifts) for check in checks],
        "direct": [rounded(check.direct) for check in checks],
        "indirect": [rounded(check.indirect) for check in checks],
    }
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results.setdefault("perturbation", {})[args.name] = entry
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    for kind in ("direct", "indirect"):
        print(kind, mean_over_seeds(entry[kind]).round(3).to_string(), sep="\n")
    if args.figure:
        draw(results["perturbation"]).savefig(args.figure, dpi=150, bbox_inches="tight")


def moving(shifts: pd.DataFrame) -> dict[str, int]:
    """Count the concepts that each perturbation moves."""
    counts = (shifts["q"] <= 0.05).groupby(shifts["perturbation"]).sum()
    return {str(name): int(count) for name, count in counts.items()}


def mean_over_seeds(tables: list[dict[str, dict[str, Any]]]) -> pd.DataFrame:
    """Average the measures over seeds, one row per score."""
    frames = [pd.DataFrame(table).T.astype(float) for table in tables]
    return sum(frames[1:], frames[0]) / len(frames)


def draw(entries: dict[str, Any]) -> plt.Figure:
    """Draw every measure: a dot per seed, a tick where chance is."""
    figure, grid = plt.subplots(len(entries), len(PANELS), figsize=(13, 2.4 * len(entries)), squeeze=False)
    for axes, (name, entry) in zip(grid, entries.items(), strict=True):
        for ax, ((kind, measure), words) in zip(axes, PANELS.items(), strict=True):
            for table in entry[kind]:
                rows = [table[method] for method in METHODS]
                values = [np.nan if row[measure] is None else row[measure] for row in rows]
                null = [np.nan if row[f"{measure}_null"] is None else row[f"{measure}_null"] for row in rows]
                ax.plot(null, range(len(METHODS)), "|", color="0.6", markersize=8)
                ax.plot(values, range(len(METHODS)), "o", color="#0f6b8c", markersize=4, alpha=0.7)
            ax.set(xlim=(0.25, 1.03), yticks=range(len(METHODS)), yticklabels=METHODS)
            ax.set_ylim(len(METHODS) - 0.5, -0.5)
            if not any(table["random"]["n_moving"] for table in entry[kind]):
                ax.text(0.5, 0.5, "no gene is aimed at", transform=ax.transAxes, ha="center", fontsize=8)
            ax.axvline(0.5, color="0.85", linewidth=0.8, zorder=0)
            ax.spines[["top", "right"]].set_visible(False)
            ax.set_title(words if ax in grid[0] else "", fontsize=8)
            ax.tick_params(labelsize=7)
            if ax is not axes[0]:
                ax.set_yticklabels([])
        axes[0].set_ylabel(name, fontsize=9)
    figure.tight_layout()
    return figure


if __name__ == "__main__":
    main()
