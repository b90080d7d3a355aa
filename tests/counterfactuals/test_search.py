import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from conceptome.counterfactuals import search
from conceptome.counterfactuals.search import CellPool, nearest_admissible


def make_pool(seed, *, n_cells=300, d_embed=4, n_concepts=6, n_strata=1, caliper=None, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return CellPool(
        values=(5 + rng.normal(size=(n_cells, d_embed))).astype(dtype),
        barred=rng.random((n_cells, n_concepts)) < 0.3,
        stratum=rng.integers(n_strata, size=n_cells),
        log_library=rng.normal(8, 0.4, n_cells),
        caliper=caliper,
    )


def queries_of(pool):
    concepts, cells = np.nonzero(pool.barred.T)
    return cells, concepts


def by_brute_force(pool, cells, concepts, n_neighbours):
    values = pool.values.astype(np.float64)
    distance = cdist(values[cells], values)
    distance[pool.barred.T[concepts]] = np.inf
    distance[pool.stratum[cells][:, None] != pool.stratum] = np.inf
    if pool.caliper is not None:
        distance[np.abs(pool.log_library[cells][:, None] - pool.log_library) > pool.caliper] = np.inf
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :n_neighbours]
    return np.where(np.isinf(np.take_along_axis(distance, nearest, axis=1)), -1, nearest)


@pytest.mark.parametrize("n_neighbours", [1, 3])
@pytest.mark.parametrize("n_strata", [1, 4])
@pytest.mark.parametrize("caliper", [None, 0.2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_brute_force(n_neighbours, n_strata, caliper, dtype, monkeypatch):
    monkeypatch.setattr(search, "CELL_BLOCK", 64)
    monkeypatch.setattr(search, "QUERY_BLOCK", 50)
    pool = make_pool(1, n_strata=n_strata, caliper=caliper, dtype=dtype)
    cells, concepts = queries_of(pool)
    found = nearest_admissible(pool, cells, concepts, n_neighbours=n_neighbours)
    np.testing.assert_array_equal(found, by_brute_force(pool, cells, concepts, n_neighbours))


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_equals_brute_force_on_small_worlds(seed, n_cells, n_neighbours):
    pool = make_pool(seed, n_cells=n_cells, n_strata=3, caliper=0.5)
    cells, concepts = queries_of(pool)
    found = nearest_admissible(pool, cells, concepts, n_neighbours=n_neighbours)
    expected = by_brute_force(pool, cells, concepts, n_neighbours)
    np.testing.assert_array_equal(found[:, : expected.shape[1]], expected)
    assert (found[:, expected.shape[1] :] == -1).all()


def test_cells_closer_than_float32_can_tell_are_searched_again(monkeypatch):
    """Far from the origin of a wide cloud, float32 scores of near twins are rounding noise."""
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1e4, (200, 3)), 1e4 + rng.normal(0, 1e-3, (200, 3))])
    active = np.zeros((400, 1), dtype=bool)
    active[300:] = True
    pool = CellPool(values, active, np.zeros(400, dtype=int), np.full(400, np.nan), None)
    dtypes = []
    original = search._search
    monkeypatch.setattr(search, "_search", lambda *args: dtypes.append(args[-1]) or original(*args))
    cells, concepts = queries_of(pool)
    found = nearest_admissible(pool, cells, concepts, n_neighbours=1)
    np.testing.assert_array_equal(found, by_brute_force(pool, cells, concepts, 1))
    assert dtypes == [np.float32, np.float64]


def test_equal_distances_go_to_the_lower_position():
    values = np.zeros((6, 2), dtype=np.float32)
    active = np.array([[True], [False], [False], [True], [False], [False]])
    pool = CellPool(values, active, np.zeros(6, dtype=int), np.full(6, np.nan), None)
    found = nearest_admissible(pool, np.array([3, 0]), np.array([0, 0]), n_neighbours=2)
    np.testing.assert_array_equal(found, [[1, 2], [1, 2]])


def test_of_very_many_equal_distances_any_are_found():
    values = np.zeros((300, 2), dtype=np.float32)
    barred = np.zeros((300, 1), dtype=bool)
    barred[150] = True
    pool = CellPool(values, barred, np.zeros(300, dtype=int), np.full(300, np.nan), None)
    found = nearest_admissible(pool, np.array([150]), np.array([0]), n_neighbours=3)[0]
    assert len(np.unique(found)) == 3
    assert ((found >= 0) & (found != 150)).all()


def test_number_of_threads_does_not_matter():
    pool = make_pool(4, n_cells=900, n_concepts=8)
    cells, concepts = queries_of(pool)
    assert len(cells) > 2 * search.QUERY_BLOCK
    found = []
    for n_threads in (1, 3):
        with threadpool_limits(n_threads):
            found.append(nearest_admissible(pool, cells, concepts, n_neighbours=5))
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(found[0], by_brute_force(pool, cells, concepts, 5))


def test_values_on_disk_are_read_block_by_block(tmp_path, monkeypatch):
    pool = make_pool(5, n_cells=20_000, d_embed=64, n_concepts=1)
    np.save(tmp_path / "cells.npy", pool.values)
    on_disk = replace(pool, values=np.load(tmp_path / "cells.npy", mmap_mode="r"))
    monkeypatch.setattr(search, "CELL_BLOCK", 100)
    monkeypatch.setattr(search, "CENTRE_CELLS", 100)
    cells = np.arange(30)
    expected = nearest_admissible(pool, cells, np.zeros_like(cells), n_neighbours=1)  # compiles too
    tracemalloc.start()
    found = nearest_admissible(on_disk, cells, np.zeros_like(cells), n_neighbours=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found, expected)
    assert peak < on_disk.values.nbytes / 2, "a copy of all cells would take as much as they do"
