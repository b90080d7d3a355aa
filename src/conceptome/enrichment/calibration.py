"""How often a test calls what is null: the rates that come with every enrichment.

gene-permuted scores
    Random sets of the sizes tested. The rate should be alpha, or lower where p is discrete: with ties, and
    for the few genes of a selection.
null-pair scores
    The terms tested on attributions of null pairs. What is called there is not owed to the concept. Terms
    share genes, so these tests hang together and the interval is narrower than it should be.
expression-matched sets
    Random sets with the tested terms' sizes and expression. A rate above alpha says that genes of like
    expression score alike, and that part of the findings may be owed to expression alone.

The latter two are measured for flagged terms on their own as well, see `conceptome.enrichment.flags`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import binomtest

from conceptome.enrichment.flags import FLAGS
from conceptome.enrichment.universe import Sets, Terms

N_SETS = 2000  # random sets per control: 95% interval of +-0.01 at alpha 0.05
N_FLAGGED_SETS = 500
N_EXPRESSION_BINS = 20
ALPHAS = (0.05, 0.01, 0.001)
COLUMNS = ("control", "flag", "alpha", "rate", "n_tests", "ci_low", "ci_high")

GENE_PERMUTED = "gene-permuted scores"
NULL_PAIRS = "null-pair scores"
EXPRESSION_MATCHED = "expression-matched sets"

Control: TypeAlias = tuple[str, str]
"""Its name, and the flag of the terms that it is about; empty = all terms."""


@dataclass(frozen=True, eq=False)
class ControlSets:
    """Random sets of one control that are tested beside the terms."""

    control: Control
    sets: Sets


def control_sets(
    terms: Terms,
    *,
    n_genes: int,
    expression: Float[np.ndarray, " genes"] | None,
    share: float,
    rng: np.random.Generator,
) -> list[ControlSets]:
    """Draw the random sets that are tested beside the terms; each stands for a term drawn at random.

    Parameters
    ----------
    terms
        What is tested.
    n_genes
        Genes in the universe.
    expression
        Mean expression of each gene; without it there are no matched sets.
    share
        Share of the usual number of sets, for a universe that holds some of the concepts.
    rng
        Source of randomness.

    Returns
    -------
    Sets by control.
    """
    n_sets, n_flagged = (math.ceil(share * number) for number in (N_SETS, N_FLAGGED_SETS))
    drawn = rng.integers(len(terms.genes), size=n_sets)
    random = [rng.choice(n_genes, len(terms.genes[term]), replace=False, shuffle=False) for term in drawn]
    weights = [terms.weights[term] for term in drawn]
    controls = [ControlSets((GENE_PERMUTED, ""), Sets(random, weights))]
    if expression is None:
        return controls
    drawn = rng.integers(len(terms.genes), size=n_sets)
    controls.append(ControlSets((EXPRESSION_MATCHED, ""), _matched_sets(terms, drawn, expression, rng=rng)))
    for flag in FLAGS:
        flagged = np.flatnonzero(terms.labels["flag"] == flag)
        if len(flagged):
            drawn = rng.choice(flagged, size=n_flagged)
            matched = _matched_sets(terms, drawn, expression, rng=rng)
            controls.append(ControlSets((EXPRESSION_MATCHED, flag), matched))
    return controls


def rates(p_of: Mapping[Control, Float[np.ndarray, " _tests"]]) -> pd.DataFrame:
    """Measure how often p falls to alpha or below under each control.

    Parameters
    ----------
    p_of
        p of the tests of each control; controls without tests are left out.

    Returns
    -------
    ``control, flag, alpha, rate, n_tests`` and the 95% binomial interval ``ci_low, ci_high``.
    """
    rows = []
    for control, p in p_of.items():
        for alpha in ALPHAS if len(p) else ():
            called = int((p <= alpha).sum())
            interval = binomtest(called, len(p)).proportion_ci()
            rows.append((*control, alpha, called / len(p), len(p), interval.low, interval.high))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _matched_sets(
    terms: Terms,
    drawn: Int[np.ndarray, " _sets"],
    expression: Float[np.ndarray, " genes"],
    *,
    rng: np.random.Generator,
) -> Sets:
    """Replace each gene of the terms drawn by a random gene of the same expression bin."""
    rank = np.argsort(np.argsort(expression, kind="stable"))
    bin_of = rank * N_EXPRESSION_BINS // len(expression)
    pools = [np.flatnonzero(bin_of == number) for number in range(N_EXPRESSION_BINS)]
    genes = []
    for term in drawn:
        bins = bin_of[terms.genes[term]]
        wanted = np.bincount(bins, minlength=N_EXPRESSION_BINS)
        taken = [rng.permutation(pools[number])[: wanted[number]] for number in np.flatnonzero(wanted)]
        matched = np.empty_like(terms.genes[term])
        matched[np.argsort(bins, kind="stable")] = np.concatenate(taken)  # gene for gene, as weights follow
        genes.append(matched)
    return Sets(genes, [terms.weights[term] for term in drawn])
