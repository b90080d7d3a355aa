"""How often the test calls what is null: the three rates that come with every enrichment.

gene-permuted scores
    Random sets of the sizes tested. The rate should be alpha, or lower where ties make p discrete.
null-pair scores
    The terms tested on attributions of null pairs. What is called there is not owed to the concept. Terms
    share genes, so these tests hang together and the interval is narrower than it should be.
expression-matched sets
    Random sets with the tested terms' sizes and expression. A rate above alpha says that genes of like
    expression score alike, and that part of the findings may be owed to expression alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import binomtest

N_SETS = 2000  # random sets per control: 95% interval of +-0.01 at alpha 0.05
N_EXPRESSION_BINS = 20
ALPHAS = (0.05, 0.01, 0.001)
COLUMNS = ("control", "alpha", "rate", "n_tests", "ci_low", "ci_high")

GENE_PERMUTED = "gene-permuted scores"
NULL_PAIRS = "null-pair scores"
EXPRESSION_MATCHED = "expression-matched sets"


def control_sets(
    genes: Sequence[Int[np.ndarray, " _hits"]],
    *,
    n_genes: int,
    expression: Float[np.ndarray, " genes"] | None,
    n_sets: int,
    rng: np.random.Generator,
) -> dict[str, list[Int[np.ndarray, " _hits"]]]:
    """Draw the random sets that are tested beside the terms.

    Parameters
    ----------
    genes
        Positions of the genes of the tested terms.
    n_genes
        Genes in the universe.
    expression
        Mean expression of each gene; without it there are no matched sets.
    n_sets
        Number of sets for each control.
    rng
        Source of randomness.

    Returns
    -------
    Sets by control.
    """
    sets = {GENE_PERMUTED: _random_sets(genes, n_genes, n_sets=n_sets, rng=rng)}
    if expression is not None:
        sets[EXPRESSION_MATCHED] = _matched_sets(genes, expression, n_sets=n_sets, rng=rng)
    return sets


def rates(p_of: Mapping[str, Float[np.ndarray, " _tests"]]) -> pd.DataFrame:
    """Measure how often p falls to alpha or below under each control.

    Parameters
    ----------
    p_of
        p of the tests of each control; controls without tests are left out.

    Returns
    -------
    ``control, alpha, rate, n_tests`` and the 95% binomial interval ``ci_low, ci_high``.
    """
    rows = []
    for control, p in p_of.items():
        for alpha in ALPHAS if len(p) else ():
            called = int((p <= alpha).sum())
            interval = binomtest(called, len(p)).proportion_ci()
            rows.append((control, alpha, called / len(p), len(p), interval.low, interval.high))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _random_sets(
    genes: Sequence[Int[np.ndarray, " _hits"]], n_genes: int, *, n_sets: int, rng: np.random.Generator
) -> list[Int[np.ndarray, " _hits"]]:
    """Draw sets of the terms' sizes; a random set in a ranking is a term in a ranking with permuted genes."""
    sizes = rng.choice([len(term) for term in genes], size=n_sets)
    return [rng.choice(n_genes, size=size, replace=False, shuffle=False) for size in sizes]


def _matched_sets(
    genes: Sequence[Int[np.ndarray, " _hits"]],
    expression: Float[np.ndarray, " genes"],
    *,
    n_sets: int,
    rng: np.random.Generator,
) -> list[Int[np.ndarray, " _hits"]]:
    """Replace each gene of terms drawn at random by a random gene of the same expression bin."""
    rank = np.argsort(np.argsort(expression, kind="stable"))
    bin_of = rank * N_EXPRESSION_BINS // len(expression)
    pools = [np.flatnonzero(bin_of == number) for number in range(N_EXPRESSION_BINS)]
    sets = []
    for term in rng.integers(len(genes), size=n_sets):
        wanted = np.bincount(bin_of[genes[term]], minlength=N_EXPRESSION_BINS)
        drawn = [rng.permutation(pools[number])[: wanted[number]] for number in np.flatnonzero(wanted)]
        sets.append(np.concatenate(drawn))
    return sets
