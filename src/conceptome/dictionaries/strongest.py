"""Compiled selection of a cell's k strongest concepts, exact or from candidates of a rounded product."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from conceptome.dictionaries.kernels import Array, Arrays, compiled, dot, group_by_concept

Form: TypeAlias = tuple[np.signedinteger[Any], np.signedinteger[Any]]

LEAST_RUNS, LONGEST_RUN = 4, 16
ROUNDING = 2.0**-8  # of bfloat16, relative, at most
FORMS: dict[np.dtype[Any], Form] = {
    np.dtype(np.int16): (np.int16(0x7FFF), np.int16(0x7F80)),  # bfloat16
    np.dtype(np.int32): (np.int32(0x7FFFFFFF), np.int32(0x7F800000)),  # float32
}
"""By the integers that floating-point numbers are read as: all bits but the sign, and infinity."""


def find_candidates(bits: Array, n_least: int, concepts: Array, slack: Array | None = None) -> Arrays:
    """Find some of the largest numbers of each row.

    Of a long row, every so manieth number forms a run. A bound that the largest numbers of `n_least` runs
    reach leaves out all other runs.

    Parameters
    ----------
    bits
        Numbers read as signed integers of their size, bfloat16 as int16 or float32 as int32,
        ``(n_rows, n_concepts)``. NaN counts as larger than all others.
    n_least
        How many at least, up to n_concepts; every number equal to the last of them is found too.
    concepts
        Room for the result, int32, ``(n_rows * n_concepts + 1,)``.
    slack
        Of bfloat16, for each row: numbers that are lower by so much are found as well, and by so much more as
        rounding can have brought about.

    Returns
    -------
    starts
        Where the candidates of a row begin, ``(n_rows + 1,)``.
    concepts
        Their columns, row by row.
    """
    n_rows, n_concepts = bits.shape
    n_runs = max(LEAST_RUNS * n_least, n_concepts // LONGEST_RUN)
    if n_concepts < 2 * n_runs:
        n_runs = n_concepts
    form, largest = FORMS[bits.dtype], np.empty((n_rows, n_runs), bits.dtype)
    bounds, starts = np.empty(n_rows, bits.dtype), np.empty(n_rows + 1, np.int64)
    _survey(bits, n_least, form, largest, bounds)
    if slack is not None:
        bounds = _lower(bounds, slack)
    _gather(bits, form, largest, bounds, starts, concepts)
    return starts, concepts[: starts[-1]]


def _lower(bounds: Array, slack: Array) -> Array:
    """Return bounds, in the order of bfloat16, that lie lower at least by the slack and four roundings."""
    bits = np.where(bounds < 0, bounds ^ np.int16(0x7FFF), bounds).view(np.uint16)
    value = (bits.astype(np.uint32) << 16).view(np.float32)
    lowered = (value - slack - 4 * ROUNDING * np.abs(value)).astype(np.float32)
    lowered[np.isnan(lowered)] = -np.inf  # nothing is certain then
    words = lowered.view(np.int32)
    ordered = np.where(words < 0, words ^ np.int32(0x7FFFFFFF), words)
    keys: Array = (ordered >> 16).astype(np.int16)
    return keys


def score(shifted: Array, encoder: Arrays, candidates: Arrays) -> Array:
    """Compute the pre-activations of candidates.

    Parameters
    ----------
    shifted
        Cells minus b_dec, ``(n_rows, d_embed)``.
    encoder
        ``w_enc, b_enc``.
    candidates
        See `find_candidates`.

    Returns
    -------
    One number per candidate.
    """
    starts, concepts = candidates
    cells = np.repeat(np.arange(len(shifted), dtype=np.int32), np.diff(starts))
    by_concept = np.empty(len(encoder[0]) + 1, np.int64), np.empty(len(concepts), np.int64)
    group_by_concept(concepts, np.ones(len(concepts), dtype=bool), *by_concept)
    scores = np.empty(len(concepts), np.float32)
    _score(shifted, encoder, cells, by_concept, scores)
    return scores


@compiled
def choose_strongest(candidates: Arrays, scores: Array, indices: Array, values: Array) -> None:
    """Choose k candidates of each row; of equal ones those of lower index.

    Parameters
    ----------
    candidates
        See `find_candidates`; k or more per row.
    scores
        Their pre-activations, float32.
    indices, values
        ``(n_rows, k)``, written in no particular order: concepts and their activations; 0 where the
        pre-activation is negative, NaN stays.
    """
    starts, concepts = candidates
    n_rows, k = indices.shape
    form = np.int32(0x7FFFFFFF), np.int32(0x7F800000)
    keys = np.empty(np.diff(starts).max(), np.int32)
    for i in range(n_rows):
        own, score_of = concepts[starts[i] : starts[i + 1]], scores[starts[i] : starts[i + 1]]
        key = keys[: len(own)]
        _order(score_of.view(np.int32), form, key)
        bound = _reached_by(k, 0, key)
        n = 0
        for at in range(len(own)):
            if key[at] > bound:
                indices[i, n], values[i, n] = own[at], score_of[at]
                n += 1
        last, value = -1, np.float32(0)
        while n < k:  # a tie for the last places
            lowest = np.iinfo(np.int32).max
            for at in range(len(own)):
                if key[at] == bound and last < own[at] < lowest:
                    lowest, value = own[at], score_of[at]
            indices[i, n], values[i, n], last = lowest, value, lowest
            n += 1
        for at in range(k):
            values[i, at] = max(values[i, at], np.float32(0))


@compiled
def _survey(bits: Array, n_least: int, form: Form, largest: Array, bounds: Array) -> None:
    """Find the largest number of each run, and the bound of each row."""
    n_concepts, n_runs = bits.shape[1], largest.shape[1]
    key = np.empty(n_concepts, bits.dtype)
    for i in range(len(bits)):
        _order(bits[i], form, key)
        own = largest[i]
        own[:] = key[:n_runs]
        for start in range(n_runs, n_concepts, n_runs):
            part = key[start : start + n_runs]
            for run in range(len(part)):
                own[run] = max(own[run], part[run])
        bounds[i] = _reached_by(n_least, n_least // 8, own)


@compiled
def _gather(  # noqa: PLR0917
    bits: Array, form: Form, largest: Array, bounds: Array, starts: Array, concepts: Array
) -> None:
    """List what reaches the bound; written, and kept only where it counts: no branch to guess."""
    n_concepts, n_runs = bits.shape[1], largest.shape[1]
    chosen, key, n_found = np.empty(n_runs + 1, np.int32), np.empty(n_concepts, bits.dtype), 0
    for i in range(len(bits)):
        starts[i], n_chosen = n_found, 0
        for run in range(n_runs):
            chosen[n_chosen] = run
            n_chosen += largest[i, run] >= bounds[i]
        _order(bits[i], form, key)
        for at in range(n_chosen):
            for j in range(chosen[at], n_concepts, n_runs):
                concepts[n_found] = j
                n_found += key[j] >= bounds[i]
    starts[len(bits)] = n_found


@compiled
def _order(bits: Array, form: Form, keys: Array) -> None:
    """Turn the bits of floating-point numbers into integers of the same order, NaN the largest."""
    size, infinity = form
    for j in range(len(bits)):
        key = bits[j] ^ size if bits[j] < 0 else bits[j]
        keys[j] = size if (bits[j] & size) > infinity else key


@compiled
def _reached_by(n: int, n_more: int, keys: Array) -> Any:  # noqa: ANN401 (an integer of the type of keys)
    """Find the largest bound that n keys reach, or one that no more than so many more reach."""
    low, high = np.int64(keys.min()), np.int64(keys.max())
    while low < high:
        middle = (low + high + 1) >> 1
        bound, n_above = keys.dtype.type(middle), 0
        for j in range(len(keys)):
            n_above += keys[j] >= bound
        if n_above < n:
            high = middle - 1
        else:
            low = middle
            if n_above <= n + n_more:
                break
    return keys.dtype.type(low)


@compiled
def _score(shifted: Array, encoder: Arrays, cells: Array, by_concept: Arrays, scores: Array) -> None:
    """Concept by concept, so that weights, more than a cache holds, are read once and in order."""
    (w_enc, b_enc), (starts, entries) = encoder, by_concept
    for j in range(len(w_enc)):
        for at in range(starts[j], starts[j + 1]):
            scores[entries[at]] = dot(shifted[cells[entries[at]]], w_enc[j]) + b_enc[j]
