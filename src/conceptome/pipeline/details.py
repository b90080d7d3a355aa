"""What an atlas shows within a pair and within a term: genes that changed, running sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from conceptome import atlas
from conceptome.core import Enrichment
from conceptome.enrichment import RunningSum, running_sum
from conceptome.pipeline.context import Run
from conceptome.pipeline.pair_effects import load_pair_effects

N_CHANGES = 10
"""Genes kept per pair, those of largest effect."""
N_CURVES = 10
"""Terms per concept with a running sum, beyond those found."""
ALPHA = 0.05


def pair_changes(run: Run) -> pd.DataFrame | None:
    """List for each pair the genes whose exchange changes the concept most.

    Parameters
    ----------
    run
        A finished run.

    Returns
    -------
    What `atlas.Contents` calls ``changes``; None without effects of single pairs.
    """
    place = run.path / "effects.zarr"
    if not place.exists():
        return None
    effects = load_pair_effects(place)
    row = np.repeat(np.arange(len(effects.concept)), np.diff(effects.indptr))
    order = np.lexsort((-np.abs(effects.pre), -np.abs(effects.act), row))
    rank = np.arange(len(order)) - effects.indptr[row]  # the lexsort leaves rows in their order
    kept = order[(rank < N_CHANGES) & ((effects.act[order] != 0) | (effects.pre[order] != 0))]
    number = pd.Series(effects.concept).groupby(effects.concept).cumcount().to_numpy()
    table = pd.DataFrame(
        {
            "concept": effects.concept[row[kept]],
            "number": number[row[kept]],
            "gene": run.adata.var_names.get_indexer(effects.genes)[effects.gene[kept]],
            "effect_act": effects.act[kept],
            "effect_pre": effects.pre[kept],
            "n_differing": np.diff(effects.indptr)[row[kept]],
        }
    )
    table["rank"] = table.groupby(["concept", "number"]).cumcount() + 1
    return _with_values(table, run)


def _with_values(table: pd.DataFrame, run: Run) -> pd.DataFrame:
    """Look the genes up in both cells of each pair."""
    pairs = run.pairs.to_frame()[["concept"]].assign(
        factual=run.pairs.factual, counterfactual=run.pairs.counterfactual
    )
    pairs["number"] = pairs.groupby("concept").cumcount()
    table = table.merge(pairs, on=["concept", "number"], how="inner")
    values = {
        f"{side}_value": np.asarray(run.adata.X[table[side].to_numpy(), table["gene"].to_numpy()]).ravel()
        for side in ("factual", "counterfactual")
    }
    return table.drop(columns=["factual", "counterfactual"]).assign(**values)


def term_curves(run: Run, enrichment: Enrichment) -> pd.DataFrame | None:
    """Follow the running sums of each concept's findings and of its ten best terms.

    Parameters
    ----------
    run
        A finished run.
    enrichment
        Terms by attribution.

    Returns
    -------
    What `atlas.Contents` calls ``curves``; None where terms were not tested by running sums.
    """
    if run.attributions is None or enrichment.method != "gsea":
        return None
    scores = (
        run.attributions.scores(enrichment.rank_by or "z").set_axis(run.symbols, axis=1).sort_index(axis=1)
    )
    members = {
        (sets.collection, term): genes
        for sets in run.gene_sets
        for term, genes in zip(sets.terms, sets.members, strict=True)
    }
    terms, findings = atlas.finding_table(enrichment, None)
    shown = findings[(findings["rank"] <= N_CURVES) | (findings["q_global"] <= ALPHA)]
    named = shown[["concept", "term"]].merge(terms[["term", "collection", "identifier"]], on="term")
    rows = []
    for concept, collection, term in named[["concept", "collection", "identifier"]].itertuples(index=False):
        genes = members.get((collection, term))
        if genes:
            curve = running_sum(scores.loc[concept], genes)
            rows.append({"concept": concept, "collection": collection, "term": term, **_corners(curve)})
    return pd.DataFrame(rows)


def _corners(curve: RunningSum) -> dict[str, Any]:
    """Keep the corners of a running sum; between them it is straight."""
    slope = np.diff(curve.value) / np.diff(curve.rank)
    turns = np.abs(np.diff(slope)) > 1e-9
    kept = np.flatnonzero(np.concatenate([[True], turns, [True]]))
    return {
        "n_genes": len(curve.scores),
        "peak": int(curve.rank[curve.peak]),
        "es": curve.es,
        "rank": curve.rank[kept].astype("<u4"),
        "value": curve.value[kept].astype("<f4"),
        "hits": curve.hits.astype("<u4"),
    }
