"""Weights without what they learnt, for checks that something depends on it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def scrambled(weights: Mapping[str, np.ndarray], *, seed: int) -> dict[str, np.ndarray]:
    """Permute the entries within each array of weights.

    Every array keeps its distribution, so that scales, norms and variances stay what a network of this kind
    may have [Adebayo18]_.

    Parameters
    ----------
    weights
        Arrays by name; integers, which count or index something, stay as they are.
    seed
        Seed of the permutations.

    Returns
    -------
    New arrays under the same names.

    References
    ----------
    .. [Adebayo18] Sanity checks for saliency maps, NeurIPS 31.
    """
    rng = np.random.default_rng(seed)
    permuted = {}
    for name in sorted(weights):
        array = weights[name]
        learnt = np.issubdtype(array.dtype, np.floating)
        permuted[name] = rng.permutation(array.ravel()).reshape(array.shape) if learnt else array
    return permuted
