"""How alike the concepts of two dictionaries are by each measure, or why that cannot be said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Int

from conceptome.core import Activations, Attributions, Csr, Dictionary, Embeddings, Enrichment, InputError
from conceptome.data.shared_genes import share_genes
from conceptome.dictionaries.comparison import MATCHED_CELLS, Similarity, correlation_draws, cosine_draws
from conceptome.dictionaries.profiles import overlap_draws, profile_draws

Measure: TypeAlias = Literal["directions", "profiles", "activations", "terms"]

ALPHA = 0.05
N_STRATA = 10
MIN_GENES = 20
MIN_CELLS, MIN_SHARE = 50, 0.1  # of the smaller dataset: barcodes of unrelated cells coincide now and then
TERM = ["collection", "term"]


@dataclass(frozen=True, eq=False)
class ComparedConcepts:
    """A dictionary and what is known of its concepts."""

    name: str
    dictionary: Dictionary
    embeddings: Embeddings
    activations: Activations
    attributions: Attributions | None = None
    enrichment: Enrichment | None = None
    labels: pd.Series | None = None
    """Best label, by concept."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Similarities of the concepts of two dictionaries: those observed first, then those under chance."""

    concept_a: Int[np.ndarray, " concepts_a"]
    """Concepts of the rows; those for which the measure says something."""
    concept_b: Int[np.ndarray, " concepts_b"]
    matrices: Iterator[Similarity]
    note: str = ""
    """What they rest on, as a sentence."""


def similarity_draws(
    a: ComparedConcepts,
    b: ComparedConcepts,
    measure: Measure,
    *,
    gene_table: Path | str | None = None,
    seed: int = 0,
) -> Draws:
    """Measure how alike the concepts of two dictionaries are; chance stands in for the larger one.

    Parameters
    ----------
    a, b
        The dictionaries.
    measure
        ``"directions"``: cosine, on one encoder, against random directions with the covariance of the
        embedding. ``"profiles"``: correlation of gene scores over shared genes, against genes permuted among
        those that differ in as many pairs. ``"activations"``: correlation over the cells of the first where
        both have one encoder, else over shared cells, against permuted cells. ``"terms"``: Jaccard index of
        significant terms whose genes support the concept, against terms permuted among those that as many
        concepts have.
    gene_table
        See `share_genes`.
    seed
        Decides the draws of chance.

    Returns
    -------
    `Draws`.

    Raises
    ------
    InputError
        If the measure says nothing of these two; the message says why.
    """
    ways = {"directions": _directions, "activations": _activations, "terms": _terms}
    swapped = a.dictionary.n_concepts > b.dictionary.n_concepts
    few, many = (b, a) if swapped else (a, b)
    rng = np.random.default_rng(seed)
    draws = _profiles(few, many, rng, gene_table) if measure == "profiles" else ways[measure](few, many, rng)
    if not swapped:
        return draws
    turned = (matrix.T for matrix in draws.matrices)
    return Draws(draws.concept_b, draws.concept_a, turned, draws.note)


def _one_encoder(few: ComparedConcepts, many: ComparedConcepts) -> bool:
    ids = [each.dictionary.encoder_id for each in (few, many)]
    return ids[0] == ids[1] != "" and few.dictionary.d_embed == many.dictionary.d_embed


def _directions(few: ComparedConcepts, many: ComparedConcepts, rng: np.random.Generator) -> Draws:
    if not _one_encoder(few, many):
        msg = "the encoders differ, and directions of different embeddings do not compare"
        raise InputError(msg)
    z = np.concatenate([_some_cells(each.embeddings.values, rng) for each in (few, many)])
    matrices = cosine_draws(few.dictionary, many.dictionary, z, rng)
    return Draws(_all(few), _all(many), matrices)


def _activations(few: ComparedConcepts, many: ComparedConcepts, rng: np.random.Generator) -> Draws:
    if _one_encoder(few, many):
        z = np.concatenate([_some_cells(each.embeddings.values, rng) for each in (few, many)])
        encoded = few.dictionary.encode(z), many.dictionary.encode(z)
        note = f"Activations are compared on {len(z):,} cells of both."
    else:
        encoded, note = _shared_cells(few, many)
    return Draws(_all(few), _all(many), correlation_draws(*encoded, rng), note)


def _shared_cells(few: ComparedConcepts, many: ComparedConcepts) -> tuple[tuple[Csr, Csr], str]:
    cells = [each.activations.cell_ids for each in (few, many)]
    shared = cells[0].intersection(cells[1])
    least = max(MIN_CELLS, MIN_SHARE * min(map(len, cells)))
    if len(shared) < least:
        found = f"the encoders differ and {len(shared):,} cells have one id in both"
        msg = f"{found}, at least {least:,.0f} are needed"
        raise InputError(msg)
    rows = [each.get_indexer(shared) for each in cells]
    encoded = few.activations.values[rows[0]], many.activations.values[rows[1]]
    return encoded, f"Activations are compared on {len(shared):,} cells with one id in both."


def _profiles(
    few: ComparedConcepts, many: ComparedConcepts, rng: np.random.Generator, gene_table: Path | str | None
) -> Draws:
    found = [_attributions(each) for each in (few, many)]
    genes = share_genes(found[0].genes, found[1].genes, table=gene_table)
    rows = [np.flatnonzero(each.n_pairs > 0) for each in found]
    columns = genes.a, genes.b
    tables = [
        each.scores("z").to_numpy()[np.ix_(row, column)]
        for each, row, column in zip(found, rows, columns, strict=True)
    ]
    measured = np.isfinite(tables[0]).all(axis=0) & np.isfinite(tables[1]).all(axis=0)
    if measured.sum() < MIN_GENES or not all(map(len, rows)):
        sizes = " and ".join(str(len(row)) for row in rows)
        msg = f"{int(measured.sum())} shared genes were attributed to {sizes} concepts, too few to compare"
        raise InputError(msg)
    differing = found[1].n_differing[rows[1]][:, columns[1]].sum(axis=0)[measured]
    strata = np.argsort(np.argsort(differing, kind="stable"), kind="stable") * N_STRATA // len(differing)
    matrices = profile_draws(tables[0][:, measured], tables[1][:, measured], strata, rng)
    return Draws(found[0].concepts[rows[0]], found[1].concepts[rows[1]], matrices, genes.describe())


def _attributions(each: ComparedConcepts) -> Attributions:
    if each.attributions is None:
        msg = f"{each.name} has no attributions"
        raise InputError(msg)
    return each.attributions


def _terms(few: ComparedConcepts, many: ComparedConcepts, rng: np.random.Generator) -> Draws:
    found = [_enrichment(each) for each in (few, many)]
    tested = [pd.MultiIndex.from_frame(each.table[TERM]).unique() for each in found]
    shared = tested[0].intersection(tested[1])
    sets = [_significant(each, shared) for each in found]
    if not all(len(concepts) for concepts, _ in sets):
        lacking = next(e.name for e, (c, _) in zip((few, many), sets, strict=True) if not len(c))
        msg = f"no concept of {lacking} has a significant term among the {len(shared):,} that both tested"
        raise InputError(msg)
    (concept_a, members_a), (concept_b, members_b) = sets
    strata = np.floor(np.log2(1 + members_b.sum(axis=0))).astype(np.int64)
    note = f"{len(shared):,} terms were tested in both; concepts without a significant one are left out."
    return Draws(concept_a, concept_b, overlap_draws(members_a, members_b, strata, rng), note)


def _enrichment(each: ComparedConcepts) -> Enrichment:
    if each.enrichment is None:
        msg = f"{each.name} has no enrichment"
        raise InputError(msg)
    return each.enrichment


def _significant(found: Enrichment, terms: pd.MultiIndex) -> tuple[np.ndarray, np.ndarray]:
    """Return the concepts that have significant terms, and which."""
    table = found.table[(found.table["q_global"] <= ALPHA) & (found.effect > 0)]
    column = terms.get_indexer(pd.MultiIndex.from_frame(table[TERM]))
    concepts = np.unique(table["concept"].to_numpy()[column >= 0])
    members = np.zeros((len(concepts), len(terms)), dtype=bool)
    row = np.searchsorted(concepts, table["concept"].to_numpy()[column >= 0])
    members[row, column[column >= 0]] = True
    return concepts, members


def _some_cells(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return values[np.sort(rng.permutation(len(values))[: MATCHED_CELLS // 2])]


def _all(each: ComparedConcepts) -> np.ndarray:
    return np.arange(each.dictionary.n_concepts)
