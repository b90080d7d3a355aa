"""Score many sets in many rankings against one shared null."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped
from tqdm.auto import tqdm

from conceptome.enrichment import kernels
from conceptome.enrichment.null import random_ranks
from conceptome.enrichment.rankings import Members, OwnScores, Rankings
from conceptome.enrichment.significance import significance

BLOCK_CONCEPTS = 64  # concepts followed side by side: more would leave the cache, fewer idle the processor
LISTED_P = 0.25  # larger p have no genes listed: most tests, and so most of a table's memory


@dataclass(frozen=True, eq=False)
class Tests:
    """What was found for each concept and set."""

    es: Float[np.ndarray, "concepts sets"]
    nes: Float[np.ndarray, "concepts sets"]
    p: Float[np.ndarray, "concepts sets"]
    p_empirical: Float[np.ndarray, "concepts sets"]
    peak: Int[np.ndarray, "concepts sets"]
    """The set's hit, counted from the highest score, at which the leading edge ends (ES > 0) or starts."""


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
    n_zero = np.concatenate([block.n_zero for block in rankings])
    sizes = np.array([len(genes) for genes in sets])
    with ThreadPoolExecutor(kernels.n_threads()) as threads:  # what one of them does, no other needs
        own = OwnScores.joined(list(threads.map(lambda block: block.scores_of(sets), rankings)))
        nes, p, p_empirical = np.empty((3, *own.es.shape))

        def judge(size: int) -> None:
            of_size = np.flatnonzero(sizes == size)
            drawn = random_ranks(n_genes, size, n_sets=n_permutations, seed=seed)
            null = np.concatenate([block.scores(drawn) for block in rankings], axis=1)
            found = significance(own.of(of_size), null, size=size, n_genes=n_genes, n_zero=n_zero)
            nes[:, of_size], p[:, of_size] = found.nes, found.p
            p_empirical[:, of_size] = found.p_empirical

        distinct = np.unique(sizes).tolist()
        hidden = None if progress else True
        for _ in tqdm(
            threads.map(judge, distinct), total=len(distinct), desc="enrichment", unit="size", disable=hidden
        ):
            pass
    return Tests(own.es, nes, p, p_empirical, own.peak)


def leading_edges(
    rankings: Sequence[Rankings],
    sets: Sequence[Int[np.ndarray, " _hits"]],
    tests: Tests,
    names: Shaped[np.ndarray, " genes"],
) -> Shaped[np.ndarray, "concepts sets"]:
    """Name the genes of the leading edges of tests with p <= `LISTED_P`.

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
    ``"GENE;GENE;..."``, the most extreme score first; empty where p is larger or ES is 0.
    """
    edges = np.full((len(tests.es), len(sets)), "", dtype=object)
    if not sets:
        return edges
    members = Members.of(sets)
    listed = (tests.p[:, : len(sets)] <= LISTED_P) & (tests.es[:, : len(sets)] != 0)
    rows = (
        (ranks, order) for block in rankings for ranks, order in zip(block.ranks, block.order, strict=True)
    )
    for concept, (ranks, order) in enumerate(rows):
        terms = np.flatnonzero(listed[concept])
        some = members.some(listed[concept])
        genes = names[order[some.hits(ranks)]].tolist()
        last = np.cumsum(some.sizes)
        first = last - some.sizes
        cut = first + tests.peak[concept, terms]
        supports = tests.es[concept, terms] > 0
        for term, start, at, end, up in zip(terms, first, cut, last, supports, strict=True):
            edges[concept, term] = ";".join(genes[start : at + 1] if up else genes[at:end][::-1])
    return edges
