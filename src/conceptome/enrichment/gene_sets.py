"""Collections of gene sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from conceptome.core import InputError


@dataclass(frozen=True, eq=False)
class GeneSets:
    """A named collection of terms and the genes of each; the tuples run parallel."""

    collection: str
    terms: tuple[str, ...]
    """Identifiers, each once, such as ``"GO:0002250"``."""
    names: tuple[str, ...]
    """What a person reads, such as ``"adaptive immune response"``, or the identifier again."""
    members: tuple[tuple[str, ...], ...]
    """Genes of each term, each once, in the order of the source."""
    sources: tuple[str, ...] = ()
    """Description column of the file: a link, a citation or an identifier; empty without a file."""
    weights: tuple[tuple[float, ...], ...] = ()
    """Weight of each gene in each term, such as +1 and -1 for what a factor activates and represses; empty
    where genes merely belong. Read by `conceptome.enrichment.ulm` alone."""

    def __post_init__(self) -> None:
        if not self.terms:
            msg = f"The collection {self.collection!r} holds no gene sets; expected one or more."
            raise InputError(msg)
        if not len(self.terms) == len(self.names) == len(self.members):
            lengths = f"{len(self.terms)} terms, {len(self.names)} names, {len(self.members)} gene lists"
            msg = (
                f"The collection {self.collection!r} has {lengths}; expected one name and one list per term."
            )
            raise InputError(msg)
        if self.sources and len(self.sources) != len(self.terms):
            found = f"{len(self.sources)} sources for {len(self.terms)} terms"
            msg = f"The collection {self.collection!r} has {found}; expected one for each, or none."
            raise InputError(msg)
        if self.weights and [len(row) for row in self.weights] != [len(genes) for genes in self.members]:
            msg = f"The weights of {self.collection!r} do not fit its terms; expected one for each gene."
            raise InputError(msg)
        twice = [term for term, count in Counter(self.terms).items() if count > 1]
        if twice:
            msg = (
                f"The collection {self.collection!r} names {len(twice)} terms more than once: "
                f"{', '.join(twice[:5])}. Give every term its own identifier."
            )
            raise InputError(msg)

    def __len__(self) -> int:
        return len(self.terms)

    @classmethod
    def from_mapping(cls, sets: Mapping[str, Sequence[str]], *, collection: str = "custom") -> GeneSets:
        """Make a collection from a dict of gene lists.

        Parameters
        ----------
        sets
            Genes by term.
        collection
            Name of the collection in the results.

        Returns
        -------
        The collection; genes repeated within a term are kept once.

        Raises
        ------
        InputError
            If the mapping is empty or a value is a bare string instead of a list of genes.
        """
        bare = [term for term, genes in sets.items() if isinstance(genes, str)]
        if bare:
            msg = f"The gene set {bare[0]!r} is a string, expected a list such as ['CD3E', 'CD3D']."
            raise InputError(msg)
        terms = tuple(str(term) for term in sets)
        members = tuple(tuple(dict.fromkeys(map(str, genes))) for genes in sets.values())
        return cls(collection, terms, terms, members)

    def genes_of(self, term: str) -> tuple[str, ...]:
        """Return the genes of one term.

        Parameters
        ----------
        term
            Identifier of the term.

        Returns
        -------
        Its genes in the order of the source.

        Raises
        ------
        InputError
            If the collection has no such term.
        """
        if term not in self.terms:
            msg = f"The collection {self.collection!r} has no term {term!r}; see its `terms`."
            raise InputError(msg)
        return self.members[self.terms.index(term)]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per term and gene: ``collection, term, name, gene``."""
        sizes = [len(genes) for genes in self.members]
        frame = pd.DataFrame({"collection": self.collection, "term": self.terms, "name": self.names})
        frame = frame.loc[frame.index.repeat(sizes)].reset_index(drop=True)
        return frame.assign(gene=[gene for genes in self.members for gene in genes])
