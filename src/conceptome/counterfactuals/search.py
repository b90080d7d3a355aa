"""Exact nearest admissible cells: blocked products with a running shortlist.

The distances of a block of queries to a block of cells are one matrix product in float32. It only proposes a
shortlist; the shortlist is measured again in float64, and a rounding bound proves that no other cell can be
nearer. A query without that proof is searched again in float64. All cells are read once, a block at a time,
for the queries of all concepts; the queries are shared among threads.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from threadpoolctl import threadpool_info, threadpool_limits

from conceptome.counterfactuals.shortlist import Asked, Block, Rules, Shortlists, keep_lowest

logger = logging.getLogger(__name__)

CELL_BLOCK = 4096
QUERY_BLOCK = 1024
MEASURED_CELLS = 8192  # cells measured again at a time
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
    with _threads() as threads:
        for stratum in np.unique(pool.stratum[cells]):
            members = np.flatnonzero(pool.stratum == stratum)
            inside = np.flatnonzero(pool.stratum[cells] == stratum)
            neighbours[inside] = _nearest(threads, pool, members, queries.take(inside))
    return neighbours


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Start as many threads as the matrix products have; each product then has one."""
    products = [library for library in threadpool_info() if library["user_api"] == "blas"]
    n_threads = max((library["num_threads"] for library in products), default=1)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(n_threads) as threads:
        yield threads


def _nearest(
    threads: ThreadPoolExecutor, pool: CellPool, members: Int[np.ndarray, " members"], queries: _Queries
) -> Int[np.ndarray, "queries n_neighbours"]:
    nearest, proven = _search(threads, pool, members, queries, np.float32)
    unproven = np.flatnonzero(~proven)
    if len(unproven):
        logger.debug("%d of %d queries are searched again in float64", len(unproven), len(proven))
        nearest[unproven], _ = _search(threads, pool, members, queries.take(unproven), np.float64)
    return nearest


def _search(
    threads: ThreadPoolExecutor,
    pool: CellPool,
    members: Int[np.ndarray, " members"],
    queries: _Queries,
    dtype: type[np.floating[Any]],
) -> tuple[Int[np.ndarray, "queries n_neighbours"], Bool[np.ndarray, " queries"]]:
    """Return the nearest cells and whether rounding in `dtype` cannot have hidden a nearer one."""
    sample = members[:: max(1, len(members) // CENTRE_CELLS)]
    centre = pool.values[sample].mean(axis=0, dtype=np.float64)  # small norms lose fewer digits
    centred = _centred(pool.values[queries.cells], centre, np.dtype(dtype))
    blocks = _blocks(pool, members, centre, np.dtype(dtype))
    shortlist, last_score = _shortlist(threads, pool, blocks, queries, centred)
    nearest, worst = _measure(pool, queries, shortlist)

    # A hidden cell y nearer than `worst` has |y| <= |q| + worst: this bounds the rounding of its score.
    norm = np.sqrt(np.einsum("qd,qd->q", centred, centred, dtype=np.float64))
    all_listed = np.isinf(last_score)
    reach = np.where(all_listed, 0, worst)
    rounding = (len(centre) + 8) * np.finfo(dtype).eps * (2 * norm + reach) ** 2
    proven = all_listed | (last_score + norm**2 - rounding > reach**2)
    return nearest, proven


def _shortlist(
    threads: ThreadPoolExecutor,
    pool: CellPool,
    blocks: Iterable[Block],
    queries: _Queries,
    centred: Float[np.ndarray, "queries d_embed"],
) -> tuple[Int[np.ndarray, "queries size"], Float[np.ndarray, " queries"]]:
    """Keep the cells of lowest score = squared distance - |query|^2, and the largest score kept."""
    shape = (len(centred), queries.n_neighbours + SPARE)
    scores, listed = np.full(shape, np.inf, centred.dtype), np.full(shape, -1, dtype=np.int64)
    rules = Rules(pool.barred, pool.log_library, np.inf if pool.caliper is None else pool.caliper)
    parts = [slice(start, start + QUERY_BLOCK) for start in range(0, len(centred), QUERY_BLOCK)]
    doubled = -2 * centred

    def enter(part: slice, block: Block) -> None:
        asked = Asked(queries.cells[part], queries.concepts[part])
        lists = Shortlists(scores[part], listed[part])
        keep_lowest(doubled[part] @ block.values.T, block, asked, rules, lists)

    for block in blocks:
        list(threads.map(enter, parts, repeat(block)))
    return listed, scores[:, 0]


def _blocks(
    pool: CellPool,
    members: Int[np.ndarray, " members"],
    centre: Float[np.ndarray, " d_embed"],
    dtype: np.dtype[Any],
) -> Iterator[Block]:
    """Read the cells of a stratum, a block at a time."""
    for start in range(0, len(members), CELL_BLOCK):
        cells = members[start : start + CELL_BLOCK]
        values = _centred(pool.values[cells], centre, dtype)
        yield Block(cells, values, np.einsum("bd,bd->b", values, values))


def _centred(
    values: Float[np.ndarray, "cells d_embed"], centre: Float[np.ndarray, " d_embed"], dtype: np.dtype[Any]
) -> Float[np.ndarray, "cells d_embed"]:
    """Subtract the centre with the digits of the values, and round then."""
    own = np.result_type(values, dtype)
    return np.asarray(values.astype(own, copy=False) - centre.astype(own), dtype=dtype)


def _measure(
    pool: CellPool, queries: _Queries, shortlist: Int[np.ndarray, "queries size"]
) -> tuple[Int[np.ndarray, "queries n_neighbours"], Float[np.ndarray, " queries"]]:
    """Return the nearest of the shortlisted cells by their distance in float64, and the farthest of these."""
    nearest = np.empty((len(shortlist), queries.n_neighbours), dtype=np.int64)
    worst = np.empty(len(shortlist))
    step = max(1, MEASURED_CELLS // shortlist.shape[1])
    for start in range(0, len(shortlist), step):
        rows = slice(start, start + step)
        cells = shortlist[rows]
        distance = np.where(cells < 0, np.inf, pool.distance(queries.cells[rows, None], cells))
        order = np.lexsort((cells, distance), axis=1)[:, : queries.n_neighbours]
        nearest[rows] = np.take_along_axis(cells, order, axis=1)
        worst[rows] = np.take_along_axis(distance, order[:, -1:], axis=1)[:, 0]
    return nearest, worst
