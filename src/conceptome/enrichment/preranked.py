"""Preranked gene-set enrichment of every concept at once, free of the order of tied genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import get_args

import numpy as np
import pandas as pd

from conceptome.core import (
    Attributions,
    DifferentialExpression,
    Enrichment,
    Ranking,
    require_choice,
)
from conceptome.enrichment.engine import leading_edges, rank_blocks, run_tests
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.testing import Options, Tested, run_method
from conceptome.enrichment.universe import GeneScores, PerGene, Sets, as_collections

CONCEPTS_AT_A_TIME = 512  # whose rankings are held in memory; each time the random sets are drawn again


def gsea(  # noqa: PLR0913 - the public face: every option of the test is named here
    scores: Attributions | DifferentialExpression | pd.DataFrame,
    gene_sets: GeneSets | Sequence[GeneSets] | Mapping[str, Sequence[str]],
    *,
    min_size: int = 10,
    max_size: int = 500,
    n_permutations: int = 1000,
    rank_by: Ranking = "z",
    expression: PerGene | None = None,
    gene_names: PerGene | None = None,
    calibrate: bool = True,
    seed: int = 0,
) -> Enrichment:
    """Test every term in every concept's gene ranking by preranked GSEA [Subramanian05].

    Weight 1; the running sum is read at the boundaries of tied blocks only; the null is gene permutation.

    Parameters
    ----------
    scores
        Gene scores, concepts x genes; positive = supports the concept. NaN is outside the universe, and a
        concept without any score gives no rows.
    gene_sets
        One or more collections, or a dict of gene lists.
    min_size, max_size
        Terms with fewer or more genes in the universe are not tested.
    n_permutations
        Random sets for each term size.
    rank_by
        What ranks the genes of an `Attributions`. ``"z"`` is attribution over its error, see
        `conceptome.core.signal_to_noise`. The attribution itself has so heavy a tail that a few genes decide
        the score of every set that holds them, random sets included, and next to nothing can be significant.
    expression
        Mean expression of each gene, for the control by random sets matched for size and expression.
    gene_names
        Symbol of each gene, where scores carry other names (Ensembl ids) than the gene sets.
    calibrate
        Whether to measure the rates of small p under the null controls.
    seed
        Seed of the random sets.

    Returns
    -------
    One row per tested concept and term, within a concept by ascending p: ``size`` counts the term's genes in
    the universe, ``overlap`` is the share of the term's genes that are there, ``es`` and ``nes`` are positive
    where the term's genes support the concept, ``q_concept`` and ``q_global`` are
    Benjamini-Hochberg over the concept's and over all tests, ``no_signal`` marks terms wholly among zero
    scores (ES 0, p 1), ``leading_edge`` lists ``GENE;GENE;...``, the most extreme score first, where p is
    0.25 or less (`running_sum` has it for any), ``flag`` says ``"ribosomal"`` or ``"mitochondrial"`` where
    such genes make up 30% of the term or more. With it the rates of small p under the null controls, see
    `conceptome.enrichment.calibration`.

    Raises
    ------
    InputError
        If scores, gene sets or options do not fit, or no term has an admissible size.
    """
    require_choice("rank_by", rank_by, get_args(Ranking))
    options = Options(min_size, max_size, n_permutations, seed)
    frame = gene_scores(scores, rank_by)
    table, calibration = run_method(
        partial(preranked, n_permutations=n_permutations, seed=seed),
        GeneScores.of(frame, gene_names=gene_names, expression=expression),
        as_collections(gene_sets),
        options,
        null=null_scores(scores, rank_by, gene_names),
        calibrate=calibrate,
    )
    ranking = rank_by if isinstance(scores, Attributions) else None
    return Enrichment(table, getattr(scores, "dictionary_id", ""), calibration, ranking, "gsea")


def gene_scores(
    scores: Attributions | DifferentialExpression | pd.DataFrame, rank_by: Ranking
) -> pd.DataFrame:
    """Return what ranks the genes, concepts x genes.

    Parameters
    ----------
    scores
        Gene scores in any accepted form.
    rank_by
        What ranks the genes of an `Attributions`.
    """
    if isinstance(scores, pd.DataFrame):
        return scores
    return scores.scores(rank_by) if isinstance(scores, Attributions) else scores.scores()


def null_scores(
    scores: Attributions | DifferentialExpression | pd.DataFrame,
    rank_by: Ranking,
    gene_names: PerGene | None,
) -> GeneScores | None:
    """Return the scores of the same genes from null pairs; None where there are no pairs.

    Parameters
    ----------
    scores, rank_by, gene_names
        As for `gsea`.
    """
    if not isinstance(scores, Attributions):
        return None
    return GeneScores.of(scores.null_scores(rank_by), gene_names=gene_names)


def preranked(universe: GeneScores, sets: Sets, n_named: int, *, n_permutations: int, seed: int) -> Tested:
    """Test sets along the rankings of one universe.

    Parameters
    ----------
    universe
        The scores.
    sets
        The sets; weights play no part.
    n_named
        Sets, the first ones, whose leading edges are named.
    n_permutations, seed
        As for `gsea`.

    Returns
    -------
    ``es, nes, p, p_empirical``, concepts x sets, and the leading edges.
    """
    measures = {
        name: np.empty((len(universe.values), len(sets.genes))) for name in ("es", "nes", "p", "p_empirical")
    }
    edges = np.empty((len(universe.values), n_named), dtype=object)
    for start in range(0, len(universe.values), CONCEPTS_AT_A_TIME):
        some = slice(start, start + CONCEPTS_AT_A_TIME)
        rankings = rank_blocks(universe.values[some])
        tests = run_tests(rankings, sets.genes, n_permutations=n_permutations, seed=seed)
        edges[some] = leading_edges(rankings, sets.genes[:n_named], tests, universe.symbols)
        for name, measure in measures.items():
            measure[some] = getattr(tests, name)
    return measures, edges
