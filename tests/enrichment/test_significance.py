import numpy as np
import pytest

from conceptome.enrichment.null import random_ranks
from conceptome.enrichment.rankings import OwnScores, Rankings
from conceptome.enrichment.significance import significance


def own(es):
    return OwnScores(es, es, np.zeros(es.shape, dtype=int))


def judge(es, null, *, size=20, n_genes=1000, n_zero=0):
    found = significance(
        own(np.array([[es]])), np.array(null)[:, None], size=size, n_genes=n_genes, n_zero=np.array([n_zero])
    )
    return found.nes[0, 0], found.p[0, 0], found.p_empirical[0, 0]


def test_counts_the_null_scores_of_the_same_sign():
    null = np.concatenate([np.linspace(0.1, 0.5, 80), np.linspace(-0.4, -0.2, 40)])
    nes, p, p_empirical = judge(0.3, null)
    assert nes == pytest.approx(0.3 / 0.3)
    assert p == p_empirical == pytest.approx((40 + 1) / 81)
    nes, _, p_empirical = judge(-0.3, null)
    assert nes == pytest.approx(-1)
    assert p_empirical == pytest.approx((20 + 1) / 41)


def test_without_signal_p_is_one():
    assert judge(0.0, np.linspace(-0.5, 0.5, 100)) == (0, 1, 1)


def test_with_few_null_scores_of_the_sign_p_stays_counted():
    nes, p, p_empirical = judge(0.9, np.concatenate([np.full(10, 0.2), np.full(990, -0.2)]))
    assert nes == pytest.approx(4.5)
    assert p == p_empirical == pytest.approx(1 / 11)
    nes, p, p_empirical = judge(0.9, np.full(1000, -0.2))
    assert np.isnan(nes)
    assert p == p_empirical == 1


def test_fitted_p_falls_with_the_score_and_never_to_zero():
    null = np.random.default_rng(0).uniform(-0.5, 0.5, 1000)
    p = [judge(es, null)[1] for es in (0.5, 0.6, 0.8, 0.95, 1.0)]
    assert p == sorted(p, reverse=True)
    assert p[0] < 0.05
    assert p[-1] > 0


def test_sets_with_one_gene_that_is_not_zero_bound_p():
    """With 90% zeros a set of five holds a single non-zero gene, the topmost, with a known probability."""
    null = np.random.default_rng(0).uniform(-0.3, 0.3, 1000)
    _, p, _ = judge(1.0, null, size=5, n_genes=1000, n_zero=900)
    lonely = 5 / 1000 * np.prod([(900 - k) / (999 - k) for k in range(4)])
    assert p == pytest.approx(lonely, rel=1e-6)


@pytest.mark.parametrize("kind", ["normal", "heavy", "sparse"])
def test_fitted_p_holds_against_many_permutations(kind):
    """100,000 permutations know p = 1e-3 and 1e-4; the tail sees 1,000. Errors in powers of ten."""
    rng = np.random.default_rng(1)
    scores = {"normal": rng.standard_normal(4000), "heavy": rng.standard_t(2, 4000)}
    scores["sparse"] = np.where(rng.random(4000) < 0.7, 0.0, scores["heavy"]).round(1)
    rankings = Rankings.of(scores[kind][None])
    errors = {1e-3: [], 1e-4: []}
    for size in (15, 60):
        known = rankings.scores(random_ranks(4000, size, n_sets=100_000, seed=2))
        positive = np.sort(known[known > 0])[::-1]
        for seed in range(10):
            null = rankings.scores(random_ranks(4000, size, n_sets=1000, seed=10 + seed))
            for p_known, found in errors.items():
                es = positive[int(p_known * len(positive))]
                n_zero = rankings.n_zero
                fitted = significance(
                    own(np.array([[es]], dtype=float)), null, size=size, n_genes=4000, n_zero=n_zero
                )
                found.append(np.log10(fitted.p[0, 0] / (positive >= es).mean()))
    assert abs(np.mean(errors[1e-3])) < 0.5
    assert np.sqrt(np.mean(np.square(errors[1e-3]))) < 0.7
    assert -0.5 < np.mean(errors[1e-4]) < 1.0  # errs towards large p
    assert min(errors[1e-4]) > -1.5


def test_a_concept_is_judged_alike_beside_others_to_the_last_bit():
    rng = np.random.default_rng(3)
    shift = np.linspace(-0.15, 0.15, 12)  # from few null scores above 0 to many: tails of many lengths
    null = np.clip(rng.normal(shift, 0.1, (1000, 12)), -0.9, 0.9)
    es = np.broadcast_to(np.linspace(0.3, 0.8, 5), (12, 5))
    together = significance(own(es), null, size=20, n_genes=1000, n_zero=np.zeros(12, dtype=int))
    for at in range(12):
        column = slice(at, at + 1)
        alone = significance(own(es[column]), null[:, column], size=20, n_genes=1000, n_zero=np.zeros(1, int))
        np.testing.assert_array_equal(together.p[column], alone.p)
