import numpy as np
from scipy.stats import chisquare

from conceptome.enrichment import null
from conceptome.enrichment.null import null_scores, random_ranks
from conceptome.enrichment.rankings import Rankings


def test_sets_are_sorted_distinct_and_uniform():
    ranks = random_ranks(30, 7, n_sets=6000, seed=0)
    assert ranks.shape == (7, 6000)
    assert (np.diff(ranks, axis=0) > 0).all()
    assert chisquare(np.bincount(ranks.ravel(), minlength=30)).pvalue > 1e-3
    pairs = np.bincount(ranks[0] * 30 + ranks[1], minlength=900)
    first_two = pairs[1] / 6000  # {0, 1} both drawn: 7 * 6 / (30 * 29)
    assert abs(first_two - 42 / 870) < 4 * np.sqrt(42 / 870 / 6000)


def test_draws_follow_seed_size_and_universe():
    one = random_ranks(50, 5, n_sets=20, seed=0)
    assert (one == random_ranks(50, 5, n_sets=20, seed=0)).all()
    assert (one != random_ranks(50, 5, n_sets=20, seed=1)).any()
    assert (one != random_ranks(51, 5, n_sets=20, seed=0)).any()
    assert not np.isin(one[0], random_ranks(50, 6, n_sets=20, seed=0)[0]).all()


def test_blocks_change_nothing(monkeypatch):
    rankings = Rankings.of(np.random.default_rng(0).standard_normal((3, 200)).round(1))
    ranks = random_ranks(200, 12, n_sets=100, seed=0)
    whole = null_scores(rankings, ranks)
    monkeypatch.setattr(null, "BLOCK_VALUES", 21)
    assert (null_scores(rankings, ranks) == whole).all()
    alone = Rankings.of(np.random.default_rng(0).standard_normal((3, 200)).round(1)[1:2])
    assert (null_scores(alone, ranks)[:, 0] == whole[:, 1]).all()
