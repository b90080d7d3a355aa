import numpy as np

from conceptome.counterfactuals.null_pairs import draw_null_pairs
from conceptome.counterfactuals.search import CellPool


def draw(n_active=120, n_pairs=40, n_strata=1, library=True, seed=0):
    rng = np.random.default_rng(seed)
    n_cells = n_active + 200
    pool = CellPool(
        values=rng.normal(size=(n_cells, 3)),
        barred=(np.arange(n_cells) < n_active)[:, None],
        stratum=rng.integers(n_strata, size=n_cells),
        log_library=rng.normal(8, 0.5, n_cells) if library else np.full(n_cells, np.nan),
        caliper=None,
    )
    factual = rng.choice(n_active, n_pairs, replace=False)
    counterfactual = rng.integers(n_active, n_cells, size=n_pairs)
    edited, lent = draw_null_pairs(
        pool,
        np.arange(n_active),
        factual=factual,
        counterfactual=counterfactual,
        rng=np.random.default_rng(seed + 1),
    )
    return pool, factual, counterfactual, edited, lent


def test_two_distinct_pairs_of_active_cells_for_each_factual():
    pool, factual, _, edited, lent = draw()
    assert len(edited) == 2 * len(factual)
    assert pool.barred[np.concatenate([edited, lent]), 0].all()
    assert (edited != lent).all()
    unordered = {frozenset(pair) for pair in zip(edited.tolist(), lent.tolist(), strict=True)}
    assert len(unordered) == len(edited)
    for half in (0, 1):
        for anchor, one, other in zip(factual, edited[half::2], lent[half::2], strict=True):
            assert anchor in (one, other)


def test_distances_and_library_ratios_are_those_of_the_real_pairs():
    pool, factual, counterfactual, edited, lent = draw(n_active=1500)
    real, null = pool.distance(factual, counterfactual), pool.distance(edited, lent)
    gap = np.abs(pool.log_library[factual] - pool.log_library[counterfactual])
    null_gap = np.abs(pool.log_library[edited] - pool.log_library[lent])
    for half in (0, 1):
        assert np.median(np.abs(np.log(null[half::2] / real))) < 0.05
        assert np.median(np.abs(null_gap[half::2] - gap)) < 0.05
    random = np.random.default_rng(0).permutation(len(real))
    assert np.median(np.abs(np.log(real[random] / real))) > 0.2, "matching must be harder than chance"


def test_without_library_sizes_distance_alone_is_matched():
    pool, factual, counterfactual, edited, lent = draw(n_active=1500, library=False)
    ratio = pool.distance(edited, lent) / np.repeat(pool.distance(factual, counterfactual), 2)
    assert np.median(np.abs(np.log(ratio))) < 0.01


def test_orientation_is_random():
    _, factual, _, edited, _ = draw(n_active=1500, n_pairs=200)
    anchored = (edited == np.repeat(factual, 2)).sum()
    assert 150 < anchored < 250


def test_null_pairs_stay_in_their_stratum():
    pool, _, _, edited, lent = draw(n_strata=3)
    assert len(edited) > 0
    assert (pool.stratum[edited] == pool.stratum[lent]).all()


def test_too_few_active_cells_give_fewer_null_pairs():
    _, factual, _, edited, lent = draw(n_active=4, n_pairs=4)
    assert len(factual) == 4
    unordered = {frozenset(pair) for pair in zip(edited.tolist(), lent.tolist(), strict=True)}
    assert len(unordered) == len(edited) <= 6
