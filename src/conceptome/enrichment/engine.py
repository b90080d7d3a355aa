"""Score many sets in many rankings against one shared null."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped
from tqdm.auto import tqdm

from conceptome.enrichment.null import random_ranks
from conceptome.enrichment.rankings import Rankings
from conceptome.enrichment.significance import significance

BLOCK_CONCEPTS = 32  # concepts followed side by side: more would leave the cache, fewer idle the processor


@dataclass(frozen=True, eq=False)
class Tests:
    """What was found for each concept and set."""

    es: Float[np.ndarray, "concepts sets"]
    nes: Float[np.ndarray, "concepts sets"]
    p: Float[np.ndarray, "concepts sets"]
    p_empirical: Float[np.ndarray, "concepts sets"]
    peak: Int[np.ndarray, "concepts sets"]
    """The set's hit, counted from the highest score, at which the leading edge ends (ES > 0) or starts."""

    @classmethod
    def zeros(cls, n_concepts: int, n_sets: int) -> Tests:
        """Make room for the results."""
        es, nes, p, p_empirical = np.zeros((4, n_concepts, n_sets))
        return cls(es, nes, p, p_empirical, np.zeros((n_concepts, n_sets), dtype=np.int64))


def rank_blocks(scores: Float[np.ndarray, "concepts genes"]) -> list[Rankings]:
    """Rank the genes, the concepts cut into blocks.

    Parameters
    ----------
    scores
        Finite scores, genes in the order of their names.

    Returns
    -------
    Rankings of up to `BLOCK_CONCEPTS` concepts each.
    """
    return [Rankings.of(scores[at : at + BLOCK_CONCEPTS]) for at in range(0, len(scores), BLOCK_CONCEPTS)]


def run_tests(
    rankings: Sequence[Rankings],
    sets: Sequence[Int[np.ndarray, " _hits"]],
    *,
    n_permutations: int,
    seed: int,
    progress: bool = True,
) -> Tests:
    """Test every set in every ranking.

    Parameters
    ----------
    rankings
        Blocks of rankings over one universe.
    sets
        Positions of the genes of each set in the universe.
    n_permutations
        Random sets for each size.
    seed
        Seed of the random sets.
    progress
        Whether to show it.

    Returns
    -------
    The tests; each depends on its own ranking, its own set and the seed alone.
    """
    n_genes = rankings[0].n_genes
    tests = Tests.zeros(sum(block.n_concepts for block in rankings), len(sets))
    n_sizes = len({len(genes) for genes in sets})
    hidden = None if progress else True
    sizes = tqdm(by_size(sets), total=n_sizes, desc="enrichment", unit="size", disable=hidden)
    for of_size, positions in sizes:
        size = positions.shape[1]
        drawn = random_ranks(n_genes, size, n_sets=n_permutations, seed=seed)
        first = 0
        for block in rankings:
            es, peak = block.scores_and_peaks(positions)
            found = significance(es, block.scores(drawn), size=size, n_genes=n_genes, n_zero=block.n_zero)
            at = np.ix_(np.arange(first, first + es.shape[1]), of_size)
            tests.es[at], tests.nes[at], tests.peak[at] = es.T, found.nes.T, peak.T
            tests.p[at], tests.p_empirical[at] = found.p.T, found.p_empirical.T
            first += es.shape[1]
    return tests


def leading_edges(
    rankings: Sequence[Rankings],
    sets: Sequence[Int[np.ndarray, " _hits"]],
    tests: Tests,
    names: Shaped[np.ndarray, " genes"],
) -> Shaped[np.ndarray, "concepts sets"]:
    """Name the genes of each leading edge.

    Parameters
    ----------
    rankings, sets
        As for `run_tests`.
    tests
        What it returned for them, or for more sets of which these are the first.
    names
        Name of each gene in the universe.

    Returns
    -------
    ``"GENE;GENE;..."``, the most extreme score first; empty where ES is 0.
    """
    edges = np.full((len(tests.es), len(sets)), "", dtype=object)
    for of_size, positions in by_size(sets):
        concept = 0
        for block in rankings:
            for column, order in enumerate(block.order):
                members = names[order[block.ranks_of(positions, column)]]
                for term, genes in zip(of_size, members.tolist(), strict=True):
                    es, peak = tests.es[concept, term], tests.peak[concept, term]
                    if es != 0:
                        edges[concept, term] = ";".join(genes[: peak + 1] if es > 0 else genes[peak:][::-1])
                concept += 1
    return edges


def by_size(
    sets: Sequence[Int[np.ndarray, " _hits"]],
) -> Iterator[tuple[Int[np.ndarray, " sets"], Int[np.ndarray, "sets hits"]]]:
    """Group sets by their number of genes.

    Parameters
    ----------
    sets
        Positions of the genes of each set.

    Yields
    ------
    Which sets have one size, and their genes.
    """
    sizes = np.array([len(genes) for genes in sets])
    for size in np.unique(sizes):
        of_size = np.flatnonzero(sizes == size)
        yield of_size, np.stack([sets[int(index)] for index in of_size])
