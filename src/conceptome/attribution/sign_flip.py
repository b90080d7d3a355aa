"""Sign-flip test of a sum of effects: exact where it can be, sampled in the middle, saddlepoint in the tail.

Under the null hypothesis the effects of a gene are symmetric about 0, so that the sign of every cluster's sum
is a fair coin. With e_c the sum of cluster c and T = |sum of e_c|, the two-sided p is twice the probability
that the clusters flipped to the losing side weigh no more than D / 2 = (sum of |e_c| - T) / 2.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

MAX_EXACT = 16  # 2^16 subsets are counted one by one
RELIABLE_COUNT = 100  # exceedances that make a sampled p good to 10%; below it the tail is approximated
TAIL_SHARE = 0.1  # the approximation holds in the tail only
FLIP_BLOCK = 1000
GENE_BLOCK = 512
SUBSET_SUMS = 2**20  # held at a time
NEWTON_STEPS = 200
ROUNDING = 1e-10


def sign_flip_p(
    sums: Float[np.ndarray, "clusters genes"], *, n_flips: int, rng: np.random.Generator
) -> Float[np.ndarray, " genes"]:
    """Test for each gene whether the sum over clusters differs from 0.

    A cluster heavier than D / 2 cannot be on the losing side: it halves p, exactly. The others are
    enumerated when there are at most 16; this covers every gene with up to 16 clusters, and any number of
    clusters that agree in sign. Otherwise they are flipped at random, up to `n_flips` times; drawing ends
    once T was reached 100 times [BesagClifford91]. Where that does not happen, the Lugannani-Rice saddlepoint
    approximation [Lugannani80] with the cumulant generating function sum log cosh(t e_c) [Robinson82] takes
    over. It is good to about 10%, unless all |e_c| are nearly equal, when it misses by up to a factor of 4.

    Parameters
    ----------
    sums
        Effects summed within clusters, (n_clusters, n_genes), finite.
    n_flips
        Largest number of random flips.
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
    n_fixed = ((weight > 0) & ~flippable).sum(axis=0)
    weight[~flippable] = 0.0
    exact = flippable.sum(axis=0) <= MAX_EXACT
    share = np.empty(sums.shape[1])
    share[exact] = _enumerated_share(weight[:, exact], allowance[exact])
    if not exact.all():
        share[~exact] = _sampled_share(weight[:, ~exact], allowance[~exact], n_flips=n_flips, rng=rng)
    return np.asarray(np.minimum(1.0, 2.0 ** (1 - n_fixed) * share))


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


def _enumerated_share(
    weight: Float[np.ndarray, "clusters genes"], allowance: Float[np.ndarray, " genes"]
) -> Float[np.ndarray, " genes"]:
    """Return the share of all sets of clusters that weigh no more than the allowance."""
    sizes = (weight > 0).sum(axis=0)
    lightest_first = np.sort(np.where(weight > 0, weight, np.inf), axis=0)
    share = np.empty(len(sizes))
    for size in np.unique(sizes):
        genes = np.flatnonzero(sizes == size)
        step = max(1, SUBSET_SUMS >> int(size))
        for start in range(0, len(genes), step):
            part = genes[start : start + step]
            subset_sums = np.zeros((1, len(part)))
            for row in lightest_first[:size, part]:
                subset_sums = np.concatenate([subset_sums, subset_sums + row])
            share[part] = (subset_sums <= allowance[part]).mean(axis=0)
    return share


def _sampled_share(
    weight: Float[np.ndarray, "clusters genes"],
    allowance: Float[np.ndarray, " genes"],
    *,
    n_flips: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, " genes"]:
    """Estimate the share of all sets of clusters that weigh no more than the allowance.

    Each random set counts together with its complement: all genes use the same sets, and a surplus of heads
    would otherwise push all their p the same way.
    """
    reached, drawn = (np.zeros(len(allowance), dtype=np.int64) for _ in range(2))
    for start in range(0, n_flips, FLIP_BLOCK):
        unsettled = np.flatnonzero(reached < RELIABLE_COUNT)
        if not len(unsettled):
            break
        flipped = rng.integers(2, size=(min(FLIP_BLOCK, n_flips - start), len(weight))).astype(np.float64)
        for part in np.array_split(unsettled, len(unsettled) // GENE_BLOCK + 1):
            flipped_sums = flipped @ weight[:, part]
            unflipped_sums = weight[:, part].sum(axis=0) - flipped_sums
            reached[part] += (flipped_sums <= allowance[part]).sum(axis=0)
            reached[part] += (unflipped_sums <= allowance[part]).sum(axis=0)
        drawn[unsettled] += 2 * len(flipped)
    share = (reached + 1.0) / (drawn + 1.0)
    tail = (reached < RELIABLE_COUNT) & (reached < TAIL_SHARE * drawn)
    threshold = weight[:, tail].sum(axis=0) - 2 * allowance[tail]
    smallest = 0.5 ** (weight[:, tail] > 0).sum(axis=0)
    share[tail] = np.maximum(saddlepoint_tail(weight[:, tail], threshold), smallest)
    return share


def saddlepoint_tail(
    weight: Float[np.ndarray, "clusters genes"], threshold: Float[np.ndarray, " genes"]
) -> Float[np.ndarray, " genes"]:
    """Approximate P(sum of +-weight >= threshold), signs fair coins, by Lugannani and Rice's formula.

    Parameters
    ----------
    weight
        Weights >= 0, (n_clusters, n_genes).
    threshold
        Thresholds in the tail: well above 0, below the sum of the weights.

    Returns
    -------
    Probabilities.
    """
    norms = np.linalg.norm(weight, axis=0)
    weight, threshold = weight / norms, threshold / norms
    tilt = threshold.copy()
    for _ in range(NEWTON_STEPS):  # from the left of the root of a concave function: no overshoot
        slope = np.tanh(tilt * weight)
        curvature = (weight**2 * (1 - slope**2)).sum(axis=0)
        step = (threshold - (weight * slope).sum(axis=0)) / curvature
        tilt += step
        if (np.abs(step) <= ROUNDING * tilt).all():
            break
    scaled = tilt * weight
    log_cosh = (scaled + np.log1p(np.exp(-2 * scaled)) - np.log(2)).sum(axis=0)
    curvature = (weight**2 * (1 - np.tanh(scaled) ** 2)).sum(axis=0)
    w = np.sqrt(2 * (tilt * threshold - log_cosh))
    u = tilt * np.sqrt(curvature)
    return np.asarray(norm.sf(w) + norm.pdf(w) * (1 / u - 1 / w))
