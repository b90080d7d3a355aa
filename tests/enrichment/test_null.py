import numpy as np
from scipy.stats import chisquare

from conceptome.enrichment import null
from conceptome.enrichment.null import random_ranks
from conceptome.enrichment.rankings import Rankings


def test_sets_are_sorted_distinct_and_uniform():
    ranks = random_ranks(30, 7, n_sets=6000, seed=0)
    assert ranks.shape == (6000, 7)
    assert (np.diff(ranks.astype(int), axis=1) > 0).all()
    assert chisquare(np.bincount(ranks.ravel(), minlength=30)).pvalue > 1e-3
    both = (np.isin(ranks, [0, 1]).sum(axis=1) == 2).mean()  # 7 * 6 / (30 * 29)
    assert abs(both - 42 / 870) < 4 * np.sqrt(42 / 870 / 6000)
    assert (random_ranks(5, 5, n_sets=3, seed=0) == np.arange(5)).all()


def test_draws_follow_seed_size_and_universe():
    one = random_ranks(50, 5, n_sets=20, seed=0)
    assert (one == random_ranks(50, 5, n_sets=20, seed=0)).all()
    assert (one != random_ranks(50, 5, n_sets=20, seed=1)).any()
    assert (one != random_ranks(51, 5, n_sets=20, seed=0)).any()
    assert not np.isin(one[:, 0], random_ranks(50, 6, n_sets=20, seed=0)[:, 0]).all()


def test_blocks_of_draws_change_nothing(monkeypatch):
    whole = random_ranks(200, 12, n_sets=100, seed=0)
    monkeypatch.setattr(null, "BLOCK_SETS", 21)
    assert (random_ranks(200, 12, n_sets=100, seed=0) == whole).all()


def test_concepts_side_by_side_score_as_each_alone():
    scores = np.random.default_rng(0).standard_normal((37, 200)).round(1)
    ranks = random_ranks(200, 12, n_sets=100, seed=0)
    together = Rankings.of(scores).scores(ranks)
    for concept in (0, 20, 36):
        assert (Rankings.of(scores[concept : concept + 1]).scores(ranks)[:, 0] == together[:, concept]).all()
