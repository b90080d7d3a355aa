"""Compiled running sums: all add in one order, so that equal sets have equal scores to the bit.

The running sum is counted in misses: after a block of tied genes it is ``weight of the hits - misses
passed``, the weights scaled such that they add up to the number of misses. With several hits in one block,
the last has the true value at the block's end and the others a lower one, the first has the true value at its
start and the others a higher one; so maxima at ends and minima at starts are true. In a block of zeros no
order of its genes moves a maximum or a minimum, so that its genes may count as if they were not tied.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from numba import config, njit

Array: TypeAlias = np.ndarray
Scratch: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Tables: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]
OwnTables: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Hits: TypeAlias = tuple[np.ndarray, np.ndarray]
Found: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]

F = TypeVar("F", bound=Callable[..., Any])

ZERO = np.float32(0)


def n_threads() -> int:
    """Return how many threads numba may use; `numba.get_num_threads` would change those of torch, too."""
    return int(config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined] # it is made when numba is loaded


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
def score_shared(tables: Tables, tied: Array, ranks: Array, scores: Array, scratch: Scratch) -> None:
    """Score sets that stand at the same ranks in every concept, many concepts side by side.

    Parameters
    ----------
    tables
        ``weights, starts, ends``, each ``(n_genes, n_concepts)``, single precision: |score| by rank, and the
        bounds of its block of equal scores. The bounds are read at tied ranks only.
    tied
        ``(n_genes,)``: ranks at which the score of some concept is that of a neighbour and not 0.
    ranks
        ``(n_sets, n_hits)``, ascending within each set.
    scores
        ``(n_sets, n_concepts)``, single precision, written: ES, 0 without weight.
    scratch
        Four arrays ``(n_concepts,)``, single precision, overwritten. Made by the caller: only then does the
        compiler see that they do not overlap, and works on several concepts at once.
    """
    weights, starts, ends = tables
    scale, value, highest, lowest = scratch
    n_genes, n_concepts = weights.shape
    n_misses = np.float32(n_genes - ranks.shape[1])
    for i in range(len(ranks)):
        for k in range(n_concepts):
            scale[k], value[k], highest[k], lowest[k] = ZERO, ZERO, -np.inf, np.inf
        for rank in ranks[i]:
            for k in range(n_concepts):
                scale[k] += weights[rank, k]
        for k in range(n_concepts):
            scale[k] = n_misses / scale[k] if scale[k] > 0 else ZERO
        for hit in range(ranks.shape[1]):
            rank = ranks[i, hit]
            if tied[rank]:
                hits_before, hits_after = np.float32(hit), np.float32(hit + 1)
                for k in range(n_concepts):
                    before, high, low = value[k], highest[k], lowest[k]
                    after = before + weights[rank, k] * scale[k]
                    below = before - (starts[rank, k] - hits_before)
                    above = after - (ends[rank, k] - hits_after)
                    value[k] = after
                    highest[k] = above if above > high else high
                    lowest[k] = below if below < low else low
            else:
                passed = np.float32(rank - hit)
                for k in range(n_concepts):
                    before, high, low = value[k], highest[k], lowest[k]  # all are read before any is written
                    after = before + weights[rank, k] * scale[k]
                    below, above = before - passed, after - passed
                    value[k] = after
                    highest[k] = above if above > high else high
                    lowest[k] = below if below < low else low
        for k in range(n_concepts):
            furthest = highest[k] if highest[k] > -lowest[k] else lowest[k]
            scores[i, k] = furthest / n_misses if scale[k] > 0 else ZERO


@compiled
def score_own(tables: OwnTables, sets: Hits, found: Found) -> None:
    """Score sets along one ranking and find where the running sum is furthest from 0.

    Parameters
    ----------
    tables
        ``weights, single weights, starts, ends`` by rank, each ``(n_genes,)``; the first in double precision.
    sets
        ``hits, bounds``: the ranks of the genes of all sets, set by set, ascending within each; where those
        of each set begin, and where the last end.
    found
        ``es, single, peaks``, each ``(n_sets,)``, written: ES, 0 without weight; ES as `score_shared` rounds
        it, so that a random set that scores alike is seen to; and for ES > 0 the last hit of the leading
        edge, else the first.
    """
    weights, light, starts, ends = tables
    hits, bounds = sets
    scores, single, peaks = found
    for i in range(len(scores)):
        ranks = hits[bounds[i] : bounds[i + 1]]
        n_misses = len(weights) - len(ranks)
        scale, light_scale = 0.0, ZERO
        for rank in ranks:
            scale += weights[rank]
            light_scale += light[rank]
        scale = n_misses / scale if scale > 0 else 0.0
        light_scale = np.float32(n_misses) / light_scale if light_scale > 0 else ZERO
        value, highest, lowest, top, bottom = 0.0, -np.inf, np.inf, 0, 0
        light_value, light_highest, light_lowest = ZERO, np.float32(-np.inf), np.float32(np.inf)
        for hit in range(len(ranks)):
            rank = ranks[hit]
            passed_before, passed_after = starts[rank] - np.float32(hit), ends[rank] - np.float32(hit + 1)
            if value - passed_before < lowest:
                lowest, bottom = value - passed_before, hit
            light_lowest = min(light_lowest, light_value - passed_before)
            value = value + weights[rank] * scale
            light_value = light_value + light[rank] * light_scale
            if value - passed_after > highest:
                highest, top = value - passed_after, hit
            light_highest = max(light_highest, light_value - passed_after)
        furthest = highest if highest > -lowest else lowest
        light_furthest = light_highest if light_highest > -light_lowest else light_lowest
        scores[i] = furthest / n_misses if scale > 0 else 0.0
        single[i] = light_furthest / np.float32(n_misses) if light_scale > 0 else ZERO
        peaks[i] = top if scores[i] > 0 else bottom


@compiled
def count_up_to(ascending: Array, values: Array, counts: Array) -> None:
    """Count the entries of each row that are not above each value of the same row.

    Parameters
    ----------
    ascending
        ``(n_rows, n_entries)``, ascending within each row.
    values
        ``(n_rows, n_values)``.
    counts
        ``(n_rows, n_values)``, written.
    """
    for row in range(len(ascending)):
        for column in range(values.shape[1]):
            counts[row, column] = np.searchsorted(ascending[row], values[row, column], side="right")
