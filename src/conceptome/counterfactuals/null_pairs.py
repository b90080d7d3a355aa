"""Null pairs: two cells that both activate the concept, as far apart as a real pair is."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from conceptome.counterfactuals.search import CellPool

MAX_CANDIDATES = 4096
PARTNERS = 2


def draw_null_pairs(
    pool: CellPool,
    active: Int[np.ndarray, " active"],
    *,
    factual: Int[np.ndarray, " pairs"],
    counterfactual: Int[np.ndarray, " pairs"],
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, " null"], Int[np.ndarray, " null"]]:
    """Find for each real pair two other active cells that stand to its factual as its counterfactual does.

    Partners are the cells of the factual's stratum whose (log distance, |log library ratio|) to it come
    nearest to the real pair's. No pair of cells is used twice. The orientation is random, and so is the
    order of the two partners: entries 0, 2, 4 ... and 1, 3, 5 ... are two exchangeable halves.

    Parameters
    ----------
    pool
        All cells.
    active
        The cells that activate the concept, in an order that does not depend on how the data is sorted.
    factual
        Factuals of the real pairs, each once.
    counterfactual
        Their counterfactuals.
    rng
        Source of randomness.

    Returns
    -------
    The cells to be edited and the cells to substitute from, two entries for each real pair that found them.
    """
    others = active[~np.isin(active, factual)]
    if len(others) > MAX_CANDIDATES:
        others = rng.choice(others, MAX_CANDIDATES, replace=False)
    candidates = np.concatenate([factual, others])
    mismatch = _mismatch(pool, candidates, factual=factual, counterfactual=counterfactual)
    anchors, partners = _assign(mismatch)
    for row in range(0, len(partners), PARTNERS):
        rng.shuffle(partners[row : row + PARTNERS])
    pairs = np.column_stack([factual[anchors], candidates[partners]])
    pairs = rng.permuted(pairs, axis=1)
    return pairs[:, 0], pairs[:, 1]


def _mismatch(
    pool: CellPool,
    candidates: Int[np.ndarray, " candidates"],
    *,
    factual: Int[np.ndarray, " pairs"],
    counterfactual: Int[np.ndarray, " pairs"],
) -> Float[np.ndarray, "pairs candidates"]:
    """Measure how badly each candidate imitates each real pair; infinite where it may not be used."""
    distances = _distances(pool.values[factual], pool.values[candidates])
    target = pool.distance(factual, counterfactual)[:, None]
    mismatch = (_log(distances) - _log(target)) ** 2
    if not np.isnan(pool.log_library).any():
        library, target_gap = pool.log_library, pool.log_library[factual] - pool.log_library[counterfactual]
        gap = np.abs(library[factual][:, None] - library[candidates][None, :])
        mismatch += (gap - np.abs(target_gap)[:, None]) ** 2
    mismatch[pool.stratum[candidates][None, :] != pool.stratum[factual][:, None]] = np.inf
    np.fill_diagonal(mismatch, np.inf)  # the candidates begin with the factuals themselves
    return np.asarray(mismatch)


def _distances(
    one: Float[np.ndarray, "pairs d_embed"], other: Float[np.ndarray, "candidates d_embed"]
) -> Float[np.ndarray, "pairs candidates"]:
    """Measure distances through one product in float64, several times as fast as from differences."""
    centre = one.mean(axis=0, dtype=np.float64)
    one, other = one - centre, other - centre
    squares = np.einsum("pd,pd->p", one, one)[:, None] + np.einsum("cd,cd->c", other, other)
    return np.asarray(np.sqrt(np.maximum(squares - 2 * one @ other.T, 0)))


def _log(distance: Float[np.ndarray, "pairs others"]) -> Float[np.ndarray, "pairs others"]:
    return np.asarray(np.log(np.maximum(distance, np.finfo(np.float64).tiny)))


def _assign(
    mismatch: Float[np.ndarray, "pairs candidates"],
) -> tuple[Int[np.ndarray, " null"], Int[np.ndarray, " null"]]:
    """Give each row its best two columns, in turn; a pair of two factuals is taken by one of them only."""
    anchors: list[int] = []
    partners: list[int] = []
    for row in range(len(mismatch)):
        first = int(mismatch[row].argmin())
        without_first = mismatch[row].copy()
        without_first[first] = np.inf
        second = int(without_first.argmin())
        if np.isinf(without_first[second]):
            continue
        anchors += [row] * PARTNERS
        partners += [first, second]
        mismatch[[column for column in (first, second) if column < len(mismatch)], row] = np.inf
    return np.array(anchors, dtype=np.int64), np.array(partners, dtype=np.int64)
