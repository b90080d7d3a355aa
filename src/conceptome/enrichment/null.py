"""The null distribution of ES under gene permutation, drawn once and shared by all concepts.

What a random set scores depends on the weights at the ranks it takes, not on which genes stand there. Random
ranks are therefore drawn once for each set size and reused for every concept; sizes have draws of their own.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt32

from conceptome.enrichment.kernels import make_distinct

BLOCK_SETS = 10_000  # sets drawn at a time, which bounds the memory


def random_ranks(n_genes: int, size: int, *, n_sets: int, seed: int) -> UInt32[np.ndarray, "sets hits"]:
    """Draw random sets of ranks without replacement, by Floyd's algorithm.

    Parameters
    ----------
    n_genes
        Genes in the universe.
    size
        Genes in a set.
    n_sets
        Number of independent sets.
    seed
        The draws depend on it, `n_genes` and `size` alone.

    Returns
    -------
    Ranks, ascending within each set.
    """
    rng = np.random.default_rng([seed, n_genes, size])
    ranges = np.arange(n_genes - size + 1, n_genes + 1)
    ranks = np.empty((n_sets, size), dtype=np.uint32)
    for start in range(0, n_sets, BLOCK_SETS):
        block = ranks[start : start + BLOCK_SETS]
        block[:] = rng.random(block.shape) * ranges
    make_distinct(ranks, n_genes)
    ranks.sort(axis=1)
    return ranks
