import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptome.counterfactuals.assignment import assign_distinct
from conceptome.counterfactuals.search import CellPool, nearest_admissible


def world(seed, n_factuals, n_others):
    values = np.random.default_rng(seed).normal(size=(n_factuals + n_others, 2))
    n_cells = len(values)
    barred = (np.arange(n_cells) < n_factuals)[:, None]
    pool = CellPool(values, barred, np.zeros(n_cells, dtype=int), np.full(n_cells, np.nan), None)
    return pool, np.arange(n_factuals)


def assigned(pool, factual, n_counterfactuals=1):
    n_neighbours = len(factual) * n_counterfactuals
    found = nearest_admissible(pool, factual, np.zeros_like(factual), n_neighbours=n_neighbours)
    return assign_distinct(pool, factual, found, n_counterfactuals=n_counterfactuals)


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(4, 7))
@settings(max_examples=30, deadline=None)
def test_total_distance_is_the_least_possible(seed, n_factuals, n_others):
    pool, factual = world(seed, n_factuals, n_others)
    chosen = assigned(pool, factual)[:, 0]
    assert len(set(chosen.tolist())) == n_factuals
    others = range(n_factuals, n_factuals + n_others)
    least = min(
        sum(np.linalg.norm(pool.values[f] - pool.values[c]) for f, c in zip(factual, choice, strict=True))
        for choice in itertools.permutations(others, n_factuals)
    )
    np.testing.assert_allclose(pool.distance(factual, chosen).sum(), least)


def test_several_counterfactuals_are_distinct_and_nearest_first():
    pool, factual = world(0, 5, 30)
    chosen = assigned(pool, factual, 3)
    assert len(np.unique(chosen)) == 15
    assert (np.diff(pool.distance(factual[:, None], chosen), axis=1) >= 0).all()


def test_factuals_go_without_where_candidates_run_out():
    pool, factual = world(1, 5, 3)
    chosen = assigned(pool, factual)[:, 0]
    assert sorted(chosen[chosen >= 0].tolist()) == [5, 6, 7]
    assert (chosen == -1).sum() == 2


def test_every_factual_gets_its_first_before_any_gets_a_second():
    for seed in range(20):
        pool, factual = world(seed, 5, 7)
        chosen = assigned(pool, factual, 2)
        assert (chosen[:, 0] >= 0).all()
        assert (chosen[:, 1] >= 0).sum() == 2
        assert len(np.unique(chosen[chosen >= 0])) == 7
        np.testing.assert_array_equal(chosen[:, 0], assigned(pool, factual)[:, 0])


def test_no_candidate_at_all():
    pool, factual = world(2, 3, 0)
    np.testing.assert_array_equal(assigned(pool, factual, 2), np.full((3, 2), -1))
