import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from conceptome.counterfactuals.sampling import draw_factuals


def draw(n_active, n_cells, sampling="stratified", seed=0):
    activation = np.random.default_rng(99).permutation(n_active) + 1.0
    cells = np.arange(1000, 1000 + n_active)
    drawn = draw_factuals(
        cells, activation, n_cells=n_cells, sampling=sampling, rng=np.random.default_rng(seed)
    )
    return drawn, activation[drawn - 1000]


@given(st.integers(1, 300), st.integers(1, 100), st.sampled_from(["stratified", "top"]))
def test_draws_without_repetition_as_many_as_there_are(n_active, n_cells, sampling):
    drawn, _ = draw(n_active, n_cells, sampling)
    assert len(set(drawn.tolist())) == len(drawn) == min(n_active, n_cells)


def stratum_of(n_active, activation):
    """Fifth of the total activation in which each cell lies, the strongest cells first."""
    every = np.arange(n_active, 0, -1.0)
    bounds = np.searchsorted(np.cumsum(every), every.sum() * np.arange(1, 5) / 5)
    return np.searchsorted(bounds, n_active - activation, side="right")


def test_stratified_draws_equally_from_fifths_of_the_total_activation():
    _, activation = draw(500, 65)
    np.testing.assert_array_equal(np.bincount(stratum_of(500, activation)), [13] * 5)


def test_strata_differ_by_one_at_most():
    _, activation = draw(500, 64)
    assert sorted(np.bincount(stratum_of(500, activation))) == [12, 13, 13, 13, 13]


def test_few_strong_cells_are_not_lost_among_many_weak_ones():
    activation = np.concatenate([np.full(12, 5.0), np.full(240, 0.5)])
    cells = np.arange(252)
    drawn = draw_factuals(cells, activation, n_cells=64, sampling="stratified", rng=np.random.default_rng(0))
    assert np.isin(np.arange(12), drawn).sum() >= 8  # 3 by number of cells


def test_top_takes_the_strongest_in_order():
    _, activation = draw(200, 30, "top")
    np.testing.assert_array_equal(activation, np.arange(200, 170, -1))


def test_seed_decides():
    assert (draw(300, 40, seed=1)[0] == draw(300, 40, seed=1)[0]).all()
    assert (draw(300, 40, seed=1)[0] != draw(300, 40, seed=2)[0]).any()
