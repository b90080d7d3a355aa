"""The true-path rule: a gene annotated to a term is annotated to every term above it."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Int

from conceptome.core import Csr, InputError
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.ontology import Ontology
from conceptome.enrichment.term_matching import match_terms

logger = logging.getLogger(__name__)


def propagate(gene_sets: GeneSets, ontology: Ontology) -> GeneSets:
    """Give every term the genes of all terms below it.

    Parameters
    ----------
    gene_sets
        A collection whose terms `match_terms` finds in the ontology. Those it does not find are kept as they
        are, and their number is logged.
    ontology
        The ontology.

    Returns
    -------
    The collection's terms in their order, under the ontology's identifiers and the collection's names, then
    the terms above them that it lacked, in the ontology's order. Genes stand in the order in which the
    collection first names them. Sets that stand for one term become one.

    Raises
    ------
    InputError
        If no term of the collection is in the ontology.
    """
    found = match_terms(gene_sets, ontology)
    positions = mapped_positions(found, gene_sets, ontology)
    genes = pd.Index(list(dict.fromkeys(gene for members in gene_sets.members for gene in members)))
    above = propagated(annotation_matrix(gene_sets, positions, genes, ontology), ontology)
    given = list(zip(gene_sets.terms, gene_sets.names, gene_sets.members, strict=True))
    names = {at: name for at, (_, name, _) in reversed(list(zip(positions, given, strict=True)))}
    rows = dict.fromkeys([*positions[positions >= 0], *np.flatnonzero(np.diff(above.indptr))])
    placed = [
        (str(ontology.ids[at]), names.get(at, ontology.names[at]), _genes(above, int(at), genes))
        for at in rows
    ]
    unplaced = [own for at, own in zip(positions, given, strict=True) if at < 0]
    terms, titles, members = zip(*placed, *unplaced, strict=True)
    return GeneSets(gene_sets.collection, terms, titles, members)


def _genes(annotations: Csr, term: int, genes: pd.Index) -> tuple[str, ...]:
    row = slice(annotations.indptr[term], annotations.indptr[term + 1])
    return tuple(genes[annotations.indices[row]])


def mapped_positions(
    found: pd.DataFrame, gene_sets: GeneSets, ontology: Ontology
) -> Int[np.ndarray, " sets"]:
    """Return where the sets stand in the ontology, -1 where they do not, and log how many.

    Parameters
    ----------
    found
        What `match_terms` returned.
    gene_sets
        The collection.
    ontology
        The ontology.

    Raises
    ------
    InputError
        If none of them does.
    """
    positions = np.asarray(ontology.ids.get_indexer(pd.Index(found["ontology_id"])))
    missing = found[positions < 0]
    if len(missing) == len(found):
        example = f"{gene_sets.terms[0]!r}, while the ontology has {ontology.ids[0]}, {ontology.names[0]!r}"
        msg = (
            f"None of the {len(gene_sets):,} terms of {gene_sets.collection} is in the ontology, such as "
            f"{example}. Use the ontology that the collection was made from."
        )
        raise InputError(msg)
    if len(missing):
        logger.warning(
            "%d of the %d terms of %s are not in the ontology, such as %s; see match_terms.",
            len(missing),
            len(found),
            gene_sets.collection,
            ", ".join(missing["term"].head(3)),
        )
    return positions


def annotation_matrix(
    gene_sets: GeneSets, positions: Int[np.ndarray, " sets"], genes: pd.Index, ontology: Ontology
) -> Csr:
    """Return the ontology's terms x genes, True where a set that stands for the term holds the gene.

    Parameters
    ----------
    gene_sets
        The collection.
    positions
        Where each of its sets stands in the ontology; -1 = nowhere.
    genes
        Names of the columns.
    ontology
        The ontology.
    """
    sizes = [len(members) for members in gene_sets.members]
    rows = np.repeat(positions, sizes)
    columns = genes.get_indexer(pd.Index([gene for members in gene_sets.members for gene in members]))
    placed = rows >= 0
    ones = np.ones(int(placed.sum()), dtype=bool)
    return sp.csr_array((ones, (rows[placed], columns[placed])), shape=(len(ontology), len(genes)))


def propagated(annotations: Csr, ontology: Ontology) -> Csr:
    """Add to every term's row those of the terms below it.

    Parameters
    ----------
    annotations
        Terms x genes.
    ontology
        The ontology.

    Returns
    -------
    Terms x genes, True where a gene is annotated to the term or below it, columns ascending in each row.
    """
    above = sp.csr_array(ontology.ancestors.T @ annotations)
    above.sort_indices()
    return above
