"""How often the test finds what is not there: p under permuted genes, and findings over whole runs."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, kstest

from conceptome.enrichment import gsea

N_GENES = 1500
GENES = [f"G{number:04d}" for number in range(N_GENES)]
ALPHAS = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5)


def permuted(values, *, n, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame([rng.permutation(values) for _ in range(n)], columns=GENES)


def p_of(scores, size):
    """P of one term; each ranking has the null sets of the next seed, so that the tests are independent."""
    tables = (
        gsea(scores.iloc[[row]], {"term": GENES[:size]}, n_permutations=500, calibrate=False, seed=row).table
        for row in range(len(scores))
    )
    return np.array([table.loc[0, ["p", "p_empirical"]] for table in tables], dtype=float).T


@pytest.mark.parametrize("size", [12, 60])
def test_p_is_uniform_on_permuted_genes_of_tie_free_rankings(size):
    values = np.random.default_rng(size).standard_t(4, N_GENES)
    for p in p_of(permuted(values, n=200, seed=1), size):
        assert kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize("share_of_zeros", [0.3, 0.8, 0.98])
@pytest.mark.parametrize("size", [12, 60])
def test_p_is_never_too_small_on_tied_rankings(size, share_of_zeros):
    """P(p <= alpha) <= alpha, up to the 99.9% quantile of the count, for attributions' zeros and repeats."""
    rng = np.random.default_rng(size)
    values = np.where(rng.random(N_GENES) < share_of_zeros, 0.0, rng.standard_t(3, N_GENES).round(1))
    for p in p_of(permuted(values, n=200, seed=2), size):
        for alpha in ALPHAS:
            assert (p <= alpha).sum() <= binom.ppf(0.999, len(p), alpha)


@pytest.mark.parametrize("tied", [False, True])
def test_one_run_in_twenty_at_most_has_a_finding(tied):
    """q_global <= 0.05 among 2 rankings x 60 terms, in 120 runs without signal."""
    rng = np.random.default_rng(5)
    terms = {f"t{n}": list(rng.choice(GENES, size=size)) for n, size in enumerate([15, 30, 60] * 20)}
    values = rng.standard_t(4, N_GENES)
    if tied:
        values = np.where(rng.random(N_GENES) < 0.6, 0.0, values.round(1))
    n_found = 0
    for run in range(120):
        scores = permuted(values, n=2, seed=100 + run)
        table = gsea(scores, terms, n_permutations=1000, calibrate=False, seed=run).table
        n_found += (table["q_global"] <= 0.05).any()
    assert n_found <= binom.ppf(0.999, 120, 0.05)
