"""Sign-flip test of a sum of effects: exact where it can be, sampled in the middle, saddlepoint in the tail.

Under the null hypothesis the effects of a gene are symmetric about 0, so that the sign of every cluster's sum
is a fair coin. With e_c the sum of cluster c and T = |sum of e_c|, the two-sided p is twice the probability
that the clusters flipped to the losing side weigh no more than D / 2 = (sum of |e_c| - T) / 2.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import norm

MAX_EXACT = 16  # 2^16 subsets are counted one by one
RELIABLE_COUNT = 100  # exceedances that make a sampled p good to 10%; below it the tail is approximated
BLOCK_VALUES = 2**22
NEWTON_STEPS = 200
ROUNDING = 1e-10


def sign_flip_p(
    sums: Float[np.ndarray, "clusters genes"], *, n_flips: int, rng: np.random.Generator
) -> Float[np.ndarray, " genes"]:
    """Test for each gene whether the sum over clusters differs from 0.

    Exact wherever at most 16 clusters are light enough to have been flipped: this holds for up to 16
    clusters with an effect, and for any number of them when they agree in sign. Otherwise `n_flips` random
    flips; where fewer than 100 of these reach T, the Lugannani-Rice saddlepoint approximation
    [Lugannani80] with the cumulant generating function sum log cosh(t e_c) [Robinson82] takes over.

    Parameters
    ----------
    sums
        Effects summed within clusters, (n_clusters, n_genes), finite.
    n_flips
        Number of random flips.
    rng
        Source of randomness.

    Returns
    -------
    Two-sided p values; 1 where every effect is 0.
    """
    weight = np.abs(sums)
    total = weight.sum(axis=0)
    allowance = (total - np.abs(sums.sum(axis=0))) / 2 + ROUNDING * total
    flippable = (weight > 0) & (weight <= allowance)
    exact = flippable.sum(axis=0) <= MAX_EXACT
    p = np.empty(sums.shape[1])
    n_subsets = _count_light_subsets(weight[:, exact], flippable[:, exact], allowance[exact])
    p[exact] = n_subsets * smallest_p(sums[:, exact])
    if not exact.all():
        p[~exact] = _sampled_p(sums[:, ~exact], n_flips=n_flips, rng=rng)
    return np.minimum(p, 1.0)


def smallest_p(sums: Float[np.ndarray, "clusters genes"]) -> Float[np.ndarray, " genes"]:
    """Compute the p that a gene would get if all its clusters agreed in sign.

    Parameters
    ----------
    sums
        Effects summed within clusters, (n_clusters, n_genes).

    Returns
    -------
    2^(1 - m), with m the number of clusters with an effect; 1 for m = 0.
    """
    return np.asarray(np.minimum(1.0, 2.0 ** (1 - (sums != 0).sum(axis=0))))


def _count_light_subsets(
    weight: Float[np.ndarray, "clusters genes"],
    flippable: Bool[np.ndarray, "clusters genes"],
    allowance: Float[np.ndarray, " genes"],
) -> Int[np.ndarray, " genes"]:
    """Count the sets of clusters that together weigh no more than the allowance, the empty set included."""
    sizes = flippable.sum(axis=0)
    lightest_first = np.sort(np.where(flippable, weight, np.inf), axis=0)
    counts = np.empty(len(sizes), dtype=np.int64)
    for size in np.unique(sizes):
        genes = np.flatnonzero(sizes == size)
        step = max(1, BLOCK_VALUES >> int(size))
        for start in range(0, len(genes), step):
            part = genes[start : start + step]
            subset_sums = np.zeros((1, len(part)))
            for row in lightest_first[:size, part]:
                subset_sums = np.concatenate([subset_sums, subset_sums + row])
            counts[part] = (subset_sums <= allowance[part]).sum(axis=0)
    return counts


def _sampled_p(
    sums: Float[np.ndarray, "clusters genes"], *, n_flips: int, rng: np.random.Generator
) -> Float[np.ndarray, " genes"]:
    signs = 2.0 * rng.integers(2, size=(n_flips, len(sums))) - 1.0
    reached = np.empty(sums.shape[1], dtype=np.int64)
    step = max(1, BLOCK_VALUES // n_flips)
    for start in range(0, sums.shape[1], step):
        part = sums[:, start : start + step]
        threshold = np.abs(part.sum(axis=0)) - ROUNDING * np.abs(part).sum(axis=0)
        reached[start : start + step] = (np.abs(signs @ part) >= threshold).sum(axis=0)
    p = (reached + 1.0) / (n_flips + 1.0)
    tail = reached < RELIABLE_COUNT
    p[tail] = np.maximum(saddlepoint_p(sums[:, tail]), smallest_p(sums[:, tail]))
    return p


def saddlepoint_p(sums: Float[np.ndarray, "clusters genes"]) -> Float[np.ndarray, " genes"]:
    """Approximate the two-sided p by Lugannani and Rice's formula, for sums well away from 0.

    Parameters
    ----------
    sums
        Effects summed within clusters, (n_clusters, n_genes); not all of one sign.

    Returns
    -------
    Two-sided p values.
    """
    weight = np.abs(sums) / np.linalg.norm(sums, axis=0)
    observed = np.abs(sums.sum(axis=0)) / np.linalg.norm(sums, axis=0)
    tilt = observed.copy()
    for _ in range(NEWTON_STEPS):  # from the left of the root of a concave function: no overshoot
        slope = np.tanh(tilt * weight)
        curvature = (weight**2 * (1 - slope**2)).sum(axis=0)
        step = (observed - (weight * slope).sum(axis=0)) / curvature
        tilt += step
        if (np.abs(step) <= ROUNDING * tilt).all():
            break
    scaled = tilt * weight
    log_cosh = (scaled + np.log1p(np.exp(-2 * scaled)) - np.log(2)).sum(axis=0)
    curvature = (weight**2 * (1 - np.tanh(scaled) ** 2)).sum(axis=0)
    w = np.sqrt(2 * (tilt * observed - log_cosh))
    u = tilt * np.sqrt(curvature)
    return np.asarray(2 * (norm.sf(w) + norm.pdf(w) * (1 / u - 1 / w)))
