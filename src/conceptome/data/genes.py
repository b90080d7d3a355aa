"""Gene names: symbols and Ensembl ids, versions stripped, one found from the other's table."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData

from conceptome.core import InputError, Names
from conceptome.data.wording import did_you_mean, some

GeneNaming: TypeAlias = Literal["symbol", "ensembl", "other"]
_NAMINGS: tuple[GeneNaming, ...] = ("symbol", "ensembl", "other")

ENSEMBL_COLUMNS = ("ensembl_id", "gene_ids", "gene_id", "ensembl", "ensembl_ids", "feature_id")
SYMBOL_COLUMNS = ("gene_symbols", "gene_symbol", "symbol", "gene_name", "gene_names", "feature_name")
CACHED_LISTS = 8
"""Lists of gene names whose reading is remembered: encoders align the same data for every batch of edits."""

_ENSEMBL = re.compile(r"(ENS[A-Z]*G\d{11})(?:\.\d+)?")
_NO_SYMBOL = re.compile(r"\W*\d*$|ENS[A-Z]*[TPE]\d{11}|[NX][MR]_\d|ILMN_|\S+_at$")


def gene_naming(names: Iterable[object]) -> GeneNaming:
    """Tell by which convention most genes are named.

    Parameters
    ----------
    names
        Gene names.

    Returns
    -------
    ``"ensembl"`` for gene ids of any species, with or without version; ``"other"`` for numbers, transcripts,
    probes and empty lists; ``"symbol"`` for everything else.
    """
    return _gene_naming(tuple(map(str, names)))


@functools.lru_cache(maxsize=CACHED_LISTS)
def _gene_naming(names: tuple[str, ...]) -> GeneNaming:
    kinds = Counter(map(_kind, names))
    return max(_NAMINGS, key=lambda naming: kinds[naming]) if kinds else "other"


def _kind(name: str) -> GeneNaming:
    if name.startswith("ENS") and _ENSEMBL.match(name):
        return "ensembl"
    return "other" if _NO_SYMBOL.match(name) else "symbol"


def strip_version(names: Iterable[object]) -> Names:
    """Remove the version from Ensembl gene ids and leave other names alone.

    Parameters
    ----------
    names
        Gene names. The dots in symbols such as ``"AL627309.1"`` belong to the name and stay, and so does the
        ``"_PAR_Y"`` that tells the copy on the Y chromosome from the one on X.

    Returns
    -------
    Names in the same order.
    """
    return _strip_version(tuple(map(str, names))).view()  # an index of its own to rename


@functools.lru_cache(maxsize=CACHED_LISTS)
def _strip_version(names: tuple[str, ...]) -> Names:
    stripped = (_ENSEMBL.sub(r"\1", name) if name.startswith("ENS") else name for name in names)
    return pd.Index(list(stripped), dtype=object)


def symbols(adata: AnnData) -> Names:
    """Return the symbol of every gene.

    Parameters
    ----------
    adata
        Its ``var_names`` are taken if they are symbols, else the first column of ``var`` that holds them.

    Returns
    -------
    One symbol per gene in the order of ``var_names``; empty where the table gives none.

    Raises
    ------
    InputError
        If the names are no symbols and no column holds them.
    """
    return strip_version(_names_as("symbol", adata, SYMBOL_COLUMNS))


def symbols_or_names(adata: AnnData) -> Names:
    """Return the symbol of every gene where there is one, else its name in ``var_names``.

    Parameters
    ----------
    adata
        The cells.

    Returns
    -------
    One name per gene in the order of ``var_names``; only Ensembl ids are replaced.
    """
    names: Names = adata.var_names
    if gene_naming(names) != "ensembl":
        return names
    try:
        found = symbols(adata)
    except InputError:
        return names
    return pd.Index(np.where(found != "", found, names), dtype=object)


def ensembl_ids(adata: AnnData, *, keep_version: bool = False) -> Names:
    """Return the Ensembl id of every gene, without version.

    Parameters
    ----------
    adata
        Its ``var_names`` are taken if they are Ensembl ids, else the first column of ``var`` that holds them.
    keep_version
        Leave the ids as they are, for models that read no id with a version.

    Returns
    -------
    One id per gene in the order of ``var_names``; empty where the table gives none.

    Raises
    ------
    InputError
        If the names are no Ensembl ids and no column holds them.
    """
    names = _names_as("ensembl", adata, ENSEMBL_COLUMNS)
    return pd.Index(list(map(str, names)), dtype=object) if keep_version else strip_version(names)


def gene_column(adata: AnnData, key: str) -> Names:
    """Return the names that a column of ``var`` gives the genes.

    Parameters
    ----------
    adata
        The cells.
    key
        The column.

    Returns
    -------
    One name per gene as it is written; empty where the column has none.

    Raises
    ------
    InputError
        If there is no such column.
    """
    if key not in adata.var:
        near = did_you_mean(key, list(adata.var))
        msg = f"var has no column {key!r}; it has {some(adata.var.columns)}.{near}"
        raise InputError(msg)
    return _as_text(adata.var[key])


def _as_text(column: pd.Series) -> Names:
    names = column.astype(object)
    return pd.Index(list(map(str, names.where(names.notna(), ""))), dtype=object)


def _names_as(naming: GeneNaming, adata: AnnData, columns: tuple[str, ...]) -> Names:
    own: Names = adata.var_names
    if gene_naming(own) == naming:
        return own
    by_lower = {str(name).lower(): name for name in adata.var.columns}
    for column in columns:
        if column not in by_lower:
            continue
        names = adata.var[by_lower[column]]
        if gene_naming(name for name in names.dropna() if name) == naming:
            return _as_text(names)
    wanted = "gene symbols" if naming == "symbol" else "Ensembl ids"
    msg = (
        f"Genes are named {some(adata.var_names, shown=2)}, and no column of var holds {wanted} (looked for "
        f"{', '.join(columns)}; var has {some(adata.var.columns)}). Put them into adata.var[{columns[0]!r}]; "
        "cm.data.translate_genes (--gene-table) finds them by a table."
    )
    raise InputError(msg)
