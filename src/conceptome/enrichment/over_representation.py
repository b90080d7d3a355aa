"""Over-representation of terms among the genes that drive a concept: Fisher's exact test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped
from scipy.stats import hypergeom

from conceptome.core import Attributions, Enrichment, InputError, require_choice
from conceptome.enrichment.findings import corrected, nothing_to_test, tests_frame
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.universe import GeneScores, PerGene, Terms, as_collections

Drivers: TypeAlias = Literal["supporting", "opposing", "both"]


def ora(
    selected: Attributions | pd.DataFrame,
    gene_sets: GeneSets | Sequence[GeneSets] | Mapping[str, Sequence[str]],
    *,
    drivers: Drivers = "supporting",
    min_size: int = 5,
    max_size: int = 2000,
    gene_names: PerGene | None = None,
) -> Enrichment:
    """Test whether the genes that drive a concept belong to a term more often than the measured genes do.

    Parameters
    ----------
    selected
        Attributions: their drivers, among the genes that were measured for the concept. Or concepts x genes
        of 1 (selected), 0 and NaN (not measured).
    gene_sets, gene_names
        As for `gsea`.
    drivers
        Which drivers of an `Attributions`: those that support the concept, those that oppose it, or both.
    min_size, max_size
        Terms with fewer or more genes in the universe are not tested.

    Returns
    -------
    The table of `gsea` with ``p`` one-sided of the hypergeometric distribution and ``es`` the log2 of the
    odds ratio, 0.5 added to each of the four counts; ``nes`` and ``p_empirical`` are NaN. ``no_signal`` marks
    terms without a selected gene (ES 0, p 1), ``leading_edge`` lists the selected genes of the term by name.
    Concepts without a selected gene have rows all the same, p 1.

    Raises
    ------
    InputError
        If genes or gene sets do not fit, or no term has an admissible size.
    """
    collections = as_collections(gene_sets)
    table = selection(selected, drivers=drivers, gene_names=gene_names)
    frames, any_measured = [], False
    for universe in table.universes():
        any_measured = True
        terms = Terms.of(collections, universe.symbols, min_size=min_size, max_size=max_size)
        if terms.genes:
            measures, edges = _test(universe.values == 1, terms.genes, universe.symbols)
            frames.append(tests_frame(terms, universe.concepts, measures=measures, edges=edges))
    if any_measured and not frames:
        raise InputError(nothing_to_test(table, collections, min_size=min_size, max_size=max_size))
    return Enrichment(corrected(frames), getattr(selected, "dictionary_id", ""))


def selection(
    selected: Attributions | pd.DataFrame, *, drivers: Drivers, gene_names: PerGene | None
) -> GeneScores:
    """Say which genes are selected: 1, among those that were measured: 0, not NaN.

    Parameters
    ----------
    selected, drivers, gene_names
        As for `ora`.

    Raises
    ------
    InputError
        If a value is something else, or genes do not fit.
    """
    require_choice("drivers", drivers, get_args(Drivers))
    frame = _drivers(selected, drivers) if isinstance(selected, Attributions) else selected.astype(float)
    table = GeneScores.of(frame, gene_names=gene_names)
    if not np.isin(table.values[~np.isnan(table.values)], (0, 1)).all():
        msg = "The selection holds other values than 0, 1 and NaN; expected 1 where a gene is selected."
        raise InputError(msg)
    return table


def _drivers(attributions: Attributions, which: Drivers) -> pd.DataFrame:
    value = attributions.attribution
    towards = {"supporting": value > 0, "opposing": value < 0, "both": value != 0}[which]
    chosen = np.where(np.isnan(value), np.nan, attributions.drives & towards)
    return pd.DataFrame(chosen, index=attributions.concepts, columns=attributions.genes)


def _test(
    selected: Bool[np.ndarray, "concepts genes"],
    terms: Sequence[Int[np.ndarray, " _hits"]],
    names: Shaped[np.ndarray, " genes"],
) -> tuple[dict[str, Float[np.ndarray, "concepts terms"]], Shaped[np.ndarray, "concepts terms"]]:
    n_genes = selected.shape[1]
    size = np.array([len(genes) for genes in terms])
    n_selected = selected.sum(axis=1)[:, None]
    hits = np.stack([selected[:, genes].sum(axis=1) for genes in terms], axis=1)
    only_selected, only_term = n_selected - hits, size - hits
    neither = n_genes - hits - only_selected - only_term
    odds = np.log2((hits + 0.5) * (neither + 0.5) / ((only_selected + 0.5) * (only_term + 0.5)))
    p = np.where(hits > 0, hypergeom.sf(hits - 1, n_genes, size, n_selected), 1.0)
    edges = np.full(hits.shape, "", dtype=object)
    for concept, term in np.argwhere(hits):
        genes = terms[term]
        edges[concept, term] = ";".join(sorted(names[genes[selected[concept, genes]]]))
    return {"es": np.where(hits > 0, odds, 0.0), "p": p}, edges
