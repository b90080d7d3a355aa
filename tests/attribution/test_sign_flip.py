import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, kstest

from conceptome.attribution import sign_flip
from conceptome.attribution.sign_flip import saddlepoint_tail, sign_flip_p, smallest_p


def rng(seed=0):
    return np.random.default_rng(seed)


def by_enumeration(sums):
    signs = np.array(list(itertools.product([-1, 1], repeat=len(sums))))
    observed = np.abs(sums.sum(axis=0))
    return (np.abs(signs @ sums) >= observed - 1e-9 * np.abs(sums).sum(axis=0)).mean(axis=0)


def by_halves(sums):
    """Count exactly, for up to about 40 clusters: all subset sums of both halves, one of them sorted."""
    weight = np.abs(sums)
    allowance = (weight.sum() - abs(sums.sum())) / 2 + 1e-12 * weight.sum()

    def subset_sums(values):
        result = np.zeros(1)
        for value in values:
            result = np.concatenate([result, result + value])
        return np.sort(result)

    one, other = subset_sums(weight[::2]), subset_sums(weight[1::2])
    return 2 * np.searchsorted(other, allowance - one, side="right").sum() / 2.0 ** len(sums)


@given(st.integers(1, 11), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_small_tests_equal_enumeration(n_clusters, seed):
    sums = rng(seed).normal(0.3, 1, size=(n_clusters, 6)) * (rng(seed + 1).random((n_clusters, 6)) < 0.8)
    np.testing.assert_allclose(
        sign_flip_p(sums, n_flips=2, rng=rng()), np.minimum(1, by_enumeration(sums)), rtol=1e-12
    )


def test_ties_in_integer_effects_count_as_reached():
    sums = rng(3).integers(-2, 4, size=(12, 50)).astype(float)
    np.testing.assert_allclose(sign_flip_p(sums, n_flips=2, rng=rng()), by_enumeration(sums), rtol=1e-12)


@given(st.integers(2, 9), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_p_ignores_order_sign_scale_and_empty_clusters(n_clusters, seed):
    sums = rng(seed).normal(0.5, 1, size=(n_clusters, 4))
    p = sign_flip_p(sums, n_flips=2, rng=rng())
    changed = np.concatenate([-3.7 * rng(seed).permutation(sums, axis=0), np.zeros((2, 4))])
    np.testing.assert_allclose(sign_flip_p(changed, n_flips=2, rng=rng()), p, rtol=1e-12)


@pytest.mark.parametrize("n_clusters", [5, 16, 64, 200])
def test_full_agreement_gives_the_smallest_attainable_p(n_clusters):
    sums = rng().random((n_clusters, 3)) + 0.01
    p = sign_flip_p(sums, n_flips=100, rng=rng())
    np.testing.assert_allclose(p, 2.0 ** (1 - n_clusters), rtol=1e-12)
    np.testing.assert_array_equal(smallest_p(sums), p)


def test_no_effect_at_all_has_p_one():
    np.testing.assert_array_equal(sign_flip_p(np.zeros((20, 3)), n_flips=100, rng=rng()), 1.0)


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_tail_agrees_with_exact_counts_at_30_clusters(spread, monkeypatch):
    monkeypatch.setattr(sign_flip, "RELIABLE_COUNT", np.inf)
    random = rng(5)
    checked = []
    for _ in range(40):
        sums = random.lognormal(0, spread, 30) * np.where(
            random.random(30) < random.uniform(0.05, 0.3), -1, 1
        )
        exact = by_halves(sums)
        if exact < 0.008:
            checked.append(sign_flip_p(sums[:, None], n_flips=10_000, rng=rng())[0] / exact)
    assert len(checked) >= 10
    assert 0.85 < min(checked) <= max(checked) < 1.15


def test_one_huge_cluster_halves_p_and_leaves_the_rest_to_the_tail():
    """On its own the saddlepoint would have to bridge six orders of magnitude."""
    sums = np.concatenate([np.ones(10), 1e-6 * rng(2).normal(0.4, 1, 26)])
    np.testing.assert_allclose(
        sign_flip_p(sums[:, None], n_flips=10_000, rng=rng())[0], by_halves(sums), rtol=0.15
    )


def test_tail_agrees_with_ten_million_flips_at_64_clusters():
    sums = rng(11).exponential(size=64) * np.where(rng(12).random(64) < 0.2, -1, 1)
    n_flips = 10_000_000
    signs = np.array(list(itertools.product([-1, 1], repeat=8)))
    flips = rng(13).integers(256, size=(8, n_flips), dtype=np.uint8)  # eight clusters to a byte
    flipped = sum((signs @ part)[byte] for part, byte in zip(sums.reshape(8, 8), flips, strict=True))
    reached = int((np.abs(flipped) >= abs(sums.sum())).sum())
    p = sign_flip_p(sums[:, None], n_flips=10_000, rng=rng())[0]
    assert 200 < reached < 100_000, "the example must lie in the tail"
    low, high = binom.interval(1 - 1e-4, n_flips, p)
    assert 0.95 * low <= reached <= 1.05 * high


def test_saddlepoint_equals_the_normal_tail_for_many_small_weights():
    weight = np.full((4000, 1), 1.0)
    exact = binom.sf(2000 + 95 - 1, 4000, 0.5)
    assert saddlepoint_tail(weight, np.array([189.0]))[0] == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize("n_clusters", [14, 60])
def test_p_is_uniform_under_symmetric_effects(n_clusters):
    sums = rng(21).standard_t(3, size=(n_clusters, 4000))
    p = sign_flip_p(sums, n_flips=10_000, rng=rng(22))
    for alpha in (0.5, 0.1, 0.05, 0.01):
        low, high = binom.interval(0.999, 4000, alpha)
        assert low <= (p <= alpha).sum() <= high
    assert kstest(p, "uniform").pvalue > 1e-3


def test_few_flips_are_counted_where_the_approximation_does_not_hold():
    """Shares of about a half lie far from the tail: the formula would be wrong by orders of magnitude."""
    sums = rng(31).normal(size=(40, 200))
    few, many = (sign_flip_p(sums, n_flips=n, rng=rng(32)) for n in (20, 20_000))
    central = many > 0.5
    assert central.sum() > 50
    assert np.abs(few[central] - many[central]).max() < 0.5
    assert (few[central] > 0.1).all()


def test_drawing_ends_when_every_gene_is_settled():
    class Counting:
        n_drawn = 0

        def integers(self, high, *, size):
            self.n_drawn += size[0]
            return np.random.default_rng(self.n_drawn).integers(high, size=size)

    counting = Counting()
    share = sign_flip._sampled_share.__wrapped__(
        np.ones((40, 2)), np.array([20.0, 18.0]), n_flips=100_000, rng=counting
    )
    assert counting.n_drawn == sign_flip.FLIP_BLOCK
    np.testing.assert_allclose(share, binom.cdf([20, 18], 40, 0.5), rtol=0.1)


def test_same_seed_same_p():
    sums = rng(1).normal(size=(40, 30))
    one, other = (sign_flip_p(sums, n_flips=3000, rng=rng(4)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
