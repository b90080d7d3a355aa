"""Tell whether interferon genes drive the concepts of cells that were stimulated with interferon.

Run ``python benchmarks/attribution_interferon.py --data kang2018_ifnb_pbmc_raw.h5ad --table
kang2018_ifnb_DE_by_celltype.tsv.gz --figure FILE.png``. The cells are half control, half stimulated with
interferon beta. Factuals and counterfactuals are of one cell type. The concepts whose activation differs most
between the conditions are looked at: how well do attribution, differential expression (Wilcoxon, cells that
activate the concept against all others) and random scores tell the published genes of the response (adjusted
p < 0.05, log2 fold change > 1 in the cell type of most cells that activate the concept) from the others,
among the genes that differ in at least 6 pairs? A gene of the response supports a concept of stimulated cells
by being there and one of control cells by being absent: its attribution is positive in both, its differential
expression changes sign.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import conceptome as cm

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"
CONDITION, CELL_TYPE = "condition", "cell_type_harmonized"
KNOWN = ("ISG15", "IFI6", "IFIT1", "IFIT2", "IFIT3", "MX1", "ISG20", "LY6E", "IFITM3", "CXCL10", "OAS1")
N_TOP = 20
MEASURES = {"auroc": "AUROC for the published genes", "precision": "published among the top 20"}
FLIPPED = ("wilcoxon", "log_fold_change")


def responders(table: Path) -> dict[str, set[str]]:
    """Read the published genes that rise, by cell type, as Ensembl ids."""
    published = pd.read_csv(table, sep="\t")
    rise = published[(published["padj"] < 0.05) & (published["log2FoldChange"] > 1)]
    return {str(name): set(genes) for name, genes in rise.groupby("cell_type")["ensembl_id"]}


def shift(activation: np.ndarray, stimulated: np.ndarray) -> float:
    """AUROC of the activation for the stimulated cells, ties counted half."""
    return float(roc_auc_score(stimulated, activation))


def worth(positive: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Compute AUROC and the share of published genes among the 20 of highest score."""
    top = np.argsort(-score, kind="stable")[:N_TOP]
    return {"auroc": float(roc_auc_score(positive, score)), "precision": float(positive[top].mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, help="folder of a fitted scVI; fitted anew when left out")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--n-concepts", type=int, default=40)
    parser.add_argument("--k", type=int, default=4)
    parser.add_argument("--n-shown", type=int, default=6)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()

    adata = cm.data.read(args.data)
    stimulated = (adata.obs[CONDITION] == "stim").to_numpy()
    encoder = (
        cm.encoders.load("scvi", args.encoder) if args.encoder else cm.encoders.fit("scvi", adata, seed=0)
    )
    embeddings = encoder.embed(adata)
    options = cm.dictionaries.TopK(n_concepts=args.n_concepts, k=args.k)
    dictionary = cm.dictionaries.train(embeddings, options, seed=0)
    activations = dictionary.encode(embeddings)
    shifts = np.array([shift(activations.of(k), stimulated) for k in range(args.n_concepts)])
    shown = np.argsort(-np.abs(shifts - 0.5))[: args.n_shown].tolist()
    pairs = cm.counterfactuals.match(
        activations,
        embeddings,
        dictionary=dictionary,
        obs=adata.obs,
        match_on=[CELL_TYPE],
        library_size=cm.data.library_size(adata),
        concepts=shown,
        seed=0,
    )
    found = cm.attribution.attribute(adata, encoder, dictionary, pairs)
    scores = {
        "attribution": found.scores("attribution"),
        "attribution / error": found.scores("z"),
        "pre-activation": pd.DataFrame(found.effect_pre, index=found.concepts, columns=found.genes),
    }
    scores |= cm.attribution.baseline_scores(
        adata, activations, methods=("wilcoxon", "log_fold_change", "random"), concepts=shown
    )
    published = responders(args.table)
    rows: list[dict[str, Any]] = []
    for concept in shown:
        row = found.concepts.tolist().index(concept)
        if found.n_pairs[row] == 0:
            print(concept, found.status[row])
            continue
        cell_type = str(adata.obs[CELL_TYPE][activations.of(concept) > 0].mode()[0])
        if cell_type not in published:
            print(concept, cell_type, "has no published response")
            continue
        positive = adata.var["ensembl_id"].isin(published[cell_type]).to_numpy()
        falls = shifts[concept] < 0.5
        tested = found.n_differing[row] >= 6
        own = found.genes_of(concept, n=10)
        stim_pairs = stimulated[pairs.factual[pairs.concept == concept]].mean()
        lent = stimulated[pairs.counterfactual[pairs.concept == concept]].mean()
        rows.append(
            {
                "concept": concept,
                "auroc_for_stimulation": shifts[concept],
                "n_cells": int((activations.of(concept) > 0).sum()),
                "cell_type": cell_type,
                "n_tested": int(tested.sum()),
                "responders_among_tested": float(positive[tested].mean()),
                "stimulated_factuals": float(stim_pairs),
                "stimulated_counterfactuals": float(lent),
                "n_drivers": int(found.drives[row].sum()),
                "top_genes": own["gene"].tolist(),
                "known_among_top_10": sum(gene in KNOWN for gene in own["gene"]),
                "responders_among_drivers": float(positive[found.drives[row]].mean())
                if found.drives[row].any()
                else None,
                "worth": {
                    name: worth(
                        positive[tested],
                        (-1 if falls and name in FLIPPED else 1) * table.loc[concept].to_numpy()[tested],
                    )
                    for name, table in scores.items()
                },
            }
        )
        print(json.dumps(rows[-1], indent=1))
    summary = {
        measure: {name: float(np.mean([row["worth"][name][measure] for row in rows])) for name in scores}
        for measure in MEASURES
    }
    print(json.dumps(summary, indent=1))
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    results["attribution_interferon"] = {
        "n_cells": adata.n_obs,
        "n_genes": adata.n_vars,
        "concepts": rows,
        "mean": summary,
    }
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    if args.figure:
        draw(rows, list(scores)).savefig(args.figure, dpi=150, bbox_inches="tight")


def draw(rows: list[dict[str, Any]], methods: list[str]) -> plt.Figure:
    """Draw what every method is worth, a line of points per concept."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 0.45 * len(rows) + 1.2), sharey=True)
    for ax, (measure, words) in zip(axes, MEASURES.items(), strict=True):
        for number, method in enumerate(methods):
            values = [row["worth"][method][measure] for row in rows]
            ax.plot(values, range(len(rows)), "o", color=f"C{number}", label=method)
        ax.set(xlabel=words, xlim=(0, 1))
    labels = [f"{row['concept']} ({row['cell_type']}, {row['auroc_for_stimulation']:.2f})" for row in rows]
    axes[0].set_yticks(range(len(rows)), labels)
    axes[0].invert_yaxis()
    axes[0].set_ylabel("concept (cells, AUROC for stimulation)")
    axes[0].axvline(0.5, color="0.7", linewidth=1, zorder=0)
    axes[1].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


if __name__ == "__main__":
    main()
