"""Univariate linear models: the scores of all genes explained by a term's weights [Badia22]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import sparse, stats

from conceptome.core import (
    Attributions,
    DifferentialExpression,
    Enrichment,
    Ranking,
    require_choice,
)
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.preranked import gene_scores, null_scores
from conceptome.enrichment.testing import Options, Tested, run_method
from conceptome.enrichment.universe import GeneScores, PerGene, Sets, as_collections


def ulm(  # noqa: PLR0913 - the public face: every option of the test is named here
    scores: Attributions | DifferentialExpression | pd.DataFrame,
    gene_sets: GeneSets | Sequence[GeneSets] | Mapping[str, Sequence[str]],
    *,
    min_size: int = 5,
    max_size: int = 2000,
    rank_by: Ranking = "z",
    expression: PerGene | None = None,
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
    scores, gene_sets, rank_by, expression, gene_names
        As for `gsea`. Terms without weights weigh each of their genes 1.
    min_size, max_size
        Terms with fewer or more genes in the universe are not tested.
    calibrate
        Whether to measure the rates of small p under the null controls.
    seed
        Seed of the controls; the test itself has no randomness.

    Returns
    -------
    The table of `gsea` with ``es`` the t value of the slope and ``p`` two-sided of Student's t. ``nes`` and
    ``p_empirical`` are NaN, for there are no permutations; ``leading_edge`` lists the genes whose score times
    weight has the sign of t, the largest product first, though in truth all genes count.

    Raises
    ------
    InputError
        If scores, gene sets or options do not fit, or no term has an admissible size.
    """
    require_choice("rank_by", rank_by, get_args(Ranking))
    table, calibration = run_method(
        linear,
        GeneScores.of(gene_scores(scores, rank_by), gene_names=gene_names, expression=expression),
        as_collections(gene_sets),
        Options(min_size, max_size, seed=seed),
        null=null_scores(scores, rank_by, gene_names),
        calibrate=calibrate,
    )
    ranking = rank_by if isinstance(scores, Attributions) else None
    return Enrichment(table, getattr(scores, "dictionary_id", ""), calibration, ranking, "ulm")


def linear(universe: GeneScores, sets: Sets, n_named: int) -> Tested:
    """Fit the linear models of one universe.

    Parameters
    ----------
    universe
        The scores.
    sets
        The sets and their weights.
    n_named
        Sets, the first ones, whose genes are named.

    Returns
    -------
    ``es`` and ``p``, concepts x sets, and the genes with the sign of t.
    """
    t, p = _slopes(universe.values, sets.genes, sets.weights)
    edges = np.full((len(t), n_named), "", dtype=object)
    for term in range(n_named):
        genes = sets.genes[term]
        shares = universe.values[:, genes] * sets.weights[term] * np.sign(t[:, [term]])
        for concept, order in enumerate(np.argsort(-shares, axis=1, kind="stable")):
            carried = order[: (shares[concept] > 0).sum()]
            edges[concept, term] = ";".join(universe.symbols[genes[carried]])
    return {"es": t, "p": p}, edges


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
