"""Files of gene sets: GMT and GMX as MSigDB and Enrichr write them, and MSigDB's JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import dropwhile, zip_longest
from pathlib import Path
from typing import Any, Literal, TypeAlias

from conceptome.core import InputError
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.text_lines import numbered_lines

TermIds: TypeAlias = Literal["auto", "first"]

_ID = r"GO:\d{7}|R-[A-Z]{3}-\d+(?:\.\d+)?|HP:\d{7}|CL:\d{7}|MP:\d{7}|WP\d+|hsa\d{5}"
ONTOLOGY_ID = re.compile(_ID)
NAME_AND_ID = re.compile(rf"(?P<name>.*\S)\s+(?:\((?P<bracketed>{_ID})\)|(?P<plain>{_ID}))")
"""How Enrichr writes terms: ``B cell activation (GO:0042113)``, ``Signaling By BCR R-HSA-983705``."""
ENRICHR_WEIGHT = re.compile(r",-?\d+(\.\d+)?([eE][-+]?\d+)?$")
"""Older libraries of Enrichr give genes a weight: ``CD3E,1.0``."""
JOINED_BY_COMMAS, JOINED_BY = re.compile("[,;]"), re.compile(r"[,;|\s]")
"""What genes are joined by where tabs are missing; a lone gene with a space or bar is taken for several."""
SUFFIX = re.compile(r"\.(gmt|gmx|json)(\.gz)?$", re.IGNORECASE)

Row: TypeAlias = tuple[str, str, Iterable[str], str]  # name, description, genes, where it stands


def read_gmt(path: Path | str, *, ids: TermIds = "auto") -> GeneSets:
    """Read a GMT file: one gene set per line, tab-separated, plain or gzip.

    Parameters
    ----------
    path
        File with the columns name, description, gene, gene, ... Empty lines are passed over, and so are the
        weights that older libraries of Enrichr append to genes (``CD3E,1.0``).
    ids
        Where a term's identifier stands. ``"auto"`` takes an ontology identifier (``GO:0002250``,
        ``R-HSA-6783589`` ...) from the description or from the end of the name, and otherwise the name;
        ``"first"`` always takes the first column as it is.

    Returns
    -------
    The collection, named as the file; genes repeated within a set are kept once.

    Raises
    ------
    InputError
        If the file is missing, empty or no GMT file (with the line), or two sets have one identifier.
    """
    path = Path(path)
    rows: list[Row] = []
    for number, line in numbered_lines(path, what="a GMT file"):
        fields = [field.strip() for field in line.split("\t")]
        if not any(fields):
            continue
        where = f"{path}, line {number}"
        if not fields[0] or not any(fields[2:]):
            n_genes = sum(map(bool, fields[2:]))
            msg = (
                f"{where}: found {len(fields)} tab-separated fields and {n_genes} genes; a GMT line holds "
                "name TAB description TAB gene TAB gene. Check that this is a GMT file without empty sets."
            )
            raise InputError(msg)
        rows.append((fields[0], fields[1], fields[2:], where))
    if not rows:
        msg = f"{path} is empty; expected one gene set per line: name TAB description TAB gene TAB gene."
        raise InputError(msg)
    return _collection(path, rows, ids)


def read_gmx(path: Path | str, *, ids: TermIds = "auto") -> GeneSets:
    """Read a GMX file: one gene set per column, tab-separated, plain or gzip.

    Parameters
    ----------
    path
        File whose first row holds names, whose second holds descriptions, and whose columns list genes.
    ids
        As for `read_gmt`.

    Returns
    -------
    The collection, named as the file.

    Raises
    ------
    InputError
        If the file is missing, is no GMX file, or two sets have one identifier.
    """
    path = Path(path)
    lines = (line for _, line in numbered_lines(path, what="a GMX file"))
    fields = [line.split("\t") for line in dropwhile(lambda line: not line.strip(), lines)]
    columns = [[field.strip() for field in column] for column in zip_longest(*fields, fillvalue="")]
    rows: list[Row] = []
    for number, column in enumerate(columns, start=1):
        if not any(column):
            continue
        if len(column) < 3 or not column[0] or not any(column[2:]):
            msg = (
                f"{path}, column {number}: found {len(column)} rows and the name {column[0]!r}; a GMX column "
                "holds a name, a description and one gene per row. Check that this is a GMX file with tabs."
            )
            raise InputError(msg)
        rows.append((column[0], column[1], column[2:], f"{path}, column {number}"))
    if not rows:
        msg = f"{path} is empty; expected one gene set per column: its name, a description, then its genes."
        raise InputError(msg)
    return _collection(path, rows, ids)


def read_msigdb_json(path: Path | str) -> GeneSets:
    """Read gene sets as MSigDB's JSON files hold them.

    Parameters
    ----------
    path
        JSON, plain or gzip: names of sets to objects with ``geneSymbols`` and, for sets made from an
        ontology or a database, its identifier in ``exactSource``.

    Returns
    -------
    The collection, named as the file.

    Raises
    ------
    InputError
        If the file is missing or not of this kind, or two sets have one identifier.
    """
    path = Path(path)
    text = "\n".join(line for _, line in numbered_lines(path, what="a JSON file"))
    try:
        entries = [(name, entry["geneSymbols"], entry.get("exactSource")) for name, entry in _items(text)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        msg = (
            f"{path} is not MSigDB's JSON ({type(error).__name__}: {error}); expected an object that gives "
            'every set its "geneSymbols". Download it again, or take the GMT file.'
        )
        raise InputError(msg) from None
    for name, genes, source in entries:
        names = isinstance(genes, list) and all(isinstance(gene, str) for gene in genes)
        if not names or not isinstance(source, str | None):
            msg = (
                f"{path}, {name}: geneSymbols is no list of names or exactSource no text; expected MSigDB's "
                'JSON, such as {"A": {"exactSource": "GO:0000001", "geneSymbols": ["CD3E", "CD3D"]}}. Mend '
                "the entry."
            )
            raise InputError(msg)
    rows = [(name, source or "", genes, f"{path}, {name}") for name, genes, source in entries]
    return _collection(path, rows, "auto")


def _items(text: str) -> Iterable[tuple[str, Any]]:
    content = json.loads(text)
    return list(content.items())


READERS = {"gmt": read_gmt, "gmx": read_gmx, "json": read_msigdb_json}


def read_panglaodb(path: Path | str, *, species: Literal["Hs", "Mm"] = "Hs") -> GeneSets:
    """Read the marker table of PanglaoDB: cell types and the genes that mark them.

    Parameters
    ----------
    path
        The table, tab-separated, plain or gzip.
    species
        Human (``"Hs"``) or mouse genes.

    Returns
    -------
    The canonical markers of each cell type, in the table's order.

    Raises
    ------
    InputError
        If the file is missing or is no such table.
    """
    path = Path(path)
    wanted = ("species", "official gene symbol", "cell type", "canonical marker")
    lines = numbered_lines(path, what="PanglaoDB's table")
    head = next((line.split("\t") for _, line in lines), [])
    if not set(wanted) <= set(head):
        msg = f"{path} is no marker table of PanglaoDB; expected the columns {', '.join(wanted)}."
        raise InputError(msg)
    at = [head.index(column) for column in wanted]
    markers: dict[str, list[str]] = {}
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) < len(head) and line.strip():
            found = f"found {len(fields)} tab-separated fields, expected {len(head)} as in the first line"
            msg = f"{path}, line {number}: {found}. Fetch it again."
            raise InputError(msg)
        if line.strip():
            of, gene, cell_type, canonical = (fields[column].strip() for column in at)
            if species in of.split() and canonical == "1" and gene:
                markers.setdefault(cell_type, []).append(gene)
    return GeneSets.from_mapping(markers, collection="panglaodb")


def _collection(path: Path, rows: Iterable[Row], ids: TermIds) -> GeneSets:
    terms, names, sources, members = [], [], [], []
    for first, source, genes, where in rows:
        if not first:
            msg = f"{where}: the set has no name. Give it one."
            raise InputError(msg)
        term, name = (first, first) if ids == "first" else _term(first, source)
        distinct = tuple(dict.fromkeys(filter(None, (ENRICHR_WEIGHT.sub("", gene) for gene in genes))))
        if not distinct:
            msg = f"{where}: the set holds no genes. Leave it out."
            raise InputError(msg)
        joined = JOINED_BY if len(distinct) == 1 else JOINED_BY_COMMAS
        wrong = next(filter(joined.search, distinct), None)
        if wrong:
            msg = f"{where}: {wrong[:40]!r} is no gene name. Separate genes by tabs."
            raise InputError(msg)
        terms.append(term)
        names.append(name)
        sources.append(source)
        members.append(distinct)
    return GeneSets(SUFFIX.sub("", path.name), tuple(terms), tuple(names), tuple(members), tuple(sources))


def _term(first: str, source: str) -> tuple[str, str]:
    """Tell identifier and name from the first two fields."""
    if ONTOLOGY_ID.fullmatch(source):
        return source, first
    parts = NAME_AND_ID.fullmatch(first)
    if parts:
        return parts["bracketed"] or parts["plain"], parts["name"]
    return first, first
