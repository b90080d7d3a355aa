"""Pairs kept back: some to attribute with, others to measure how faithful the attribution is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from conceptome.core import InputError, Pairs, require_at_least
from conceptome.counterfactuals.clusters import cluster_labels


def hold_out(pairs: Pairs, *, share: float = 0.5, min_pairs: int = 8, seed: int = 0) -> tuple[Pairs, Pairs]:
    """Keep some factuals of each concept back, to measure the faithfulness of what the others say.

    Pairs of a concept that share a factual or a counterfactual, directly or by a chain, stay together. With
    ``match(pairing="nearest")`` such a chain may be longer than the share; it is then not held out.

    Parameters
    ----------
    pairs
        Pairs of any number of concepts.
    share
        Share of a concept's factuals to hold out, above 0 and below 1; fewer where chains do not fit.
    min_pairs
        A concept with fewer factuals on one side is not attributable there.
    seed
        Seed of the draw, which each concept has to itself.

    Returns
    -------
    kept
        Pairs to attribute with, and the null pairs of their concepts.
    held_out
        Pairs to measure with.

    Raises
    ------
    InputError
        If an option is out of range.
    """
    if not 0 < share < 1:
        msg = f"share is {share}, expected a share of the factuals between 0 and 1."
        raise InputError(msg)
    require_at_least("min_pairs", min_pairs, 1)
    require_at_least("seed", seed, 0)
    away = np.zeros(len(pairs), dtype=bool)
    for concept in np.unique(pairs.concept).tolist():
        rows = np.flatnonzero(pairs.concept == concept)
        rng = np.random.default_rng([seed, concept])
        away[rows] = _draw(pairs.take(rows), share=share, rng=rng)
    kept = _part(pairs, ~away, "are left after the others were held out", min_pairs=min_pairs)
    held_out = _part(pairs, away, "were held out", min_pairs=min_pairs)
    if pairs.null is not None:
        null = pairs.null.take(np.isin(pairs.null.concept, kept.concept))
        kept = replace(kept, null=null)
    return replace(kept, n_dropped=pairs.n_dropped), held_out


def _draw(pairs: Pairs, *, share: float, rng: np.random.Generator) -> Bool[np.ndarray, " pairs"]:
    """Draw clusters of one concept until the share is reached, passing over those that are too large."""
    cluster = cluster_labels(pairs.factual, pairs.counterfactual)
    first = np.unique(pairs.pair, return_index=True)[1]
    n_factuals = np.bincount(cluster[first])
    wanted = round(share * len(first))
    chosen: list[int] = []
    n_chosen = 0
    for label in rng.permutation(len(n_factuals)).tolist():
        if n_chosen + n_factuals[label] <= wanted:
            chosen.append(label)
            n_chosen += int(n_factuals[label])
    return np.isin(cluster, chosen)


def _part(pairs: Pairs, rows: Bool[np.ndarray, " pairs"], fate: str, *, min_pairs: int) -> Pairs:
    """Take one side, without the concepts that have too few factuals there."""
    reasons = dict(pairs.not_attributable)
    for concept in np.unique(pairs.concept).tolist():
        n_factuals = len(np.unique(pairs.pair[rows & (pairs.concept == concept)]))
        if n_factuals < min_pairs:
            reasons[concept] = f"{n_factuals} factuals {fate}, needs {min_pairs}"
    taken = pairs.take(rows & ~np.isin(pairs.concept, list(reasons)))
    return replace(taken, not_attributable=dict(sorted(reasons.items())))
