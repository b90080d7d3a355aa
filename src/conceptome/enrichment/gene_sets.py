"""Collections of gene sets and the GMT files they come from."""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import pandas as pd

from conceptome.core import InputError

ONTOLOGY_ID = re.compile(r"GO:\d{7}|R-[A-Z]{3}-\d+(\.\d+)?|HP:\d{7}|CL:\d{7}|MP:\d{7}|WP\d+|hsa\d{5}")


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


def read_gmt(path: Path | str, *, ids: Literal["auto", "first"] = "auto") -> GeneSets:
    """Read a GMT file: one gene set per line, tab-separated, plain or gzip.

    Parameters
    ----------
    path
        File with the columns name, description, gene, gene, ...
    ids
        Where a term's identifier stands. ``"auto"`` takes the description where it is an ontology
        identifier (``GO:0002250``, ``R-HSA-6783589`` ...) and the first column as the name, otherwise the
        first column is both; ``"first"`` always takes the first column.

    Returns
    -------
    The collection, named as the file; genes repeated within a set are kept once.

    Raises
    ------
    InputError
        If the file is missing, empty or no GMT file (with the line), or two sets have one identifier.
    """
    path = Path(path)
    terms, names, sources, members = [], [], [], []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        name, source, genes = _parse_line(line, where=f"{path}, line {number}")
        identified = ids == "auto" and ONTOLOGY_ID.fullmatch(source) is not None
        terms.append(source if identified else name)
        names.append(name)
        sources.append(source)
        members.append(genes)
    if not terms:
        msg = f"{path} is empty; expected one gene set per line: name TAB description TAB gene TAB gene."
        raise InputError(msg)
    collection = re.sub(r"\.gmt(\.gz)?$", "", path.name)
    return GeneSets(collection, tuple(terms), tuple(names), tuple(members), tuple(sources))


def load_gene_sets(name_or_path: Path | str) -> GeneSets:
    """Load a collection that comes with Conceptome, or a GMT file.

    Parameters
    ----------
    name_or_path
        Name of a shipped collection, such as ``"immune-starter"``, or the path of a GMT file.

    Returns
    -------
    The collection.

    Raises
    ------
    InputError
        If it is neither a shipped collection nor an existing GMT file.
    """
    folder = resources.files("conceptome.enrichment") / "collections"
    shipped = {
        entry.name.removesuffix(".gmt"): entry for entry in folder.iterdir() if entry.name.endswith(".gmt")
    }
    if str(name_or_path) in shipped:
        with resources.as_file(shipped[str(name_or_path)]) as path:
            return read_gmt(path, ids="first")
    if not Path(name_or_path).exists():
        msg = (
            f"{str(name_or_path)!r} is neither a shipped collection ({', '.join(sorted(shipped))}) nor an "
            "existing file. Give one of these names or the path of a GMT file."
        )
        raise InputError(msg)
    return read_gmt(name_or_path)


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        msg = f"There is no gene-set file at {path}; expected a GMT file, plain or .gz. Check the path."
        raise InputError(msg)
    content = path.read_bytes()
    try:
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        return content.decode("utf-8-sig").splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read as text ({error}); expected a GMT file, plain or .gz. Fetch it again."
        raise InputError(msg) from None


def _parse_line(line: str, *, where: str) -> tuple[str, str, tuple[str, ...]]:
    fields = [field.strip() for field in line.split("\t")]
    genes = tuple(dict.fromkeys(field for field in fields[2:] if field))
    if not fields[0] or not genes:
        msg = (
            f"{where}: found {len(fields)} tab-separated fields and {len(genes)} genes; a GMT line holds "
            "name TAB description TAB gene TAB gene. Check that this is a GMT file without empty sets."
        )
        raise InputError(msg)
    return fields[0], fields[1], genes
