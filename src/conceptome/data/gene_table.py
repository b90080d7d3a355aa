"""Translate between symbols and Ensembl ids by a table, for data that hold only one of them."""

from __future__ import annotations

import logging
import lzma
import zlib
from pathlib import Path
from zipfile import BadZipFile

import pandas as pd
from anndata import AnnData

from conceptome.core import InputError, Names
from conceptome.data.fetching import cache_folder
from conceptome.data.genes import ENSEMBL_COLUMNS, SYMBOL_COLUMNS, gene_naming, strip_version
from conceptome.data.registry import named
from conceptome.data.wording import some

logger = logging.getLogger(__name__)

HGNC = "hgnc"
COLUMNS = {
    "ensembl": ("ensembl_gene_id", *ENSEMBL_COLUMNS),
    "symbol": ("approved_symbol", *SYMBOL_COLUMNS),
}
PREVIOUS = "prev_symbol"
"""Column of HGNC's table with the symbols that a gene had before, separated by bars."""
ALIAS = "alias_symbol"
"""Column of HGNC's table with other names of a gene, separated by bars."""


def translate_genes(adata: AnnData, table: Path | str) -> pd.Series:
    """Find the Ensembl id of genes named by symbol, or the symbol of genes named by Ensembl id.

    Former symbols are found by HGNC's table where they belonged to one gene only. A name that the table gives
    several translations has none.

    Parameters
    ----------
    adata
        Its ``var_names`` are symbols or Ensembl ids; left as it is.
    table
        ``"hgnc"`` for the table that ``conceptome data fetch hgnc`` brought, or a file, separated by commas
        or tabs, with a column of symbols and one of Ensembl ids, such as HGNC's or BioMart's.

    Returns
    -------
    One name per gene, empty where there is none; its ``name`` is the column of ``var`` in which the encoders
    look for it: ``"ensembl_id"`` or ``"gene_symbols"``.

    Raises
    ------
    InputError
        If the table is missing, is no such table, or knows none of the genes.
    """
    path = _path(table)
    frame = _read(path)
    naming = gene_naming(adata.var_names)
    if naming == "other":
        msg = f"Genes are named {some(adata.var_names)}: neither symbols nor Ensembl ids. Name them so first."
        raise InputError(msg)
    names = strip_version(adata.var_names)
    if naming == "symbol":
        found = _one_to_one(frame, "symbol", "ensembl").reindex(names)
        former = _one_to_one(_also_called(frame, "former"), "symbol", "ensembl").reindex(names)
        found = found.where(found.notna(), former)
    else:
        found = _one_to_one(frame, "ensembl", "symbol").reindex(names)
    n_found = int(found.notna().sum())
    other = "an Ensembl id" if naming == "symbol" else "a symbol"
    if not n_found:
        msg = (
            f"{path} knows none of the genes, such as {some(adata.var_names)}. Give a table of their species."
        )
        raise InputError(msg)
    logger.info("%s of %s genes have %s by %s.", f"{n_found:,}", f"{adata.n_vars:,}", other, path.name)
    column = ENSEMBL_COLUMNS[0] if naming == "symbol" else SYMBOL_COLUMNS[0]
    return pd.Series(found.fillna("").to_numpy(), index=adata.var_names, name=column, dtype=object)


def current_symbols(table: Path | str) -> pd.Series:
    """Find the symbol of today for the former symbols and aliases of genes.

    Parameters
    ----------
    table
        ``"hgnc"`` or a file, as for `translate_genes`; only HGNC's has such names.

    Returns
    -------
    Symbols, indexed by former symbol or alias. Names that are symbols themselves, or belong to several genes,
    are left out; a name that one gene had before and another has as alias is the former's.

    Raises
    ------
    InputError
        If the table is missing or is no such table.
    """
    frame = _read(_path(table))
    found = []
    for column in ("former", "alias"):
        rows = _also_called(frame, column).rename(columns={"symbol": "called", "now": "symbol"})
        found.append(_one_to_one(rows, "called", "symbol"))
    both: pd.Series = pd.concat(found)
    current: pd.Series = both[~both.index.duplicated()].rename("symbol")
    return current


def _path(table: Path | str) -> Path:
    if str(table) == HGNC:
        path = cache_folder() / HGNC / named(HGNC).files[0].name
        advice = "Run: conceptome data fetch hgnc"
    else:
        path = Path(table)
        advice = 'Name a table with symbols and Ensembl ids, or "hgnc".'
    if not path.is_file():
        msg = f"There is no gene table {path}. {advice}"
        raise InputError(msg)
    return path


def _read(path: Path) -> pd.DataFrame:
    """Read the table: columns ``symbol``, ``ensembl`` and, for HGNC's, ``former`` and ``alias``."""
    try:
        separator = "\t" if len(pd.read_csv(path, sep="\t", nrows=0).columns) > 1 else ","
        header = pd.read_csv(path, sep=separator, nrows=0).columns
        wanted = {kind: _column(path, header, kind) for kind in COLUMNS}
        kept = [*wanted.values(), *(name for name in (PREVIOUS, ALIAS) if name in header)]
        frame = pd.read_csv(path, sep=separator, usecols=kept, dtype=str, keep_default_na=False)
    except (ValueError, OSError, EOFError, BadZipFile, zlib.error, lzma.LZMAError) as error:
        msg = f"{path} cannot be read as a table ({' '.join(str(error).split())}). Give a .csv, .tsv or .txt."
        raise InputError(msg) from error
    kind_of = {name: kind for kind, name in wanted.items()} | {PREVIOUS: "former", ALIAS: "alias"}
    frame = frame.rename(columns=kind_of)
    frame["ensembl"] = strip_version(frame["ensembl"])
    return frame


def _column(path: Path, header: Names, kind: str) -> str:
    by_lower = {str(name).lower().replace(" ", "_"): str(name) for name in header}
    for candidate in COLUMNS[kind]:
        if candidate in by_lower:
            return by_lower[candidate]
    msg = (
        f"{path} has no column with {'Ensembl ids' if kind == 'ensembl' else 'symbols'}: looked for "
        f"{', '.join(COLUMNS[kind])}, found {some(header)}. Rename one."
    )
    raise InputError(msg)


def _also_called(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return one row for each other name of a gene that is no gene's symbol today."""
    if column not in frame:
        return frame.iloc[:0].assign(now="")
    names = frame[column].str.split("|")
    rows = frame.assign(now=frame["symbol"], symbol=names).explode("symbol")
    return rows[~rows["symbol"].isin(frame["symbol"])]


def _one_to_one(frame: pd.DataFrame, source: str, target: str) -> pd.Series:
    """Map names that have exactly one translation."""
    rows = frame.loc[(frame[source] != "") & (frame[target] != ""), [source, target]].drop_duplicates()
    unique = ~rows[source].duplicated(keep=False)
    return rows[unique].set_index(source)[target]
