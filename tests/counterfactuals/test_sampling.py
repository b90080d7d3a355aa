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


def test_stratified_draws_equally_from_quintiles():
    _, activation = draw(500, 65)
    quintile = ((activation - 1) // 100).astype(int)
    np.testing.assert_array_equal(np.bincount(quintile), [13] * 5)


def test_quintiles_differ_by_one_at_most():
    _, activation = draw(500, 64)
    assert sorted(np.bincount(((activation - 1) // 100).astype(int))) == [12, 13, 13, 13, 13]


def test_top_takes_the_strongest_in_order():
    _, activation = draw(200, 30, "top")
    np.testing.assert_array_equal(activation, np.arange(200, 170, -1))


def test_seed_decides():
    assert (draw(300, 40, seed=1)[0] == draw(300, 40, seed=1)[0]).all()
    assert (draw(300, 40, seed=1)[0] != draw(300, 40, seed=2)[0]).any()
