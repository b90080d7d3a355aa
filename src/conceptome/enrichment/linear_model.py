"""Univariate linear models: the scores of all genes explained by a term's weights [Badia22]."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import sparse, stats

from conceptome.core import (
    Attributions,
    DifferentialExpression,
    Enrichment,
    InputError,
    Ranking,
    require_choice,
)
from conceptome.enrichment.calibration import GENE_PERMUTED, N_SETS, rates
from conceptome.enrichment.findings import corrected, nothing_to_test, tests_frame
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.preranked import gene_scores
from conceptome.enrichment.universe import GeneScores, PerGene, Terms, as_collections


def ulm(  # noqa: PLR0913 - the public face: every option of the test is named here
    scores: Attributions | DifferentialExpression | pd.DataFrame,
    gene_sets: GeneSets | Sequence[GeneSets] | Mapping[str, Sequence[str]],
    *,
    min_size: int = 5,
    max_size: int = 2000,
    rank_by: Ranking = "z",
    gene_names: PerGene | None = None,
    calibrate: bool = True,
    seed: int = 0,
) -> Enrichment:
    """Test every term in every concept by a univariate linear model, as decoupler's ``ulm`` [Badia22].

    The scores of all genes are regressed on the term's weights, 0 for the genes outside it. Networks of
    regulators with signed targets, see `read_network`, are tested by sign: a concept whose scores are high
    where a factor activates and low where it represses has a positive ``es``.

    Parameters
    ----------
    scores, gene_sets, rank_by, gene_names
        As for `gsea`. Terms without weights weigh each of their genes 1.
    min_size, max_size
        Terms with fewer or more genes in the universe are not tested.
    calibrate
        Whether to measure the rates of small p under permuted genes.
    seed
        Seed of the permuted genes; the test itself has no randomness.

    Returns
    -------
    The table of `gsea` with ``es`` the t value of the slope and ``p`` two-sided of Student's t. ``nes`` and
    ``p_empirical`` are NaN, for there are no permutations; ``leading_edge`` is empty, for all genes count.

    Raises
    ------
    InputError
        If scores or gene sets do not fit, or no term has an admissible size.
    """
    require_choice("rank_by", rank_by, get_args(Ranking))
    collections = as_collections(gene_sets)
    table = GeneScores.of(gene_scores(scores, rank_by), gene_names=gene_names)
    rng = np.random.default_rng(seed)
    frames: list[pd.DataFrame] = []
    controls: list[np.ndarray] = []
    universes = list(table.universes())
    for universe in universes:
        terms = Terms.of(collections, universe.symbols, min_size=min_size, max_size=max_size)
        if not terms.genes:
            continue
        t, p = _slopes(universe.values, terms.genes, terms.weights)
        edges = np.full(t.shape, "", dtype=object)
        frames.append(tests_frame(terms, universe.concepts, measures={"es": t, "p": p}, edges=edges))
        controls.extend(_control(universe, terms, rng, n_sets=N_SETS // len(universes)) if calibrate else ())
    if universes and not frames:
        raise InputError(nothing_to_test(table, collections, min_size=min_size, max_size=max_size))
    calibration = rates({GENE_PERMUTED: np.concatenate(controls)} if controls else {})
    ranking = rank_by if isinstance(scores, Attributions) else None
    return Enrichment(corrected(frames), getattr(scores, "dictionary_id", ""), calibration, ranking)


def _slopes(
    scores: Float[np.ndarray, "concepts genes"],
    genes: Sequence[Int[np.ndarray, " _hits"]],
    weights: Sequence[Float[np.ndarray, " _hits"]],
) -> tuple[Float[np.ndarray, "concepts terms"], Float[np.ndarray, "concepts terms"]]:
    """Return t of the slope and its p; 0 and 1 where scores or weights do not differ between genes."""
    n_genes = scores.shape[1]
    indptr = np.cumsum([0, *map(len, genes)])
    shape = (len(genes), n_genes)
    weight = sparse.csr_array((np.concatenate(weights), np.concatenate(genes), indptr), shape=shape)
    centred = scores - scores.mean(axis=1, keepdims=True)
    covariance = (weight @ centred.T).T
    weight_squares = (weight**2).sum(axis=1) - weight.sum(axis=1) ** 2 / n_genes
    scale = np.sqrt(np.outer((centred**2).sum(axis=1), np.maximum(weight_squares, 0.0)))
    r = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
    freedom = n_genes - 2
    t = r * np.sqrt(freedom / np.maximum(1 - r**2, np.finfo(np.float64).tiny))
    return t, np.asarray(2 * stats.t.sf(np.abs(t), freedom))


def _control(
    universe: GeneScores, terms: Terms, rng: np.random.Generator, *, n_sets: int
) -> Iterator[Float[np.ndarray, " _tests"]]:
    """Test terms drawn at random, their genes replaced by random ones, each in a concept drawn at random."""
    drawn = rng.integers(len(terms.genes), size=n_sets)
    weights = [terms.weights[term] for term in drawn]
    genes = [rng.choice(len(universe.genes), size=len(given), replace=False) for given in weights]
    p = _slopes(universe.values, genes, weights)[1]
    yield p[rng.integers(len(p), size=n_sets), np.arange(n_sets)]
