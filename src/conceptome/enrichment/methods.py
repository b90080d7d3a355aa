"""The three tests of terms behind one face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import get_args

import pandas as pd

from conceptome.core import (
    Attributions,
    DifferentialExpression,
    Enrichment,
    EnrichmentMethod,
    Ranking,
    require_choice,
)
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.linear_model import linear, ulm
from conceptome.enrichment.over_representation import ora, over_represented, selection
from conceptome.enrichment.preranked import gene_scores, gsea, preranked
from conceptome.enrichment.testing import Method, Options
from conceptome.enrichment.universe import GeneScores, PerGene


def enrich(  # noqa: PLR0913 - the public face: every option of the tests is named here
    scores: Attributions | DifferentialExpression | pd.DataFrame,
    gene_sets: GeneSets | Sequence[GeneSets] | Mapping[str, Sequence[str]],
    *,
    method: EnrichmentMethod = "gsea",
    min_size: int = 10,
    max_size: int = 500,
    n_permutations: int = 1000,
    rank_by: Ranking = "z",
    expression: PerGene | None = None,
    gene_names: PerGene | None = None,
    calibrate: bool = True,
    seed: int = 0,
) -> Enrichment:
    """Test every term in every concept, by a method of your choice.

    Parameters
    ----------
    scores, gene_sets, expression, gene_names, calibrate, seed
        As for `gsea`; as for `ora` with that method.
    method
        ``"gsea"``, ``"ulm"`` or ``"ora"``, see the functions of these names. ``"ora"`` selects the drivers
        that support a concept, or the genes with q <= 0.05 that are higher where it is active.
    min_size, max_size
        Terms with fewer or more genes in the universe are not tested.
    n_permutations
        Random sets for each term size, of ``"gsea"`` alone.
    rank_by
        What ranks the genes of an `Attributions`; ``"ora"`` ranks none.

    Returns
    -------
    What the method found.

    Raises
    ------
    InputError
        If scores, gene sets or options do not fit, or no term has an admissible size.
    """
    require_choice("method", method, get_args(EnrichmentMethod))
    test = {"gsea": partial(gsea, n_permutations=n_permutations, rank_by=rank_by)}
    test |= {"ulm": partial(ulm, rank_by=rank_by), "ora": partial(ora)}
    return test[method](
        scores,
        gene_sets,
        min_size=min_size,
        max_size=max_size,
        expression=expression,
        gene_names=gene_names,
        calibrate=calibrate,
        seed=seed,
    )


def prepare(
    scores: Attributions | DifferentialExpression | pd.DataFrame,
    method: EnrichmentMethod,
    options: Options,
    *,
    rank_by: Ranking,
    gene_names: PerGene | None,
) -> tuple[GeneScores, Method]:
    """Bring scores into the form that a method tests.

    Parameters
    ----------
    scores, method, rank_by, gene_names
        As for `enrich`.
    options
        Permutations and seed of the test.

    Returns
    -------
    The scores, or the selected genes, and the test.

    Raises
    ------
    InputError
        If scores or method do not fit.
    """
    require_choice("method", method, get_args(EnrichmentMethod))
    require_choice("rank_by", rank_by, get_args(Ranking))
    if method == "ora":
        return selection(scores, drivers="supporting", gene_names=gene_names), over_represented
    table = GeneScores.of(gene_scores(scores, rank_by), gene_names=gene_names)
    if method == "ulm":
        return table, linear
    return table, partial(preranked, n_permutations=options.n_permutations, seed=options.seed)
