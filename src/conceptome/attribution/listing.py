"""Compiled look-ups in sparse cells: in which genes two cells differ, and what a cell holds of a gene."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from conceptome.core import Csr
from conceptome.dictionaries.kernels import compiled

Array: TypeAlias = np.ndarray
Rows: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


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


def held(
    expression: Csr, cell: Int[np.ndarray, " some"], gene: Int[np.ndarray, " some"]
) -> Float[np.ndarray, " some"]:
    """Look up what cells hold of genes.

    Parameters
    ----------
    expression
        Cells, canonical CSR.
    cell, gene
        Row and column of each wanted value; fastest where genes ascend within a cell.

    Returns
    -------
    The values.
    """
    value = np.empty(len(cell))
    _list_held(_rows(expression), cell, gene, value)
    return value


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
def _list_held(cells: Rows, cell: Array, gene: Array, value: Array) -> None:
    data, indices, starts = cells
    at = np.int64(0)
    for i in range(len(cell)):
        end = np.int64(starts[cell[i] + 1])
        if i == 0 or cell[i] != cell[i - 1] or gene[i] < gene[i - 1]:
            at = np.int64(starts[cell[i]])
        step = np.int64(1)
        while at + step < end and indices[at + step] < gene[i]:  # ever longer steps, then halves
            at += step
            step *= 2
        last = min(at + step, end)
        while at < last and indices[at] < gene[i]:
            middle = (at + last) // 2
            if indices[middle] < gene[i]:
                at = middle + 1
            else:
                last = middle
        value[i] = data[at] if at < end and indices[at] == gene[i] else 0.0
