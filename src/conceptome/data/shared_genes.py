"""Which genes of two datasets are the same, where they may be named differently."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Int

from conceptome.core import InputError, Names
from conceptome.data.gene_table import current_symbols, translate_genes
from conceptome.data.genes import gene_naming, strip_version
from conceptome.data.wording import some


@dataclass(frozen=True, eq=False)
class SharedGenes:
    """Genes that two datasets have in common."""

    a: Int[np.ndarray, " shared"]
    """Position of each in the first."""
    b: Int[np.ndarray, " shared"]
    """Position of each in the second."""
    ways: dict[str, int]
    """How many were found by name, by name whatever its case, and by the gene table."""
    only_a: Names
    only_b: Names

    def describe(self) -> str:
        """Say in a sentence how many genes are shared, and how they were found."""
        ways = ", ".join(f"{count:,} {way}" for way, count in self.ways.items() if count)
        found = f"{len(self.a):,} genes are shared" + (f" ({ways})" if ways else "")
        return (
            f"{found}; {len(self.only_a):,} are only in the first, {len(self.only_b):,} only in the second."
        )


def share_genes(a: Names, b: Names, *, table: Path | str | None = None) -> SharedGenes:
    """Find the genes that two datasets have in common.

    Names are compared as they are but for the version of Ensembl ids, then whatever their case. With a table,
    what is left is compared by the Ensembl id or symbol that the table gives it, former symbols included.
    A name that several genes of one side have is not matched.

    Parameters
    ----------
    a, b
        Names of the genes.
    table
        As for `translate_genes`; needed where one dataset has symbols and the other Ensembl ids.

    Returns
    -------
    `SharedGenes`.

    Raises
    ------
    InputError
        If the namings differ and no table is given, or no gene is shared.
    """
    names = gene_naming(a), gene_naming(b)
    if names[0] != names[1] and table is None:
        msg = (
            f"Genes of the first are named {some(a, shown=2)} ({names[0]}), of the second {some(b, shown=2)} "
            f"({names[1]}). Give a gene table (--gene-table), such as hgnc, that translates."
        )
        raise InputError(msg)
    sides = [pd.Series(strip_version(side)) for side in (a, b)]
    keys = {"by name": sides, "whatever the case": [side.str.upper() for side in sides]}
    if table is not None:
        keys["by the gene table"] = [_ensembl(side, table) for side in sides]
    found_a, found_b = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    ways = {}
    for way, (left, right) in keys.items():
        of_a, of_b = _once(left.drop(found_a)), _once(right.drop(found_b))
        both = of_a.index.intersection(of_b.index, sort=False)
        found_a, found_b = np.append(found_a, of_a[both]), np.append(found_b, of_b[both])
        ways[way] = len(both)
    if not len(found_a):
        msg = f"No gene is shared: the first has {some(a, shown=3)}, the second {some(b, shown=3)}."
        raise InputError(msg)
    order = np.argsort(found_a)
    only_a, only_b = a.delete(found_a), b.delete(found_b)
    return SharedGenes(found_a[order], found_b[order], ways, only_a, only_b)


def _once(names: pd.Series) -> pd.Series:
    """Map each name that stands once to its position."""
    kept = names[(names != "") & ~names.duplicated(keep=False)]
    return pd.Series(kept.index.to_numpy(dtype=np.int64), index=kept.to_numpy())


def _ensembl(names: pd.Series, table: Path | str) -> pd.Series:
    """Translate symbols, after bringing former ones up to date, to Ensembl ids; ids stay."""
    if gene_naming(names) == "ensembl":
        return names
    today = names.map(current_symbols(table)).fillna(names)
    cells = AnnData(np.zeros((1, len(today)), dtype=np.float32), var=pd.DataFrame(index=today.to_numpy()))
    return pd.Series(translate_genes(cells, table).to_numpy(), index=names.index)
