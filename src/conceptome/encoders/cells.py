"""Cells and their edits in the gene order of a model, a few cells at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int
from tqdm.auto import tqdm

from conceptome.core import Csr, Edits, InputError, Names, row_batches
from conceptome.data.wording import some

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True, eq=False)
class CellEdits:
    """Some edits of a few cells, one entry per changed gene that the model knows, ordered by edit."""

    positions: Int[np.ndarray, " edits"]
    """Where each edit stands among all edits."""
    cells: Int[np.ndarray, " cells"]
    """Rows of the cells that are edited, each once."""
    values: Csr
    """What those cells hold before the edit, ``(n_cells, n_model_genes)``."""
    cell: Int[np.ndarray, " edits"]
    """Row of each edit's cell in `values`."""
    indptr: Int[np.ndarray, " edits_plus_one"]
    genes: Int[np.ndarray, " changes"]
    """Gene of the model."""
    old: Float[np.ndarray, " changes"]
    new: Float[np.ndarray, " changes"]

    def edited(self) -> Csr:
        """Build the edited cells, canonical CSR ``(n_edits, n_model_genes)`` without stored zeros."""
        before = self.values[self.cell]
        shape = before.shape
        row = np.repeat(np.arange(shape[0]), np.diff(before.indptr))
        edit = np.repeat(np.arange(shape[0]), np.diff(self.indptr))
        kept = ~np.isin(row * shape[1] + before.indices, edit * shape[1] + self.genes)
        coordinates = (np.concatenate([row[kept], edit]), np.concatenate([before.indices[kept], self.genes]))
        after = sp.csr_array((np.concatenate([before.data[kept], self.new]), coordinates), shape=shape)
        after.eliminate_zeros()
        after.sort_indices()
        return after

    def per_gene(self, values: Float[np.ndarray, " changes"]) -> Csr:
        """Spread one number per change over ``(n_edits, n_model_genes)``."""
        shape = (len(self.positions), self.values.shape[1])
        return sp.csr_array((values, self.genes, self.indptr), shape=shape)

    def per_edit(self, values: Float[np.ndarray, " changes"]) -> Float[np.ndarray, " edits"]:
        """Sum one number per change over each edit."""
        shape = (len(self.positions), max(len(values), 1))
        return np.asarray(
            sp.csr_array((values, np.arange(len(values)), self.indptr), shape=shape) @ np.ones(shape[1])
        )


def read_x(adata: AnnData) -> Csr:
    """Return ``X`` as it is, sharing nothing with the caller's.

    Parameters
    ----------
    adata
        Cells.

    Returns
    -------
    Canonical CSR ``(n_cells, n_genes)``, float64, without stored zeros.

    Raises
    ------
    InputError
        If there is no ``X``.
    """
    x = adata.to_memory().X if adata.isbacked else adata.X
    if x is None:
        msg = "The AnnData has no X, which the encoder was told to read. Put the values there."
        raise InputError(msg)
    values = sp.csr_array(x, dtype=np.float64, copy=True)
    values.sum_duplicates()
    values.eliminate_zeros()
    return values


def to_model_genes(values: Csr, columns: Int[np.ndarray, " model_genes"]) -> Csr:
    """Arrange cells in the genes of a model.

    Parameters
    ----------
    values
        Cells in the columns of the data, ``(n_cells, n_genes)``.
    columns
        Column of each gene of the model, -1 where the data lack it (read as 0).

    Returns
    -------
    Canonical CSR ``(n_cells, n_model_genes)``.
    """
    gene = gene_of_column(columns, values.shape[1])[values.indices]
    kept = gene >= 0
    indptr = np.concatenate([[0], np.cumsum(kept)])[values.indptr]
    arranged = sp.csr_array((values.data[kept], gene[kept], indptr), shape=(values.shape[0], len(columns)))
    arranged.sort_indices()
    return arranged


def gene_of_column(columns: Int[np.ndarray, " model_genes"], n_genes: int) -> Int[np.ndarray, " genes"]:
    """Find the gene of the model that each column of the data is.

    Parameters
    ----------
    columns
        Column of each gene of the model, -1 where the data lack it.
    n_genes
        Number of columns of the data.

    Returns
    -------
    Gene of the model, -1 where it does not know the column.
    """
    model_gene = np.full(n_genes, -1, dtype=np.int64)
    present = np.flatnonzero(columns >= 0)
    model_gene[columns[present]] = present
    return model_gene


def map_cells(
    function: Callable[[Csr, slice], np.ndarray], values: Csr, *, d_embed: int, batch_size: int
) -> Float[np.ndarray, "cells d_embed"]:
    """Embed cells, a bounded number at a time.

    Parameters
    ----------
    function
        Gives the embedding of some cells, from what they hold and their rows.
    values
        Cells in the genes of the model.
    d_embed
        Length of the embedding.
    batch_size
        Cells at a time, rounded up to whole blocks.

    Returns
    -------
    ``(n_cells, d_embed)``, float64.
    """
    result = np.empty((values.shape[0], d_embed))
    batches = list(row_batches(values.shape[0], batch_size))
    for rows in tqdm(batches, "embed", delay=2, leave=False, disable=None):
        result[rows] = function(values[rows], rows)
    return result


def edits_by_cell(
    values: Csr, edits: Edits, columns: Int[np.ndarray, " model_genes"], *, n_genes: int, batch_size: int
) -> Iterator[CellEdits]:
    """Go through edits cell by cell, a bounded number at a time.

    Changes of genes that the model does not know are left out: they have no effect.

    Parameters
    ----------
    values
        All cells in the genes of the model, canonical CSR.
    edits
        Edits in the columns of the data.
    columns
        Column of each gene of the model, -1 where the data lack it.
    n_genes
        Number of columns of the data.
    batch_size
        Edits at a time, rounded up to whole blocks of `BLOCK_ROWS`.

    Yields
    ------
    Edits of a few cells; every edit comes once.

    Raises
    ------
    InputError
        If an edit names a cell or a gene that is not there, one gene twice, or a value that is not finite.
    """
    _require_valid(edits, values.shape[0], n_genes)
    model_gene = gene_of_column(columns, n_genes)
    order = np.argsort(edits.cells, kind="stable")
    for batch in row_batches(len(order), batch_size):
        yield _gather(values, edits, order[batch], model_gene)


def require_rows(embedding: Float[np.ndarray, "rows columns"], cells: AnnData, *, d_embed: int) -> None:
    """Refuse to decode what is not one embedding per cell.

    Parameters
    ----------
    embedding
        Embeddings.
    cells
        Cells.
    d_embed
        Coordinates of an embedding.

    Raises
    ------
    InputError
        If the numbers of rows or coordinates differ.
    """
    expected = (cells.n_obs, d_embed)
    if embedding.shape != expected:
        msg = (
            f"The embedding has shape {embedding.shape}, expected {expected}: one row for each of the cells "
            "that are passed with it."
        )
        raise InputError(msg)


def require_counts(part: CellEdits, names: Names) -> None:
    """Refuse counts below zero.

    Parameters
    ----------
    part
        Edits.
    names
        Ids of its cells, for the message.

    Raises
    ------
    InputError
        If a new value is negative.
    """
    negative = np.repeat(part.cell, np.diff(part.indptr))[part.new < 0]
    if negative.size:
        cells = some(names[np.unique(negative)])
        msg = (
            f"Edits set negative counts (lowest {part.new.min():g}) in the cells {cells}. "
            "Give counts of 0 or more."
        )
        raise InputError(msg)


def _gather(
    values: Csr, edits: Edits, positions: Int[np.ndarray, " edits"], model_gene: Int[np.ndarray, " genes"]
) -> CellEdits:
    lengths = np.diff(edits.indptr)[positions]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    changes = np.arange(starts[-1]) + np.repeat(edits.indptr[positions] - starts[:-1], lengths)
    genes = model_gene[edits.genes[changes]]
    known = genes >= 0
    cells, cell = np.unique(edits.cells[positions], return_inverse=True)
    chosen = values[cells]
    genes = genes[known]
    return CellEdits(
        positions=positions,
        cells=cells,
        values=chosen,
        cell=cell,
        indptr=np.concatenate([[0], np.cumsum(known)])[starts],
        genes=genes,
        old=_look_up(chosen, np.repeat(cell, lengths)[known], genes),
        new=edits.values[changes][known].astype(np.float64),
    )


def _look_up(
    values: Csr, rows: Int[np.ndarray, " changes"], columns: Int[np.ndarray, " changes"]
) -> Float[np.ndarray, " changes"]:
    n_columns = values.shape[1]
    stored = np.repeat(np.arange(values.shape[0]), np.diff(values.indptr)) * n_columns + values.indices
    if not stored.size:
        return np.zeros(len(rows))
    wanted = rows * n_columns + columns
    place = np.minimum(np.searchsorted(stored, wanted), stored.size - 1)
    return np.where(stored[place] == wanted, values.data[place], 0.0)


def _require_valid(edits: Edits, n_cells: int, n_genes: int) -> None:
    for axis, found, size in (("cells", edits.cells, n_cells), ("genes", edits.genes, n_genes)):
        if found.size and (found.min() < 0 or found.max() >= size):
            msg = (
                f"Edits name {axis} {found.min()} to {found.max()}, but the AnnData has {size} {axis}. "
                "Give row and column positions in the AnnData that is passed with the edits."
            )
            raise InputError(msg)
    if not np.isfinite(edits.values).all():
        n_bad = np.count_nonzero(~np.isfinite(edits.values))
        msg = f"{n_bad} new values of the edits are NaN or infinite. Give a finite number for every change."
        raise InputError(msg)
    if len(edits.genes) > len(edits):
        edit = np.repeat(np.arange(len(edits)), np.diff(edits.indptr))
        keys = np.sort(edit * n_genes + edits.genes)
        repeated = np.flatnonzero(keys[1:] == keys[:-1])
        if repeated.size:
            edit_index, gene = divmod(int(keys[repeated[0]]), n_genes)
            msg = f"Edit {edit_index} sets gene column {gene} more than once. Name each gene of an edit once."
            raise InputError(msg)
