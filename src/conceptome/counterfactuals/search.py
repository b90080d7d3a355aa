"""Exact nearest admissible cells: blocked products with a running shortlist.

The distances of a block of queries to a block of cells are one matrix product in float32. It only proposes a
shortlist; the shortlist is measured again in float64, and a rounding bound proves that no other cell can be
nearer. A query without that proof is searched again in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

CELL_BLOCK = 4096
QUERY_BLOCK = 1024
CENTRE_CELLS = 10_000
SPARE = 8  # shortlisted cells beyond the neighbours asked for


@dataclass(frozen=True, eq=False)
class CellPool:
    """The cells to choose from and what makes one of them admissible."""

    values: Float[np.ndarray, "cells d_embed"]
    barred: Bool[np.ndarray, "cells concepts"]
    """Which cells may not be a counterfactual for which concept."""
    stratum: Int[np.ndarray, " cells"]
    """Both cells of a pair lie in the same stratum."""
    log_library: Float[np.ndarray, " cells"]
    """Natural logarithm of the library size; NaN when unknown."""
    caliper: float | None
    """Largest |difference of log library size| of a pair."""

    def distance(
        self, one: Int[np.ndarray, " *one_shape"], other: Int[np.ndarray, " *other_shape"]
    ) -> Float[np.ndarray, " *shape"]:
        """Measure Euclidean distances in float64, from differences rather than products; shapes broadcast."""
        difference = self.values[one].astype(np.float64) - self.values[other]
        return np.asarray(np.sqrt(np.einsum("...d,...d->...", difference, difference)))


@dataclass(frozen=True, eq=False)
class _Queries:
    cells: Int[np.ndarray, " queries"]
    concepts: Int[np.ndarray, " queries"]
    n_neighbours: int

    def take(self, chosen: Int[np.ndarray, " some"]) -> _Queries:
        return _Queries(self.cells[chosen], self.concepts[chosen], self.n_neighbours)


def nearest_admissible(
    pool: CellPool,
    cells: Int[np.ndarray, " queries"],
    concepts: Int[np.ndarray, " queries"],
    *,
    n_neighbours: int,
) -> Int[np.ndarray, "queries n_neighbours"]:
    """Find for each query the nearest cells that are admissible for its concept.

    Parameters
    ----------
    pool
        All cells and the rules of admission.
    cells
        Row positions of the queries.
    concepts
        The concept of each query, sorted.
    n_neighbours
        How many neighbours to find.

    Returns
    -------
    Row positions, nearest first; -1 where there are no more admissible cells. Of equally near cells the lower
    position comes first; where more than 8 of them have no room, any may stay out.
    """
    queries = _Queries(cells, concepts, n_neighbours)
    neighbours = np.full((len(cells), n_neighbours), -1, dtype=np.int64)
    for stratum in np.unique(pool.stratum[cells]):
        members = np.flatnonzero(pool.stratum == stratum)
        inside = np.flatnonzero(pool.stratum[cells] == stratum)
        for start in range(0, len(inside), QUERY_BLOCK):
            part = inside[start : start + QUERY_BLOCK]
            neighbours[part] = _nearest(pool, members, queries.take(part))
    return neighbours


def _nearest(
    pool: CellPool, members: Int[np.ndarray, " members"], queries: _Queries
) -> Int[np.ndarray, "queries n_neighbours"]:
    nearest, proven = _search(pool, members, queries, np.float32)
    unproven = np.flatnonzero(~proven)
    if len(unproven):
        nearest[unproven], _ = _search(pool, members, queries.take(unproven), np.float64)
    return nearest


def _search(
    pool: CellPool, members: Int[np.ndarray, " members"], queries: _Queries, dtype: type[np.floating[Any]]
) -> tuple[Int[np.ndarray, "queries n_neighbours"], Bool[np.ndarray, " queries"]]:
    """Return the nearest cells and whether rounding in `dtype` cannot have hidden a nearer one."""
    sample = members[:: max(1, len(members) // CENTRE_CELLS)]
    centre = pool.values[sample].mean(axis=0, dtype=np.float64)  # small norms lose fewer digits
    centred = (pool.values[queries.cells] - centre).astype(dtype)
    shortlist, last_score = _shortlist(pool, members, queries, centre, centred)

    distance = np.where(shortlist < 0, np.inf, pool.distance(queries.cells[:, None], shortlist))
    order = np.lexsort((shortlist, distance), axis=1)[:, : queries.n_neighbours]
    worst = np.take_along_axis(distance, order, axis=1)[:, -1]

    # A hidden cell y nearer than `worst` has |y| <= |q| + worst: this bounds the rounding of its score.
    norm = np.linalg.norm(centred.astype(np.float64), axis=1)
    all_listed = np.isinf(last_score)
    reach = np.where(all_listed, 0, worst)
    rounding = (len(centre) + 8) * np.finfo(dtype).eps * (2 * norm + reach) ** 2
    proven = all_listed | (last_score + norm**2 - rounding > reach**2)
    return np.take_along_axis(shortlist, order, axis=1), proven


def _shortlist(
    pool: CellPool,
    members: Int[np.ndarray, " members"],
    queries: _Queries,
    centre: Float[np.ndarray, " d_embed"],
    centred: Float[np.ndarray, "queries d_embed"],
) -> tuple[Int[np.ndarray, "queries size"], Float[np.ndarray, " queries"]]:
    """Keep the cells of lowest score = squared distance - |query|^2, and the largest score kept."""
    size = queries.n_neighbours + SPARE
    best = np.full((len(centred), size), np.inf, dtype=centred.dtype)
    best_cells = np.full((len(centred), size), -1, dtype=np.int64)
    left = np.column_stack([-2 * centred, np.ones(len(centred), dtype=centred.dtype)])
    for start in range(0, len(members), CELL_BLOCK):
        block = members[start : start + CELL_BLOCK]
        right = (pool.values[block] - centre).astype(centred.dtype)
        score = left @ np.column_stack([right, np.einsum("bd,bd->b", right, right)]).T
        _forbid(score, pool, block, queries)
        _keep_best(best, best_cells, score, block)
    return best_cells, best.max(axis=1)


def _forbid(
    score: Float[np.ndarray, "queries block"],
    pool: CellPool,
    block: Int[np.ndarray, " block"],
    queries: _Queries,
) -> None:
    """Set the score of inadmissible cells to infinity, in place."""
    concepts, starts = np.unique(queries.concepts, return_index=True)
    for concept, start, stop in zip(concepts, starts, [*starts[1:], len(score)], strict=True):
        score[start:stop, pool.barred[block, concept]] = np.inf
    if pool.caliper is not None:
        gap = pool.log_library[queries.cells][:, None] - pool.log_library[block][None, :]
        score[np.abs(gap) > pool.caliper] = np.inf


def _keep_best(
    best: Float[np.ndarray, "queries size"],
    best_cells: Int[np.ndarray, "queries size"],
    score: Float[np.ndarray, "queries block"],
    block: Int[np.ndarray, " block"],
) -> None:
    """Merge a block's lowest scores into the running best, in place; most rows soon have nothing to merge."""
    improves = np.flatnonzero(score.min(axis=1) < best.max(axis=1))
    size = best.shape[1]
    found = score[improves]
    if found.shape[1] > size:
        nearest = np.argpartition(found, size - 1, axis=1)[:, :size]
    else:
        nearest = np.broadcast_to(np.arange(found.shape[1]), found.shape)
    scores = np.concatenate([best[improves], np.take_along_axis(found, nearest, axis=1)], axis=1)
    cells = np.concatenate([best_cells[improves], block[nearest]], axis=1)
    cells[np.isinf(scores)] = -1
    kept = np.argpartition(scores, size - 1, axis=1)[:, :size]
    best[improves] = np.take_along_axis(scores, kept, axis=1)
    best_cells[improves] = np.take_along_axis(cells, kept, axis=1)
