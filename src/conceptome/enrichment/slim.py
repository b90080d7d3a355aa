"""A few general terms instead of many: rolling annotations and findings up to a slim of the ontology."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from conceptome.core import InputError
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.ontology import Ontology
from conceptome.enrichment.propagation import propagate


def roll_up(gene_sets: GeneSets, ontology: Ontology, *, slim: str | Sequence[str]) -> GeneSets:
    """Reduce a collection to the terms of a slim, each with the genes of everything below it.

    Parameters
    ----------
    gene_sets
        A collection whose terms `match_terms` finds in the ontology; the others are left out.
    ontology
        The ontology.
    slim
        Identifiers, or a subset tag of the OBO file, such as ``"goslim_generic"``.

    Returns
    -------
    The slim's terms that have genes, in the slim's order, under the ontology's names.

    Raises
    ------
    InputError
        If the slim is unknown or empty, the ontology knows no term of the collection, or no gene falls under
        the slim.
    """
    wanted = _slim_terms(slim, ontology)
    whole = propagate(gene_sets, ontology)
    members = dict(zip(whole.terms, whole.members, strict=True))
    kept = [term for term in wanted if term in members]
    if not kept:
        found = f"No gene of {gene_sets.collection} falls under the {len(wanted)} terms of the slim"
        msg = f"{found}, such as {wanted[0]}. Choose a slim of the same branch of the ontology."
        raise InputError(msg)
    names = tuple(ontology.names[ontology.position(term)] for term in kept)
    return GeneSets(gene_sets.collection, tuple(kept), names, tuple(members[term] for term in kept))


def slim_of(terms: Sequence[str], ontology: Ontology, *, slim: str | Sequence[str]) -> pd.DataFrame:
    """Find the nearest terms of a slim above each term.

    Parameters
    ----------
    terms
        Identifiers, also former ones, such as those of a concept's findings.
    ontology
        The ontology.
    slim
        Identifiers, or a subset tag of the OBO file, such as ``"goslim_generic"``.

    Returns
    -------
    ``term, slim_term, slim_name``: one row for each slim term at or above the term that has no other such
    slim term below it, as in map2slim; one row with empty strings where there is none.

    Raises
    ------
    InputError
        If the slim is unknown or empty, or the ontology lacks one of the terms.
    """
    positions = np.array([ontology.position(term) for term in _slim_terms(slim, ontology)])
    within = ontology.ancestors[positions][:, positions].toarray()
    np.fill_diagonal(within, val=False)
    rows: list[tuple[str, str, str]] = []
    for term in terms:
        reached = ontology.ancestors[[ontology.position(term)]][:, positions].toarray()[0]
        nearest = np.flatnonzero(reached & ~within[reached].any(axis=0))
        found = [(str(ontology.ids[at]), ontology.names[at]) for at in positions[nearest]]
        rows.extend((term, identifier, name) for identifier, name in found or [("", "")])
    return pd.DataFrame(rows, columns=["term", "slim_term", "slim_name"])


def _slim_terms(slim: str | Sequence[str], ontology: Ontology) -> list[str]:
    if isinstance(slim, str):
        if slim not in ontology.subsets:
            tags = ", ".join(sorted(ontology.subsets)) or "none"
            msg = f"The ontology has no subset {slim!r}; it has {tags}. Give one of them or a list of terms."
            raise InputError(msg)
        slim = ontology.subsets[slim]
    if not len(slim):
        msg = "The slim holds no term; expected identifiers such as ['GO:0002376']."
        raise InputError(msg)
    return list(dict.fromkeys(str(ontology.ids[ontology.position(term)]) for term in slim))
