"""Counts per target sum, and what an edit does to them when the total changes.

The total is in every gene's value, so one changed count moves all of them. Genes with the same count move
alike: with H_v = the sum of the weight columns of all genes with count v, an edited cell costs one row per
distinct count instead of one per gene. Exact, not an approximation.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from conceptome.core import Csr, InputError, Names
from conceptome.data.wording import some
from conceptome.encoders.cells import CellEdits


def log_normalise(counts: Csr, names: Names, *, target_sum: float | None, log1p: bool) -> Csr:
    """Scale every cell to one total and take the logarithm.

    Parameters
    ----------
    counts
        ``(n_cells, n_genes)``, float64.
    names
        Cell ids, for the message.
    target_sum
        Total of every cell after scaling; None = no scaling.
    log1p
        Take log(1 + x).

    Returns
    -------
    A new matrix with the same non-zero places.

    Raises
    ------
    InputError
        If a cell that is to be scaled has no counts.
    """
    values = counts.data
    if target_sum is not None:
        total = counts @ np.ones(counts.shape[1])
        _require_total(total, names, "have no counts in the genes of the encoder")
        values = _scaled(values, np.repeat(total, np.diff(counts.indptr)), target_sum)
    return sp.csr_array(
        (np.log1p(values) if log1p else values, counts.indices, counts.indptr), shape=counts.shape
    )


def recount(
    part: CellEdits,
    names: Names,
    by_gene: Float[np.ndarray, "model_genes d_embed"],
    *,
    target_sum: float,
    log1p: bool,
) -> Float[np.ndarray, "edits d_embed"]:
    """Project edited cells whose totals are recomputed.

    Parameters
    ----------
    part
        Edits of counts.
    names
        Ids of its cells, for the message.
    by_gene
        Weights.
    target_sum
        Total of every cell after scaling.
    log1p
        Take log(1 + x).

    Returns
    -------
    Weights applied to the normalised edited cells.

    Raises
    ------
    InputError
        If an edit leaves a cell without counts.
    """
    totals = (part.values @ np.ones(part.values.shape[1]))[part.cell] + part.per_edit(part.new - part.old)
    _require_total(totals, names[part.cell], "would have no counts left after an edit")
    log = np.log1p if log1p else np.asarray

    indptr, levels, sums = _sums_by_count(part.values, by_gene)
    combination, edit = _distinct(part.cell, totals)
    cell, total = part.cell[combination], totals[combination]
    lengths = np.diff(indptr)[cell]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    group = np.arange(starts[-1]) + np.repeat(indptr[cell] - starts[:-1], lengths)
    values = log(_scaled(levels[group], np.repeat(total, lengths), target_sum))
    base = sp.csr_array((values, group, starts), shape=(len(cell), len(levels))) @ sums

    scale = np.repeat(totals, np.diff(part.indptr))
    change = log(_scaled(part.new, scale, target_sum)) - log(_scaled(part.old, scale, target_sum))
    return np.asarray(base[edit] + part.per_gene(change) @ by_gene)


def _scaled(
    counts: Float[np.ndarray, " values"], totals: Float[np.ndarray, " values"], target_sum: float
) -> Float[np.ndarray, " values"]:
    return counts * (target_sum / totals)


def _require_total(totals: Float[np.ndarray, " rows"], names: Names, what: str) -> None:
    empty = names[totals <= 0].unique()
    if len(empty):
        msg = f"{len(empty)} cells {what}: {some(empty)}. Leave them out: they cannot be scaled."
        raise InputError(msg)


def _sums_by_count(
    counts: Csr, by_gene: Float[np.ndarray, "model_genes d_embed"]
) -> tuple[
    Int[np.ndarray, " cells_plus_one"], Float[np.ndarray, " groups"], Float[np.ndarray, "groups d_embed"]
]:
    """Sum the weights of the genes that share a count in a cell.

    Returns where the groups of each cell begin, the count of each group, and its sum.
    """
    row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    order = np.lexsort((counts.data, row))
    sorted_row, sorted_count = row[order], counts.data[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (np.diff(sorted_row) > 0) | (np.diff(sorted_count) > 0)
    first = np.flatnonzero(is_first)
    shape = (len(first), counts.shape[1])
    genes = sp.csr_array(
        (np.ones(len(order)), counts.indices[order], np.append(first, len(order))), shape=shape
    )
    indptr = np.searchsorted(sorted_row[first], np.arange(counts.shape[0] + 1))
    return indptr, sorted_count[first], genes @ by_gene


def _distinct(
    cell: Int[np.ndarray, " edits"], totals: Float[np.ndarray, " edits"]
) -> tuple[Int[np.ndarray, " combinations"], Int[np.ndarray, " edits"]]:
    """Find one edit for each combination of cell and total, and the combination of each edit."""
    order = np.lexsort((totals, cell))
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (np.diff(cell[order]) > 0) | (np.diff(totals[order]) > 0)
    combination = np.empty(len(order), dtype=np.int64)
    combination[order] = np.cumsum(is_first) - 1
    return order[is_first], combination
