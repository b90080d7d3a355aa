"""Gene sets and data name genes differently: by former symbols, by aliases, in other case."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from conceptome.core import InputError
from conceptome.data.gene_table import current_symbols
from conceptome.data.wording import some
from conceptome.enrichment.gene_sets import GeneSets

logger = logging.getLogger(__name__)


def match_genes(
    gene_sets: GeneSets, genes: Iterable[str], *, table: Path | str | None = None
) -> tuple[GeneSets, pd.DataFrame]:
    """Give the genes of terms the names that the data use.

    A name that the data have is left alone. Otherwise the gene of the data is taken that has the same symbol
    today, by the table, and else the one whose name differs in case only; where several would do, none is.

    Parameters
    ----------
    gene_sets
        The collection.
    genes
        Gene names of the data, symbols.
    table
        ``"hgnc"`` (after ``conceptome data fetch hgnc``) or HGNC's table as a file; None knows no aliases.

    Returns
    -------
    The collection with the data's names, where genes that became one count once, and a report with one row
    for each gene that the data do not name so, those of most terms first: ``gene, found_as`` (empty if not
    found), ``how`` (``"symbol"``, ``"case"`` or ``"not found"``), ``n_terms``.

    Raises
    ------
    InputError
        If no gene of the collection is found, or the table cannot be read.
    """
    known = {str(gene) for gene in genes}
    n_terms = Counter(gene for members in gene_sets.members for gene in members)
    foreign = [gene for gene in n_terms if gene not in known]
    by_symbol = _by_symbol(foreign, known, table) if table is not None else {}
    by_case = _one_each((gene.casefold(), gene) for gene in known)
    rows = []
    for gene in foreign:
        same = by_symbol.get(gene)
        found = same or by_case.get(gene.casefold(), "")
        how = "symbol" if same else "case" if found else "not found"
        rows.append((gene, found, how, n_terms[gene]))
    report = pd.DataFrame(rows, columns=["gene", "found_as", "how", "n_terms"])
    report = report.sort_values(["n_terms", "gene"], ascending=[False, True], ignore_index=True)
    lost = report.loc[report["how"] == "not found", "gene"]
    if len(lost) == len(n_terms):
        msg = (
            f"None of the {len(n_terms)} genes of {gene_sets.collection} ({some(n_terms, shown=3)}) is among "
            f"the {len(known)} genes of the data ({some(sorted(known), shown=3)}). Give symbols of the same "
            "species, such as those of cm.data.symbols(adata)."
        )
        raise InputError(msg)
    logger.info(
        "%s: %s of %s genes have the data's names, %s were found by another, %s were not found (%s).",
        *(gene_sets.collection, len(n_terms) - len(foreign), len(n_terms), len(foreign) - len(lost)),
        *(len(lost), some(lost, shown=3)),
    )
    renamed = {gene: found for gene, found, _, _ in rows if found}
    now = [[renamed.get(gene, gene) for gene in genes_of] for genes_of in gene_sets.members]
    kept = [sorted({gene: at for at, gene in reversed(list(enumerate(row)))}.values()) for row in now]
    members = tuple(tuple(row[at] for at in first) for row, first in zip(now, kept, strict=True))
    weights = tuple(
        tuple(row[at] for at in first)
        for row, first in zip(gene_sets.weights, kept, strict=bool(gene_sets.weights))
    )
    return replace(gene_sets, members=members, weights=weights), report


def _by_symbol(foreign: Iterable[str], known: set[str], table: Path | str) -> dict[str, str]:
    """Find genes of the data by the symbol that they have today."""
    current = current_symbols(table).to_dict()
    of_data = {gene: gene for gene in known} | _one_each(
        (current[gene], gene) for gene in known if gene in current and current[gene] not in known
    )
    return {gene: of_data[current.get(gene, gene)] for gene in foreign if current.get(gene, gene) in of_data}


def _one_each(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Map keys that stand for one name only."""
    pairs = list(pairs)
    count = Counter(key for key, _ in pairs)
    return {key: name for key, name in pairs if count[key] == 1}
