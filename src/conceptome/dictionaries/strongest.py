"""Compiled selection of a cell's k strongest concepts."""

from __future__ import annotations

import numpy as np

from conceptome.dictionaries.kernels import Array, Arrays, compiled, dot

N_HALVINGS = 8
LEAST_RUNS, LONGEST_RUN = 4, 16


@compiled
def select_strongest(pre: Array, k: int, indices: Array, values: Array) -> None:
    """Find the k largest pre-activations of each row; of equal ones those of lower index.

    Of a long row, every so manieth number forms a run. A bound that the largest numbers of k runs or more
    reach leaves out all other runs, and hardly more than k numbers have to be put in order.

    Parameters
    ----------
    pre
        ``(n_rows, n_concepts)``.
    k
        How many.
    indices, values
        ``(n_rows, k)``, written: concepts and their activations, the strongest first; 0 where the
        pre-activation is negative, NaN stays.
    """
    n_rows, n_concepts = pre.shape
    n_runs = max(LEAST_RUNS * k, n_concepts // LONGEST_RUN)
    largest = np.empty(n_runs, np.float32)
    for i in range(n_rows):
        row, own, best = pre[i], indices[i], values[i]
        if n_concepts >= 2 * n_runs and _finite(row):
            _largest_of_runs(row, largest)
            bound, n_found = _reached_by(k, largest), 0
            for run in range(n_runs):
                if largest[run] >= bound:
                    for j in range(run, n_concepts, n_runs):
                        if row[j] >= bound:
                            _insert(row[j], j, n_found, best, own)
                            n_found += 1
        else:
            for j in range(n_concepts):
                if best[0] == best[0] or j == 0:  # NaN goes first and stays there
                    _insert(row[j], j, j, best, own)
        for at in range(k):
            best[at] = max(best[at], 0)


@compiled
def select_rescored(
    shifted: Array, encoder: Arrays, candidates: Array, indices: Array, values: Array
) -> None:
    """Compute the pre-activations of a few concepts per cell, and find the k largest.

    Parameters
    ----------
    shifted
        Cells minus b_dec, ``(n_rows, d_embed)``.
    encoder
        ``w_enc, b_enc``.
    candidates
        Concepts, ``(n_rows, n_candidates)``, k or more.
    indices, values
        As for `select_strongest`.
    """
    w_enc, b_enc = encoder
    for i in range(len(shifted)):
        own, best = indices[i], values[i]
        for at in range(candidates.shape[1]):
            j = candidates[i, at]
            score = dot(shifted[i], w_enc[j]) + b_enc[j]
            if best[0] == best[0] or at == 0:
                _insert(score, j, at, best, own)
        for at in range(len(best)):
            best[at] = max(best[at], 0)


@compiled
def _finite(row: Array) -> bool:
    total = np.float32(0)
    for j in range(len(row)):
        total += row[j] * np.float32(0)
    return bool(total == 0)


@compiled
def _largest_of_runs(row: Array, largest: Array) -> None:
    n_runs = len(largest)
    largest[:] = row[:n_runs]
    for start in range(n_runs, len(row), n_runs):
        part = row[start : start + n_runs]
        for run in range(len(part)):
            largest[run] = max(largest[run], part[run])


@compiled
def _reached_by(k: int, numbers: Array) -> np.float32:
    """Find a bound that k numbers or a few more reach, by halving."""
    low, high = np.float32(numbers.min()), np.float32(numbers.max())
    for _ in range(N_HALVINGS):
        middle = np.float32((low + high) / 2)
        n_above = 0
        for run in range(len(numbers)):
            n_above += numbers[run] >= middle
        if n_above >= k:
            low = middle
        else:
            high = middle
    return low


@compiled
def _behind(value: np.float32, j: int, other: np.float32, its: int) -> bool:
    """Whether a number is smaller than another, or equal and of higher index; NaN never is."""
    return bool(value < other or (value == other and j > its))


@compiled
def _insert(value: np.float32, j: int, n_found: int, best: Array, own: Array) -> None:
    """Put a number into a sorted list that holds as many as were found, and lets the last one fall out."""
    k = len(best)
    last = k - 1
    if n_found >= k and _behind(value, j, best[last], own[last]):
        return
    at = min(n_found, last)
    while at > 0 and not _behind(value, j, best[at - 1], own[at - 1]):
        best[at] = best[at - 1]
        own[at] = own[at - 1]
        at -= 1
    best[at] = value
    own[at] = j
