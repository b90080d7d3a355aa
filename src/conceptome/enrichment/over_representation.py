"""Over-representation of terms among the genes that drive a concept: Fisher's exact test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import sparse
from scipy.stats import hypergeom

from conceptome.core import (
    Attributions,
    DifferentialExpression,
    Enrichment,
    InputError,
    require_choice,
)
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.testing import Options, Tested, run_method
from conceptome.enrichment.universe import GeneScores, PerGene, Sets, as_collections

Drivers: TypeAlias = Literal["supporting", "opposing", "both"]
ALPHA = 0.05


def ora(  # noqa: PLR0913 - the public face: every option of the test is named here
    selected: Attributions | DifferentialExpression | pd.DataFrame,
    gene_sets: GeneSets | Sequence[GeneSets] | Mapping[str, Sequence[str]],
    *,
    drivers: Drivers = "supporting",
    min_size: int = 5,
    max_size: int = 2000,
    expression: PerGene | None = None,
    gene_names: PerGene | None = None,
    calibrate: bool = True,
    seed: int = 0,
) -> Enrichment:
    """Test whether the genes that drive a concept belong to a term more often than the measured genes do.

    Parameters
    ----------
    selected
        Attributions: their drivers, among the genes that were measured for the concept. Differential
        expression: the genes with q <= 0.05. Or concepts x genes of 1 (selected), 0 and NaN (not measured).
    gene_sets, expression, gene_names
        As for `gsea`.
    drivers
        Which drivers of an `Attributions`: those that support the concept, those that oppose it, or both;
        of differential expression those that are higher where the concept is active, lower, or both.
    min_size, max_size
        Terms with fewer or more genes in the universe are not tested.
    calibrate
        Whether to measure the rates of small p under the null controls. Null pairs have no drivers; as many
        genes as the concept has are taken, those that null pairs favour most.
    seed
        Seed of the controls; the test itself has no randomness.

    Returns
    -------
    The table of `gsea` with ``p`` one-sided of the hypergeometric distribution and ``es`` the log2 of the
    odds ratio, 0.5 added to each of the four counts; ``nes`` and ``p_empirical`` are NaN. ``no_signal`` marks
    terms without a selected gene (ES 0, p 1), ``leading_edge`` lists the selected genes of the term by name.
    Concepts without a selected gene have rows all the same, p 1.

    Raises
    ------
    InputError
        If genes, gene sets or options do not fit, or no term has an admissible size.
    """
    chosen = selection(selected, drivers=drivers, gene_names=gene_names, expression=expression)
    null = None
    if isinstance(selected, Attributions):
        null = GeneScores.of(_null_selection(selected, drivers), gene_names=gene_names)
    table, calibration = run_method(
        over_represented,
        chosen,
        as_collections(gene_sets),
        Options(min_size, max_size, seed=seed),
        null=null,
        calibrate=calibrate,
    )
    return Enrichment(table, getattr(selected, "dictionary_id", ""), calibration, method="ora")


def selection(
    selected: Attributions | DifferentialExpression | pd.DataFrame,
    *,
    drivers: Drivers,
    gene_names: PerGene | None = None,
    expression: PerGene | None = None,
) -> GeneScores:
    """Say which genes are selected: 1, among those that were measured: 0, not NaN.

    Parameters
    ----------
    selected, drivers, gene_names, expression
        As for `ora`.

    Raises
    ------
    InputError
        If a value is something else, or genes do not fit.
    """
    require_choice("drivers", drivers, get_args(Drivers))
    frame = selected.astype(float) if isinstance(selected, pd.DataFrame) else _called(selected, drivers)
    table = GeneScores.of(frame, gene_names=gene_names, expression=expression)
    if not np.isin(table.values[~np.isnan(table.values)], (0, 1)).all():
        msg = "The selection holds other values than 0, 1 and NaN; expected 1 where a gene is selected."
        raise InputError(msg)
    return table


def _called(record: Attributions | DifferentialExpression, which: Drivers) -> pd.DataFrame:
    if isinstance(record, Attributions):
        value, called = record.attribution, record.drives
    else:
        value, called = record.score, record.q <= ALPHA
    chosen = np.where(np.isnan(value), np.nan, called & (_towards(value, which) > 0))
    return pd.DataFrame(chosen, index=record.concepts, columns=record.genes)


def _towards(
    value: Float[np.ndarray, "concepts genes"], which: Drivers
) -> Float[np.ndarray, "concepts genes"]:
    """Return how far each gene goes in the direction asked for."""
    return np.asarray({"supporting": value, "opposing": -value, "both": np.abs(value)}[which])


def _null_selection(attributions: Attributions, which: Drivers) -> pd.DataFrame:
    """Select as many genes as drive each concept, those that its null pairs favour most."""
    null = attributions.null_scores()
    wanted = np.nan_to_num(_called(attributions, which).to_numpy()).sum(axis=1)[:, None]
    strength = np.nan_to_num(_towards(null.to_numpy(), which))
    rank = np.argsort(np.argsort(-strength, axis=1, kind="stable"), axis=1, kind="stable")
    chosen = np.where(null.isna(), np.nan, (rank < wanted) & (strength > 0))
    return pd.DataFrame(chosen, index=null.index, columns=null.columns)


def over_represented(universe: GeneScores, sets: Sets, n_named: int) -> Tested:
    """Test sets against the genes selected in one universe.

    Parameters
    ----------
    universe
        1 where a gene is selected.
    sets
        The sets; weights play no part.
    n_named
        Sets, the first ones, whose selected genes are named.

    Returns
    -------
    ``es`` and ``p``, concepts x sets, and the selected genes of each set by name.
    """
    selected = universe.values == 1
    n_genes = selected.shape[1]
    indptr = np.cumsum([0, *map(len, sets.genes)])
    ones = np.ones(indptr[-1])
    members = sparse.csr_array((ones, np.concatenate(sets.genes), indptr), shape=(len(sets.genes), n_genes))
    size, n_selected = np.diff(indptr), selected.sum(axis=1)[:, None]
    hits = (members @ selected.T.astype(float)).T
    only_selected, only_term = n_selected - hits, size - hits
    neither = n_genes - hits - only_selected - only_term
    odds = np.log2((hits + 0.5) * (neither + 0.5) / ((only_selected + 0.5) * (only_term + 0.5)))
    p = _upper_tail(hits, n_genes=n_genes, size=size, n_selected=n_selected)
    edges = np.full((len(hits), n_named), "", dtype=object)
    for concept, term in np.argwhere(hits[:, :n_named]):
        genes = sets.genes[term]
        edges[concept, term] = ";".join(sorted(universe.symbols[genes[selected[concept, genes]]]))
    return {"es": np.where(hits > 0, odds, 0.0), "p": p}, edges


def _upper_tail(
    hits: Float[np.ndarray, "concepts sets"],
    *,
    n_genes: int,
    size: Int[np.ndarray, " sets"],
    n_selected: Int[np.ndarray, "concepts 1"],
) -> Float[np.ndarray, "concepts sets"]:
    """Return the chance of as many hits or more, computed once for equal counts; 1 without a hit."""
    base = n_genes + 1
    keys = (hits.astype(np.int64) * base + size) * base + n_selected
    distinct, place = np.unique(keys[hits > 0], return_inverse=True)
    rest, selected = np.divmod(distinct, base)
    hit, of_size = np.divmod(rest, base)
    p = np.ones(hits.shape)
    p[hits > 0] = np.asarray(hypergeom.sf(hit - 1, n_genes, of_size, selected))[place]
    return p
