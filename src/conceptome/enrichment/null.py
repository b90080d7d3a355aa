"""The null distribution of ES under gene permutation, drawn once and shared by all concepts.

What a random set scores depends on the weights at the ranks it takes, not on which genes stand there. Random
ranks are therefore drawn once for each set size and reused for every concept; sizes have draws of their own.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from conceptome.enrichment.rankings import Rankings

BLOCK_VALUES = (
    65_536  # hits x sets x concepts evaluated at a time, so that they stay in the processor's cache
)


def random_ranks(n_genes: int, size: int, *, n_sets: int, seed: int) -> Int[np.ndarray, "hits sets"]:
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
    taken = np.zeros((n_sets, n_genes), dtype=bool)
    rows = np.arange(n_sets)
    for highest in range(n_genes - size, n_genes):
        draw = rng.integers(0, highest + 1, size=n_sets)
        taken[rows, np.where(taken[rows, draw], highest, draw)] = True
    return np.ascontiguousarray(np.nonzero(taken)[1].reshape(n_sets, size).T)


def null_scores(
    rankings: Rankings, ranks: Int[np.ndarray, "hits permutations"]
) -> Float[np.ndarray, "permutations concepts"]:
    """Compute the ES of random sets of one size in each concept.

    Parameters
    ----------
    rankings
        Rankings of some concepts over one universe.
    ranks
        The random sets, as `random_ranks` draws them.

    Returns
    -------
    ES of each random set in each concept.
    """
    step = max(1, BLOCK_VALUES // (len(ranks) * rankings.weights.shape[1]))
    starts = range(0, ranks.shape[1], step)
    return np.concatenate([rankings.shared_deviations(ranks[:, at : at + step]).scores() for at in starts])
