"""Compiled look-ups in sparse cells: in which genes two cells differ, and by how much edits change them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from conceptome.core import Csr, Edits
from conceptome.dictionaries.kernels import compiled

Array: TypeAlias = np.ndarray
Rows: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]

LOGARITHMS = np.log1p(np.arange(1024.0))  # most counts are small


def differences(
    expression: Csr,
    edited: Int[np.ndarray, " pairs"],
    lender: Int[np.ndarray, " pairs"] | None,
    known: Bool[np.ndarray, " genes"],
) -> tuple[Int[np.ndarray, " pairs_plus_one"], Int[np.ndarray, " some"], Float[np.ndarray, " some"]]:
    """List the genes in which two cells differ.

    Parameters
    ----------
    expression
        Cells, canonical CSR.
    edited
        Rows of the first cell of each pair.
    lender
        Rows of the second; None stands for a cell without any counts.
    known
        Which genes matter.

    Returns
    -------
    indptr
        Where the genes of each pair are in the list.
    gene
        The genes, ascending within a pair.
    value
        What the second cell holds of them.
    """
    stored = np.diff(expression.indptr)
    size = int(stored[edited].sum()) + (0 if lender is None else int(stored[lender].sum()))
    indptr = np.zeros(len(edited) + 1, dtype=np.int64)
    gene, value = np.empty(size, dtype=np.int64), np.empty(size)
    other = np.full(len(edited), -1) if lender is None else lender
    _list_differences(_rows(expression), edited, other, known, indptr, gene, value)
    return indptr, gene[: indptr[-1]], value[: indptr[-1]]


def changes(expression: Csr, edits: Edits, *, log1p: bool) -> Float[np.ndarray, " changes"]:
    """Compute by how much edits change what cells hold.

    Parameters
    ----------
    expression
        Cells, canonical CSR.
    edits
        Edits of them; fastest where genes ascend within a cell.
    log1p
        Whether to subtract the values' log1p.

    Returns
    -------
    New minus old, for every gene of every edit.
    """
    change = np.empty(len(edits.genes))
    _list_changes(_rows(expression), edits.cells, edits.indptr, edits.genes, edits.values, log1p, change)
    return change


def _rows(expression: Csr) -> Rows:
    return expression.data.astype(np.float64, copy=False), expression.indices, expression.indptr


@compiled
def _list_differences(  # noqa: PLR0917
    cells: Rows, edited: Array, lender: Array, known: Array, indptr: Array, gene: Array, value: Array
) -> None:
    data, indices, starts = cells
    at = 0
    for i in range(len(edited)):
        one, one_end = np.int64(starts[edited[i]]), np.int64(starts[edited[i] + 1])
        other, other_end = np.int64(0), np.int64(0)
        if lender[i] >= 0:
            other, other_end = np.int64(starts[lender[i]]), np.int64(starts[lender[i] + 1])
        while one < one_end or other < other_end:
            if other == other_end or (one < one_end and indices[one] < indices[other]):
                g, before, after = indices[one], data[one], 0.0
                one += 1
            elif one == one_end or indices[other] < indices[one]:
                g, before, after = indices[other], 0.0, data[other]
                other += 1
            else:
                g, before, after = indices[one], data[one], data[other]
                one += 1
                other += 1
            if known[g] and before != after:
                gene[at] = g
                value[at] = after
                at += 1
        indptr[i + 1] = at


@compiled
def _list_changes(  # noqa: PLR0917
    cells: Rows,
    edited: Array,
    indptr: Array,
    gene: Array,
    value: Array,
    log1p: bool,  # noqa: FBT001
    change: Array,
) -> None:
    data, indices, starts = cells
    at = np.int64(0)
    for e in range(len(edited)):
        start, end = np.int64(starts[edited[e]]), np.int64(starts[edited[e] + 1])
        if e == 0 or edited[e] != edited[e - 1]:
            at = start
        for c in range(indptr[e], indptr[e + 1]):
            if c > 0 and gene[c] < gene[c - 1]:
                at = start
            step = np.int64(1)
            while at + step < end and indices[at + step] < gene[c]:  # ever longer steps, then halves
                at += step
                step *= 2
            last = min(at + step, end)
            while at < last and indices[at] < gene[c]:
                middle = (at + last) // 2
                if indices[middle] < gene[c]:
                    at = middle + 1
                else:
                    last = middle
            held = data[at] if at < end and indices[at] == gene[c] else 0.0
            change[c] = _log1p(value[c]) - _log1p(held) if log1p else value[c] - held


@compiled
def _log1p(value: float) -> float:
    place = int(value)
    listed = 0 <= place < len(LOGARITHMS) and place == value
    return LOGARITHMS[place] if listed else np.log1p(value)  # type: ignore[no-any-return]
