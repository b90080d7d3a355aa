"""Which term of an ontology each gene set stands for."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd

from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.ontology import Ontology

IDENTIFIER = re.compile(r"[A-Za-z]+:\w+")
PREFIXES = {
    "GOBP": "biological_process",
    "GOMF": "molecular_function",
    "GOCC": "cellular_component",
}  # of MSigDB's names, with the namespace they stand for

BY_ID = "identifier"
BY_FORMER_ID = "former identifier"
BY_NAME = "name"
OBSOLETE = "obsolete"
UNKNOWN = "unknown"


def match_terms(gene_sets: GeneSets, ontology: Ontology) -> pd.DataFrame:
    """Find the ontology's term for each gene set, and say what did not map.

    Parameters
    ----------
    gene_sets
        Sets named by identifier (``GO:0002250``), by MSigDB's names (``GOBP_ADAPTIVE_IMMUNE_RESPONSE``), by
        Enrichr's (``adaptive immune response (GO:0002250)``) or by the term's own name.
    ontology
        The ontology.

    Returns
    -------
    One row per set, in their order: ``term, name, ontology_id, how``. `how` is ``"identifier"``,
    ``"former identifier"`` (merged or replaced since), ``"name"``, or, where `ontology_id` is empty,
    ``"obsolete"`` (retired without replacement) or ``"unknown"``.
    """
    by_name = _terms_by_name(ontology)
    known = set(ontology.ids)
    rows = [
        (term, name, *_match((term, name, source), ontology, known, by_name))
        for term, name, source in zip(gene_sets.terms, gene_sets.names, _sources(gene_sets), strict=True)
    ]
    return pd.DataFrame(rows, columns=["term", "name", "ontology_id", "how"])


def _match(
    labels: Sequence[str], ontology: Ontology, known: set[str], by_name: Mapping[tuple[str, str], str]
) -> tuple[str, str]:
    found = [match for label in labels for match in IDENTIFIER.findall(label)]
    for identifier in found:
        if identifier in known:
            return identifier, BY_ID
        if identifier in ontology.alternatives:
            return ontology.alternatives[identifier], BY_FORMER_ID
    for label in labels[:2]:
        prefix, _, rest = label.partition("_")
        key = (rest, PREFIXES[prefix]) if prefix in PREFIXES else (label, "")
        term = by_name.get((_plain(key[0]), key[1]))
        if term:
            return term, BY_NAME
    return "", OBSOLETE if any(identifier in ontology.obsolete for identifier in found) else UNKNOWN


def _terms_by_name(ontology: Ontology) -> dict[tuple[str, str], str]:
    """Index names that one term has, within its namespace and, with namespace "", among all terms."""
    terms = defaultdict(list)
    for term, name, namespace in zip(ontology.ids, ontology.names, ontology.namespaces, strict=True):
        plain = _plain(name)
        for space in {namespace, ""}:
            terms[plain, space].append(str(term))
    return {key: found[0] for key, found in terms.items() if len(found) == 1}


def _plain(name: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")


def _sources(gene_sets: GeneSets) -> Sequence[str]:
    return gene_sets.sources or [""] * len(gene_sets)
