"""The null distribution of ES under gene permutation, drawn once and shared by all concepts.

What a random set scores depends on the weights at the ranks it takes, not on which genes stand there. Random
ranks are therefore drawn once for each set size and reused for every concept; sizes have draws of their own.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from conceptome.enrichment.rankings import Rankings

BLOCK_VALUES = 16_384  # sets x concepts followed at a time: they stay in the processor's cache
BLOCK_SETS = 1000  # sets drawn at a time, which bounds the memory


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
    ranks = np.empty((n_sets, size), dtype=np.int64)
    for start in range(0, n_sets, BLOCK_SETS):
        _draw(ranks[start : start + BLOCK_SETS], n_genes, rng)
    return np.ascontiguousarray(ranks.T)


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
    step = max(1, BLOCK_VALUES // rankings.weights.shape[1])
    starts = range(0, ranks.shape[1], step)
    return np.concatenate([rankings.scores(ranks[:, at : at + step]) for at in starts])


def _draw(ranks: Int[np.ndarray, "sets hits"], n_genes: int, rng: np.random.Generator) -> None:
    n_sets, size = ranks.shape
    taken = np.zeros((n_sets, n_genes), dtype=bool)
    rows = np.arange(n_sets)
    for hit, highest in enumerate(range(n_genes - size, n_genes)):
        draw = rng.integers(0, highest + 1, size=n_sets)
        ranks[:, hit] = np.where(taken[rows, draw], highest, draw)
        taken[rows, ranks[:, hit]] = True
    ranks.sort(axis=1)
