"""How much two terms of an ontology mean the same, from how rarely what they share is annotated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float

from conceptome.core import require_choice
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.ontology import Ontology
from conceptome.enrichment.propagation import annotation_matrix, mapped_positions, propagated
from conceptome.enrichment.term_matching import match_terms

Similarity = Literal["relevance", "lin"]


def information_content(gene_sets: GeneSets, ontology: Ontology) -> pd.Series:
    """Measure how specific each term is, by how few genes are annotated to it or below it [Resnik95].

    Parameters
    ----------
    gene_sets
        Annotations, as complete as can be; the true-path rule is applied to them here.
    ontology
        The ontology.

    Returns
    -------
    -log of the share of the namespace's annotated genes, in nats, for every term of the ontology: 0 at a
    root, NaN for terms without genes.

    Raises
    ------
    InputError
        If no term of the collection is in the ontology.
    """
    positions = mapped_positions(match_terms(gene_sets, ontology), gene_sets, ontology)
    genes = pd.Index(list(dict.fromkeys(gene for members in gene_sets.members for gene in members)))
    annotations = propagated(annotation_matrix(gene_sets, positions, genes, ontology), ontology)
    n_genes = np.diff(annotations.indptr).astype(np.float64)
    namespaces = pd.Series(ontology.namespaces)
    whole = np.empty(len(ontology))
    for rows in namespaces.groupby(namespaces).groups.values():
        whole[rows] = (annotations[rows].sum(axis=0) > 0).sum()
    share = np.divide(n_genes, whole, out=np.full(len(ontology), np.nan), where=n_genes > 0)
    return pd.Series(-np.log(share) + 0.0, index=ontology.ids, name="information_content")


def semantic_similarity(
    terms: Sequence[str], ontology: Ontology, information: pd.Series, *, measure: Similarity = "relevance"
) -> pd.DataFrame:
    """Compare terms by the most informative term that stands above both.

    Parameters
    ----------
    terms
        Identifiers, also former ones.
    ontology
        The ontology.
    information
        Information content of its terms, as `information_content` returns it.
    measure
        ``"lin"``: twice the information of the common ancestor over the sum of the terms' own [Lin98], 1
        for a term with itself. ``"relevance"``: times 1 - the ancestor's share of genes [Schlicker06], which
        is small where terms have only a general ancestor in common.

    Returns
    -------
    Terms x terms, symmetric, 0 to 1; 0 without a common ancestor, NaN for terms without annotated genes.

    Raises
    ------
    InputError
        If the ontology lacks one of the terms, or the measure is unknown.
    """
    require_choice("measure", measure, get_args(Similarity))
    content = information.reindex(ontology.ids).to_numpy(dtype=np.float64)
    positions = np.array([ontology.position(term) for term in terms], dtype=np.int64)
    shared = _shared_information(positions, ontology, content)
    own = content[positions]
    total = own[:, None] + own[None, :]
    similarity = np.divide(2 * shared, total, out=np.zeros_like(shared), where=total > 0)
    if measure == "relevance":
        similarity *= 1 - np.exp(-shared)
    similarity[np.isnan(total)] = np.nan
    return pd.DataFrame(similarity, index=pd.Index(terms), columns=pd.Index(terms))


def _shared_information(
    positions: np.ndarray, ontology: Ontology, content: Float[np.ndarray, " all_terms"]
) -> Float[np.ndarray, "terms terms"]:
    """Return the information of the most informative common ancestor, 0 without one."""
    above = ontology.ancestors[positions].tocsc()
    shared = np.zeros((len(positions), len(positions)))
    informative = np.flatnonzero((np.diff(above.indptr) > 0) & (content > 0))
    for ancestor in informative[np.argsort(content[informative], kind="stable")]:
        below = above.indices[above.indptr[ancestor] : above.indptr[ancestor + 1]]
        shared[np.ix_(below, below)] = content[ancestor]
    return shared
