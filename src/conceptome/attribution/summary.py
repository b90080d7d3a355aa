"""Aggregates of effects over pairs, their uncertainty and their test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import false_discovery_control

from conceptome.attribution.sign_flip import sign_flip_p, smallest_p
from conceptome.core import Effects

Aggregate: TypeAlias = Literal["relative", "pre"]

MIN_DIFFERING = 6  # factuals in which a gene must differ before it is tested
GENE_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class SignTest:
    """Sign-flip test of every gene of one concept."""

    p: Float[np.ndarray, " genes"]
    """NaN for genes outside the family, which differ in fewer than 6 factuals."""
    q: Float[np.ndarray, " genes"]
    """Benjamini-Hochberg within the family."""
    underpowered: bool
    """Whether not even full agreement in sign could bring a q down to alpha."""


def per_factual(effects: Effects) -> Effects:
    """Average the effects over the counterfactuals of each factual.

    Parameters
    ----------
    effects
        Effects, the pairs of one factual standing together.

    Returns
    -------
    Effects with one row per factual; a gene differs if it differs from any of the counterfactuals.
    """
    _, starts, counts = np.unique(effects.factual, return_index=True, return_counts=True)
    if len(starts) == len(effects.factual):
        return effects
    return replace(
        effects,
        act=np.add.reduceat(effects.act, starts) / counts[:, None],
        pre=np.add.reduceat(effects.pre, starts) / counts[:, None],
        differs=np.logical_or.reduceat(effects.differs, starts),
        activation=effects.activation[starts],
        cluster=effects.cluster[starts],
        factual=effects.factual[starts],
        exact=None if effects.exact is None else np.logical_and.reduceat(effects.exact, starts),
    )


def first_of_each(effects: Effects) -> Effects:
    """Take the first, which is the nearest, counterfactual of each factual.

    Without effects, exchanging factual and counterfactual turns the sign of what one pair shows: the
    symmetry that `sign_test` relies on. A mean over several counterfactuals is skewed and lacks it.

    Parameters
    ----------
    effects
        Effects, the pairs of one factual standing together.

    Returns
    -------
    Effects with one row per factual.
    """
    starts = np.unique(effects.factual, return_index=True)[1]
    taken = ("act", "pre", "differs", "activation", "cluster", "factual")
    exact = None if effects.exact is None else effects.exact[starts]
    return replace(effects, exact=exact, **{name: getattr(effects, name)[starts] for name in taken})


def numerator(effects: Effects, aggregate: Aggregate) -> Float[np.ndarray, "factuals genes"]:
    """Return the effects that the aggregate sums.

    Parameters
    ----------
    effects
        Effects, one row per factual.
    aggregate
        The aggregate.

    Returns
    -------
    Effects on the activation (``"relative"``) or on the pre-activation (``"pre"``).
    """
    return effects.act if aggregate == "relative" else effects.pre


def denominator(effects: Effects, aggregate: Aggregate) -> Float[np.ndarray, " factuals"]:
    """Return what the sum of effects is divided by, factual by factual.

    Parameters
    ----------
    effects
        Effects, one row per factual.
    aggregate
        The aggregate.

    Returns
    -------
    Activations (``"relative"``) or ones (``"pre"``, which is a mean).
    """
    return effects.activation if aggregate == "relative" else np.ones(len(effects.activation))


def attribution(effects: Effects, aggregate: Aggregate) -> Float[np.ndarray, " genes"]:
    """Aggregate effects into one number per gene: a ratio of sums.

    Parameters
    ----------
    effects
        Effects, one row per factual.
    aggregate
        ``"relative"``: sum of effects on the activation / sum of activations; ``"pre"``: mean effect on the
        pre-activation.

    Returns
    -------
    A[k, g]; NaN for genes the encoder does not know.
    """
    total = numerator(effects, aggregate).sum(axis=0)
    return np.asarray(total / denominator(effects, aggregate).sum())


def bootstrap(
    effects: Effects, aggregate: Aggregate, *, n_bootstrap: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " genes"], Float[np.ndarray, " genes"], Float[np.ndarray, " genes"]]:
    """Resample the factuals, numerator and denominator together.

    Parameters
    ----------
    effects
        Effects, one row per factual.
    aggregate
        The aggregate.
    n_bootstrap
        Number of resamples.
    rng
        Source of randomness.

    Returns
    -------
    se
        Standard deviation of the resampled attribution.
    ci_low
        2.5th percentile.
    ci_high
        97.5th percentile.
    """
    se, low, high = (np.where(np.isnan(effects.act[0]), np.nan, 0.0) for _ in range(3))
    for genes, resampled in _resamples(effects, aggregate, n_bootstrap=n_bootstrap, rng=rng):
        se[genes] = resampled.std(axis=1, ddof=1)
        low[genes], high[genes] = np.quantile(resampled, [0.025, 0.975], axis=1, overwrite_input=True)
    return se, low, high


def standard_error(
    effects: Effects, aggregate: Aggregate, *, n_bootstrap: int, rng: np.random.Generator
) -> Float[np.ndarray, " genes"]:
    """Compute what `bootstrap` gives as the standard error, without the interval.

    Parameters
    ----------
    effects, aggregate, n_bootstrap, rng
        As for `bootstrap`.

    Returns
    -------
    Standard deviation of the resampled attribution.
    """
    se = np.where(np.isnan(effects.act[0]), np.nan, 0.0)
    for genes, resampled in _resamples(effects, aggregate, n_bootstrap=n_bootstrap, rng=rng):
        se[genes] = resampled.std(axis=1, ddof=1)
    return se


def _resamples(
    effects: Effects, aggregate: Aggregate, *, n_bootstrap: int, rng: np.random.Generator
) -> Iterator[tuple[Int[np.ndarray, " some"], Float[np.ndarray, "some resamples"]]]:
    """Go through the genes that differ, some at a time, with their resampled attributions."""
    top = numerator(effects, aggregate)
    n_factuals = len(top)
    weights = rng.multinomial(n_factuals, np.full(n_factuals, 1 / n_factuals), size=n_bootstrap).T.astype(
        float
    )
    bottom = denominator(effects, aggregate) @ weights
    differing = np.flatnonzero(effects.differs.any(axis=0))
    for start in range(0, len(differing), GENE_BLOCK):
        genes = differing[start : start + GENE_BLOCK]
        yield genes, (top[:, genes].T @ weights) / bottom


def sign_test(effects: Effects, *, n_flips: int, alpha: float, rng: np.random.Generator) -> SignTest:
    """Test for each gene that its effects on the activation are symmetric about 0.

    Parameters
    ----------
    effects
        Effects, one row per factual; factuals of one cluster flip together.
    n_flips
        Number of random flips where enumeration is too long.
    alpha
        Level of the false discovery rate.
    rng
        Source of randomness.

    Returns
    -------
    p, q and whether the test could have found anything.
    """
    family = np.flatnonzero(effects.differs.sum(axis=0) >= MIN_DIFFERING)
    p, q = (np.full(effects.act.shape[1], np.nan) for _ in range(2))
    if not len(family):
        return SignTest(p, q, underpowered=True)
    sums = _cluster_sums(effects.act[:, family], effects.cluster)
    p[family] = sign_flip_p(sums, n_flips=n_flips, rng=rng)
    q[family] = false_discovery_control(p[family])
    underpowered = bool(false_discovery_control(smallest_p(sums)).min() > alpha)
    return SignTest(p, q, underpowered)


def sign_consistency(
    effects: Float[np.ndarray, "factuals genes"], score: Float[np.ndarray, " genes"]
) -> Float[np.ndarray, " genes"]:
    """Compute the share of the non-zero effects that have the sign of the score.

    Parameters
    ----------
    effects
        Effects of each factual.
    score
        Their aggregate.

    Returns
    -------
    Shares; NaN where no effect is non-zero.
    """
    n_nonzero = (np.abs(effects) > 0).sum(axis=0)
    agreeing = (np.sign(effects) == np.sign(score)) & (np.abs(effects) > 0)
    return np.where(n_nonzero > 0, agreeing.sum(axis=0) / np.maximum(n_nonzero, 1), np.nan)


def _cluster_sums(
    effects: Float[np.ndarray, "factuals genes"], cluster: Int[np.ndarray, " factuals"]
) -> Float[np.ndarray, "clusters genes"]:
    label = np.unique(cluster, return_inverse=True)[1]
    sums = np.zeros((label.max() + 1, effects.shape[1]))
    np.add.at(sums, label, effects)
    return sums
