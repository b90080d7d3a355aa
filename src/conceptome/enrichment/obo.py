"""The OBO format [OBO14], as far as terms, their relations and their former identifiers go.

A reader of our own: pronto and goatools bring compiled parsers, graphs and plotting libraries, and obonet a
graph library that keeps every line as text; none of them refuses a missing parent.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from conceptome.core import Csr, InputError, Names
from conceptome.enrichment.ontology import Ontology
from conceptome.enrichment.text_lines import numbered_lines

RELATIONS = ("is_a", "part_of")
KEPT_TAGS = frozenset(
    (
        *("id", "name", "namespace", "default-namespace", "subset"),
        *("is_a", "relationship", "alt_id", "is_obsolete", "replaced_by"),
    )
)

SPECIAL = re.compile(r"[!{\\]")


def read_obo(path: Path | str, *, relations: Sequence[str] = RELATIONS) -> Ontology:
    """Read an ontology from an OBO file, plain or gzip.

    Parameters
    ----------
    path
        File such as ``go-basic.obo``.
    relations
        What makes a term belong to another: ``"is_a"`` and types of ``relationship``. An annotation to a
        term implies one to every term above it, which holds for these two; it does not for ``"regulates"``.

    Returns
    -------
    The live terms in the order of the file.

    Raises
    ------
    InputError
        If the file is missing or no OBO file, a term has no identifier or is defined twice, a parent is
        missing or obsolete, the graph has a cycle, or `relations` is a bare text.
    """
    if isinstance(relations, str):
        msg = f"relations is the text {relations!r}, expected a list such as ['is_a', 'part_of']."
        raise InputError(msg)
    path = Path(path)
    header, *stanzas = _stanzas(path)
    terms = [stanza for stanza in stanzas if stanza.kind == "Term"]
    if not terms:
        msg = f"{path} holds no [Term]; expected an OBO file, such as go-basic.obo. Check the path."
        raise InputError(msg)
    live = [stanza for stanza in terms if stanza.one("is_obsolete") != "true"]
    if not live:
        msg = (
            f"{path} holds no [Term] that is not obsolete; expected an OBO file, such as go-basic.obo. Check "
            "the path."
        )
        raise InputError(msg)
    ids = _identifiers(live)
    namespace = header.one("default-namespace")
    alternatives, obsolete = _former(terms, set(ids))
    return Ontology(
        ids=ids,
        names=tuple(stanza.one("name") or stanza.id for stanza in live),
        namespaces=tuple(stanza.one("namespace") or namespace for stanza in live),
        parents=_parents(live, ids, relations),
        alternatives=alternatives,
        obsolete=obsolete,
        subsets=_subsets(live),
    )


@dataclass(frozen=True)
class _Stanza:
    """One block of an OBO file."""

    kind: str
    where: str
    values: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def one(self, tag: str) -> str:
        return self.values[tag][0] if tag in self.values else ""

    @cached_property
    def id(self) -> str:
        if not self.one("id"):
            msg = (
                f"{self.where}: a [Term] without id; every term of an OBO file has one. Fetch the file again."
            )
            raise InputError(msg)
        return self.values["id"][0]

    def parents(self, relations: Sequence[str]) -> Iterator[str]:
        if "is_a" in relations:
            yield from (value.partition(" ")[0] for value in self.values.get("is_a", ()))
        for value in self.values.get("relationship", ()):
            relation, target, *_ = [*value.split(), "", ""]
            if relation in relations:
                yield target


def _stanzas(path: Path) -> Iterator[_Stanza]:
    stanza = _Stanza("header", str(path))
    for number, line in numbered_lines(path, what="an OBO file"):
        if line.startswith("["):
            yield stanza
            stanza = _Stanza(line.strip().strip("[]"), f"{path}, line {number}")
        elif line.strip() and not line.startswith("!"):
            tag, colon, value = line.partition(":")
            if not colon:
                msg = (
                    f"{path}, line {number}: found {line[:40]!r}, expected 'tag: value' as in an OBO file. "
                    "Check that this is one."
                )
                raise InputError(msg)
            if tag in KEPT_TAGS:
                stanza.values[tag].append(_plain(value, tag) if SPECIAL.search(value) else value.strip())
    yield stanza


def _plain(value: str, tag: str) -> str:
    """Take away comments, trailing qualifiers and escapes."""
    if tag != "name":
        value = re.split(r"(?:^|\s)!\s", value, maxsplit=1)[0]
    if "{" in value:
        value = re.sub(r"(?<!\\)\{[^}]*\}\s*$", "", value)
    return re.sub(r"\\(.)", r"\1", value).strip() if "\\" in value else value.strip()


def _identifiers(live: Sequence[_Stanza]) -> Names:
    ids = pd.Index([stanza.id for stanza in live], dtype=object)
    twice = np.flatnonzero(ids.duplicated())
    if len(twice):
        again = live[twice[0]]
        msg = f"{again.where}: the term {again.id} is defined a second time. Fetch the file again."
        raise InputError(msg)
    return ids


def _parents(live: Sequence[_Stanza], ids: Names, relations: Sequence[str]) -> Csr:
    edges = [(stanza, parent) for stanza in live for parent in dict.fromkeys(stanza.parents(relations))]
    columns = ids.get_indexer(pd.Index([parent for _, parent in edges], dtype=object))
    missing = np.flatnonzero(columns < 0)
    if len(missing):
        stanza, parent = edges[missing[0]]
        msg = (
            f"{stanza.where}: the parent {parent!r} of {stanza.id} is not among the {len(ids):,} live terms "
            f"({len(missing)} such references). Use a complete release, such as go-basic.obo."
        )
        raise InputError(msg)
    rows = ids.get_indexer(pd.Index([stanza.id for stanza, _ in edges], dtype=object))
    shape = (len(ids), len(ids))
    return sp.csr_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=shape)


def _former(terms: Sequence[_Stanza], live: set[str]) -> tuple[dict[str, str], frozenset[str]]:
    """Return the live term by former identifier, and the retired terms without one."""
    successors = {former: stanza.id for stanza in terms for former in stanza.values.get("alt_id", ())}
    retired = {stanza.id: stanza.one("replaced_by") for stanza in terms if stanza.id not in live}
    successors.update(retired)
    found = {former: _successor(former, successors, live) for former in successors if former not in live}
    alternatives = {former: term for former, term in found.items() if term}
    return alternatives, frozenset(retired.keys() - alternatives.keys())


def _successor(term: str, successors: Mapping[str, str], live: set[str]) -> str:
    """Follow replacements to a live term; empty if there is none."""
    passed: set[str] = set()
    while term and term not in live and term not in passed:
        passed.add(term)
        term = successors.get(term, "")
    return term if term in live else ""


def _subsets(live: Sequence[_Stanza]) -> dict[str, tuple[str, ...]]:
    tagged = defaultdict(list)
    for stanza in live:
        for tag in stanza.values.get("subset", ()):
            tagged[tag].append(stanza.id)
    return {tag: tuple(terms) for tag, terms in tagged.items()}
