"""Compiled selection of a cell's k strongest concepts, exact or from candidates of a rounded product."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from conceptome.dictionaries.kernels import Array, Arrays, compiled, dot, group_by_concept

Form: TypeAlias = tuple[np.signedinteger[Any], np.signedinteger[Any]]

LEAST_RUNS, LONGEST_RUN = 4, 16
FORMS: dict[np.dtype[Any], Form] = {
    np.dtype(np.int16): (np.int16(0x7FFF), np.int16(0x7F80)),  # bfloat16
    np.dtype(np.int32): (np.int32(0x7FFFFFFF), np.int32(0x7F800000)),  # float32
}
"""By the integers that floating-point numbers are read as: all bits but the sign, and infinity."""


def find_candidates(bits: Array, n_least: int, concepts: Array) -> Arrays:
    """Find some of the largest numbers of each row.

    Parameters
    ----------
    bits
        Numbers read as signed integers of their size, bfloat16 as int16 or float32 as int32,
        ``(n_rows, n_concepts)``. NaN counts as larger than all others.
    n_least
        How many at least, up to n_concepts; every number equal to the last of them is found too.
    concepts
        Room for the result, int32, ``(n_rows * n_concepts + 1,)``.

    Returns
    -------
    starts
        Where the candidates of a row begin, ``(n_rows + 1,)``.
    concepts
        Their columns, row by row.
    """
    starts = np.empty(len(bits) + 1, np.int64)
    _find(bits, n_least, FORMS[bits.dtype], starts, concepts)
    return starts, concepts[: starts[-1]]


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
def _find(bits: Array, n_least: int, form: Form, starts: Array, concepts: Array) -> None:
    """Leave out all runs, each made of every so manieth number, that do not reach a bound."""
    n_rows, n_concepts = bits.shape
    n_runs = max(LEAST_RUNS * n_least, n_concepts // LONGEST_RUN)
    if n_concepts < 2 * n_runs:
        n_runs = n_concepts
    key, largest = np.empty(n_concepts, bits.dtype), np.empty(n_runs, bits.dtype)
    chosen, n_found = np.empty(n_runs + 1, np.int32), 0
    for i in range(n_rows):
        _order(bits[i], form, key)
        largest[:] = key[:n_runs]
        for start in range(n_runs, n_concepts, n_runs):
            part = key[start : start + n_runs]
            for run in range(len(part)):
                largest[run] = max(largest[run], part[run])
        bound = _reached_by(n_least, n_least // 8, largest)
        starts[i], n_chosen = n_found, 0
        for run in range(n_runs):  # written, and kept only where it counts: no branch to guess
            chosen[n_chosen] = run
            n_chosen += largest[run] >= bound
        for at in range(n_chosen):
            for j in range(chosen[at], n_concepts, n_runs):
                concepts[n_found] = j
                n_found += key[j] >= bound
    starts[n_rows] = n_found


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
