import numpy as np
import pytest
from scipy.stats import false_discovery_control

from conceptome.attribution.sign_flip import sign_flip_p
from conceptome.attribution.summary import attribution, bootstrap, per_factual, sign_consistency, sign_test
from conceptome.core import Effects


def make_effects(act, *, differs=None, activation=None, cluster=None, factual=None, pre=None):
    act = np.asarray(act, dtype=float)
    rows = np.arange(len(act))
    return Effects(
        concept=0,
        act=act,
        pre=2 * act if pre is None else pre,
        differs=np.nan_to_num(act) != 0 if differs is None else differs,
        activation=np.ones(len(act)) if activation is None else np.asarray(activation, dtype=float),
        cluster=rows if cluster is None else np.asarray(cluster),
        factual=rows if factual is None else np.asarray(factual),
    )


def test_relative_is_a_ratio_of_sums():
    effects = make_effects([[1, 0, np.nan], [3, -2, np.nan]], activation=[2, 6])
    np.testing.assert_array_equal(attribution(effects, "relative"), [4 / 8, -2 / 8, np.nan])


def test_pre_is_a_mean_of_preactivation_effects():
    effects = make_effects([[1, 0], [3, -2]], activation=[2, 6])
    np.testing.assert_array_equal(attribution(effects, "pre"), [4.0, -2.0])


def test_effects_are_averaged_over_the_counterfactuals_of_a_factual():
    effects = make_effects(
        [[1, 0], [3, 0], [5, 2]], activation=[4, 4, 7], cluster=[1, 1, 0], factual=[0, 0, 1]
    )
    averaged = per_factual(effects)
    np.testing.assert_array_equal(averaged.act, [[2, 0], [5, 2]])
    np.testing.assert_array_equal(averaged.pre, [[4, 0], [10, 4]])
    np.testing.assert_array_equal(averaged.differs, [[True, False], [True, True]])
    np.testing.assert_array_equal(averaged.activation, [4, 7])
    np.testing.assert_array_equal(averaged.cluster, [1, 0])


def test_bootstrap_equals_a_plain_loop():
    rng = np.random.default_rng(0)
    effects = make_effects(rng.normal(1, 1, size=(30, 3)), activation=rng.uniform(1, 3, 30))
    se, low, high = bootstrap(effects, "relative", n_bootstrap=200, rng=np.random.default_rng(5))
    weights = np.random.default_rng(5).multinomial(30, np.full(30, 1 / 30), size=200)
    resampled = np.array(
        [
            [(w * effects.act[:, gene]).sum() / (w * effects.activation).sum() for gene in range(3)]
            for w in weights
        ]
    )
    np.testing.assert_allclose(se, resampled.std(axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(low, np.percentile(resampled, 2.5, axis=0), rtol=1e-12)
    np.testing.assert_allclose(high, np.percentile(resampled, 97.5, axis=0), rtol=1e-12)


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(10):
        activation = rng.uniform(1, 3, 64)
        effects = make_effects(
            0.2 * activation[:, None] + rng.normal(0, 0.3, (64, 60)), activation=activation
        )
        _, low, high = bootstrap(effects, "relative", n_bootstrap=400, rng=rng)
        covered += int(((low <= 0.2) & (high >= 0.2)).sum())
    assert 0.91 <= covered / 600 <= 0.98


def test_bootstrap_of_untouched_and_unknown_genes():
    se, low, high = bootstrap(
        make_effects([[0, np.nan, 1], [0, np.nan, 2]]),
        "relative",
        n_bootstrap=50,
        rng=np.random.default_rng(0),
    )
    for values in (se, low, high):
        assert values[0] == 0.0
        assert np.isnan(values[1])
        assert values[2] > 0


def test_family_is_the_genes_that_differ_in_six_factuals():
    rng = np.random.default_rng(2)
    act = rng.normal(1, 1, size=(40, 5))
    act[5:, 0] = 0  # differs in 5
    act[6:, 1] = 0  # differs in 6
    test = sign_test(make_effects(act), n_flips=500, alpha=0.05, rng=np.random.default_rng(0))
    assert np.isnan(test.p[0])
    assert np.isnan(test.q[0])
    np.testing.assert_array_equal(test.q[1:], false_discovery_control(test.p[1:]))
    assert not test.underpowered


def test_pairs_that_share_a_counterfactual_flip_together():
    act = np.random.default_rng(3).normal(1, 1, size=(20, 2))
    cluster = np.arange(20) // 4
    test = sign_test(
        make_effects(act, cluster=cluster), n_flips=100, alpha=0.05, rng=np.random.default_rng(0)
    )
    sums = act.reshape(5, 4, 2).sum(axis=1)
    np.testing.assert_allclose(test.p, sign_flip_p(sums, n_flips=2, rng=np.random.default_rng(0)), rtol=1e-12)


@pytest.mark.parametrize(("n_factuals", "underpowered"), [(5, True), (6, False), (30, False)])
def test_underpowered_says_that_no_result_could_be_significant(n_factuals, underpowered):
    act = np.random.default_rng(4).normal(size=(n_factuals, 3))
    test = sign_test(make_effects(act), n_flips=100, alpha=0.05, rng=np.random.default_rng(0))
    assert test.underpowered is underpowered


def test_many_genes_do_not_make_a_strong_design_underpowered():
    """Six clusters reach p = 2^-5 = 0.03; with every gene at that p, Benjamini-Hochberg gives q = 0.03."""
    act = np.random.default_rng(5).normal(size=(6, 500))
    assert not sign_test(make_effects(act), n_flips=10, alpha=0.05, rng=np.random.default_rng(0)).underpowered
    assert sign_test(make_effects(act), n_flips=10, alpha=0.03, rng=np.random.default_rng(0)).underpowered


def test_sign_consistency_is_over_non_zero_effects():
    effects = np.array([[1.0, 0, -1, np.nan], [2, 0, 3, np.nan], [0, 0, -1, np.nan]])
    np.testing.assert_array_equal(sign_consistency(effects, effects.sum(axis=0)), [1, np.nan, 1 / 3, np.nan])
