"""An ontology: terms, the terms they belong to, and everything above them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Int
from scipy.sparse.csgraph import connected_components

from conceptome.core import Csr, InputError, Names


@dataclass(frozen=True, eq=False)
class Ontology:
    """Live terms and their relations, a directed graph without cycles; sequences run parallel to `ids`."""

    ids: Names
    """Identifiers, each once, such as ``"GO:0002250"``."""
    names: tuple[str, ...]
    namespaces: tuple[str, ...]
    """Such as ``"biological_process"``; empty where the file names none."""
    parents: Csr
    """Terms x terms, True where the row's term is, or is part of, the column's."""
    alternatives: Mapping[str, str] = field(default_factory=dict)
    """Live term by former identifier: merged terms and obsolete ones that were replaced."""
    obsolete: frozenset[str] = frozenset()
    """Retired terms that nothing replaces."""
    subsets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Terms by subset tag, such as ``"goslim_generic"``."""

    def __post_init__(self) -> None:
        twice = list(self.ids[self.ids.duplicated()].unique())
        if twice:
            msg = f"The ontology defines {len(twice)} terms more than once: {', '.join(twice[:5])}."
            raise InputError(msg)
        cycle = self._cycle()
        if cycle:
            msg = (
                f"The ontology has a cycle through {len(cycle)} terms ({', '.join(cycle[:5])}), so none of "
                "them stands above the others. Use a release without cycles, such as go-basic.obo."
            )
            raise InputError(msg)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def ancestors(self) -> Csr:
        """Terms x terms, True where the column's term is the row's or stands above it."""
        reach = sp.csr_array(sp.eye_array(len(self), dtype=bool) + self.parents.astype(bool))
        while True:
            further = sp.csr_array(reach @ reach)
            if further.nnz == reach.nnz:
                further.sort_indices()
                return further
            reach = further

    @cached_property
    def levels(self) -> Int[np.ndarray, " terms"]:
        """Number of steps on the longest way to a root; every term lies deeper than all its ancestors."""
        child, parent = self.parents.nonzero()
        level = np.zeros(len(self), dtype=np.int64)
        while True:
            deeper = level.copy()
            np.maximum.at(deeper, child, level[parent] + 1)
            if np.array_equal(deeper, level):
                return level
            level = deeper

    def ancestors_of(self, term: str) -> tuple[str, ...]:
        """Return the terms above one term, without itself, in the order of `ids`.

        Parameters
        ----------
        term
            Its identifier, also a former one.

        Raises
        ------
        InputError
            If the ontology has no such term.
        """
        own = self.position(term)
        return tuple(self.ids[[above for above in _row(self.ancestors, own) if above != own]])

    def descendants_of(self, term: str) -> tuple[str, ...]:
        """Return the terms below one term, without itself, in the order of `ids`.

        Parameters
        ----------
        term
            Its identifier, also a former one.

        Raises
        ------
        InputError
            If the ontology has no such term.
        """
        own = self.position(term)
        return tuple(self.ids[[below for below in _row(self._descendants, own) if below != own]])

    def position(self, term: str) -> int:
        """Return where a term stands in `ids`.

        Parameters
        ----------
        term
            Its identifier, also a former one.

        Raises
        ------
        InputError
            If the ontology has no such term.
        """
        live = self.alternatives.get(term, term)
        if live not in self.ids:
            state = "is obsolete and was not replaced" if term in self.obsolete else "is not in the ontology"
            msg = f"The term {term!r} {state} ({len(self):,} live terms, such as {self.ids[0]})."
            raise InputError(msg)
        return int(self.ids.get_indexer(pd.Index([live]))[0])

    @cached_property
    def _descendants(self) -> Csr:
        return sp.csr_array(self.ancestors.T)

    def _cycle(self) -> list[str]:
        loops = np.flatnonzero(self.parents.diagonal())
        if len(loops):
            return [str(self.ids[loops[0]])]
        n_components, component = connected_components(self.parents, connection="strong")
        if n_components == len(self):
            return []
        sizes = np.bincount(component)
        return list(map(str, self.ids[component == int(sizes.argmax())]))


def _row(matrix: Csr, row: int) -> Int[np.ndarray, " columns"]:
    return np.asarray(matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]])
