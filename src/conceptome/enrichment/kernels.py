"""Compiled running sums: all add in one order, so that equal sets have equal scores to the bit.

The running sum is counted in misses: after a block of tied genes it is ``hits + weight of the hits - genes
passed``, the weights scaled such that they add up to the number of misses. With several hits in one block,
the last has the true value at the block's end and the others a lower one, the first has the true value at its
start and the others a higher one; so maxima at ends and minima at starts are true.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from numba import njit

Array: TypeAlias = np.ndarray
Scratch: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Tables: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile without leave to reorder sums; there is no NaN, which lets minima and maxima be plain ones."""
    plain = unwrap(function)  # without the checks of types that tests add
    return cast("F", njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz"})(plain))


@compiled
def make_distinct(draws: Array, n_genes: int) -> None:
    """Turn draws from growing ranges into distinct ranks, by Floyd's algorithm.

    Parameters
    ----------
    draws
        ``(n_sets, n_hits)``, overwritten with ranks: hit h was drawn from 0 to ``n_genes - n_hits + h``.
    n_genes
        Genes in the universe.
    """
    n_sets, n_hits = draws.shape
    taken = np.zeros(n_genes, np.bool_)
    for i in range(n_sets):
        for hit in range(n_hits):
            if taken[draws[i, hit]]:
                draws[i, hit] = n_genes - n_hits + hit
            taken[draws[i, hit]] = True
        for hit in range(n_hits):
            taken[draws[i, hit]] = False


@compiled
def score_shared(tables: Tables, ranks: Array, scores: Array, scratch: Scratch) -> None:
    """Score sets that stand at the same ranks in every concept, many concepts side by side.

    Parameters
    ----------
    tables
        ``weights, starts, ends``, each ``(n_genes, n_concepts)``: |score| by rank, and the bounds of its
        block of equal scores.
    ranks
        ``(n_sets, n_hits)``, ascending within each set.
    scores
        ``(n_sets, n_concepts)``, written: ES, 0 without weight.
    scratch
        Four arrays ``(n_concepts,)``, overwritten. Made by the caller: only then does the compiler see that
        they do not overlap, and works on several concepts at once.
    """
    weights, starts, ends = tables
    scale, value, highest, lowest = scratch
    n_genes, n_concepts = weights.shape
    n_misses = n_genes - ranks.shape[1]
    for i in range(len(ranks)):
        for k in range(n_concepts):
            scale[k], value[k], highest[k], lowest[k] = 0.0, 0.0, -np.inf, np.inf
        for rank in ranks[i]:
            for k in range(n_concepts):
                scale[k] += weights[rank, k]
        for k in range(n_concepts):
            scale[k] = n_misses / scale[k] if scale[k] > 0 else 0.0
        for rank in ranks[i]:
            for k in range(n_concepts):
                before, high, low = value[k], highest[k], lowest[k]  # all are read before any is written
                after = before + (weights[rank, k] * scale[k] + 1.0)
                below, above = before - starts[rank, k], after - ends[rank, k]
                value[k] = after
                highest[k] = above if above > high else high
                lowest[k] = below if below < low else low
        for k in range(n_concepts):
            furthest = highest[k] if highest[k] > -lowest[k] else lowest[k]
            scores[i, k] = furthest / n_misses if scale[k] > 0 else 0.0


@compiled
def score_own(tables: Tables, concept: int, ranks: Array, scores: Array, peaks: Array) -> None:
    """Score sets along one concept's ranking and find where the running sum is furthest from 0.

    Parameters
    ----------
    tables
        As for `score_shared`.
    concept
        Column of the tables.
    ranks
        ``(n_sets, n_hits)``, ascending within each set.
    scores
        ``(n_sets,)``, written: ES, 0 without weight.
    peaks
        ``(n_sets,)``, written: for ES > 0 the last hit of the leading edge, else the first.
    """
    weights, starts, ends = tables
    n_misses = len(weights) - ranks.shape[1]
    for i in range(len(ranks)):
        scale = 0.0
        for rank in ranks[i]:
            scale += weights[rank, concept]
        scale = n_misses / scale if scale > 0 else 0.0
        value, highest, lowest = 0.0, -np.inf, np.inf
        top, bottom = 0, 0
        for hit in range(ranks.shape[1]):
            rank = ranks[i, hit]
            below = value - starts[rank, concept]
            if below < lowest:
                lowest, bottom = below, hit
            value = value + (weights[rank, concept] * scale + 1.0)
            above = value - ends[rank, concept]
            if above > highest:
                highest, top = above, hit
        furthest = highest if highest > -lowest else lowest
        scores[i] = furthest / n_misses if scale > 0 else 0.0
        peaks[i] = top if scores[i] > 0 else bottom
