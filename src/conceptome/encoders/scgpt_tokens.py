"""Cells as scGPT reads them: the expressed genes, each with the bin of its value within the cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from conceptome.core import Csr, InputError, Names
from conceptome.data.wording import some
from conceptome.encoders.cells import CellEdits
from conceptome.encoders.scgpt_bins import bin_ranges, drawn_bins, draws
from conceptome.encoders.sequences import Sequences

Binning: TypeAlias = Literal["deterministic", "stochastic", "none"]
Edit: TypeAlias = Literal["values", "binned"]


@dataclass(frozen=True)
class ScgptTokeniser:
    """Turns cells into sequences: ``<cls>``, then the expressed genes in the order of the columns.

    Of more than ``max_length - 1`` expressed genes the highest are kept, ties by token, so that the order of
    the columns does not matter. (The original draws them at random.)
    """

    cls_token: int
    cls_value: float
    """The value at ``<cls>``: that of padding, as in the published pipeline."""
    max_length: int
    binning: Binning
    seed: int
    """Of the draws that break ties under ``binning="stochastic"``."""

    def cells(self, values: Csr, tokens: Int[np.ndarray, " columns"], names: Names) -> Sequences:
        """Tokenise cells.

        Parameters
        ----------
        values
            Cells, CSR without stored zeros; only columns of known genes.
        tokens
            Token of each column.
        names
            Ids of the cells; a draw depends on the id.

        Returns
        -------
        One sequence per cell.

        Raises
        ------
        InputError
            If a cell expresses no known gene.
        """
        return self.sequences(self.binned(values, tokens, names), tokens)

    def binned(self, values: Csr, tokens: Int[np.ndarray, " columns"], names: Names) -> Csr:
        """Bin the genes that enter the sequences of cells.

        Parameters
        ----------
        values, tokens, names
            As for `cells`.

        Returns
        -------
        Bins, all positive, in the columns of `values`; nothing where a gene is not in the sequence.

        Raises
        ------
        InputError
            If a cell expresses no known gene.
        """
        empty = names[np.diff(values.indptr) == 0]
        if len(empty):
            msg = f"{len(empty):,} cells express no gene that scGPT knows: {some(empty)}. Leave them out."
            raise InputError(msg)
        kept = self._entering(values, tokens)
        bins = self._bins(values, values, np.arange(values.shape[0]), tokens, names)
        indptr = np.concatenate([[0], np.cumsum(kept)])[values.indptr]
        return sp.csr_array((bins[kept], values.indices[kept], indptr), shape=values.shape)

    def sequences(self, binned: Csr, tokens: Int[np.ndarray, " columns"]) -> Sequences:
        """Put ``<cls>`` before the genes of each cell.

        Parameters
        ----------
        binned
            What `binned` returned.
        tokens
            Token of each column.

        Returns
        -------
        One sequence per cell, genes in the order of the columns.
        """
        return self._with_cls([(tokens[columns], bins) for columns, bins in _rows(binned)])

    def edits(
        self, part: CellEdits, tokens: Int[np.ndarray, " columns"], names: Names, *, edit: Edit
    ) -> Sequences:
        """Tokenise edited cells.

        Parameters
        ----------
        part, tokens, names, edit
            As for `binned_edits`.

        Returns
        -------
        One sequence per edit; a cell of which nothing is left is ``<cls>`` alone.
        """
        return self.sequences(self.binned_edits(part, tokens, names, edit=edit), tokens)

    def binned_edits(
        self, part: CellEdits, tokens: Int[np.ndarray, " columns"], names: Names, *, edit: Edit
    ) -> Csr:
        """Bin the genes that enter the sequences of edited cells.

        Genes that are not edited stay in or out of the sequence as in the unedited cell; an edited gene is in
        if it is among the highest of the edited cell.

        Parameters
        ----------
        part
            Edits.
        tokens
            Token of each column.
        names
            Ids of the cells of `part`.
        edit
            ``"values"``: the bins of the whole cell follow. ``"binned"``: the new value takes its bin among
            the unedited cell's values, all other bins stay.

        Returns
        -------
        Bins, all positive, one row per edit in the columns of ``part.values``.
        """
        edited = part.edited()
        n_columns = edited.shape[1]
        row = np.repeat(np.arange(len(part.cell)), np.diff(edited.indptr))
        edits = np.sort(_keys(part.indptr, part.genes, n_columns))
        changed = _among(row * n_columns + edited.indices, edits)
        kept = self._entering(part.values, tokens)
        stays = _keys(part.values.indptr, part.values.indices, n_columns)[kept]
        entered = np.where(
            changed,
            self._entering(edited, tokens),
            _among(part.cell[row] * n_columns + edited.indices, stays),
        )
        of_edited = np.arange(len(part.cell))
        if edit == "binned":
            bare = np.diff(part.values.indptr)[part.cell] == 0  # nothing to bin among: among itself
            among = sp.vstack([part.values, edited], format="csr")
            of = np.where(bare, part.values.shape[0] + of_edited, part.cell)
        else:
            among, of = edited, of_edited
        bins = self._bins(edited, among, of, tokens, names[part.cell])
        indptr = np.concatenate([[0], np.cumsum(entered)])[edited.indptr]
        return sp.csr_array((bins[entered], edited.indices[entered], indptr), shape=edited.shape)

    def _entering(self, values: Csr, tokens: Int[np.ndarray, " columns"]) -> Bool[np.ndarray, " stored"]:
        """Tell which values are among the highest of their cell, as many as a sequence holds."""
        enters = np.ones(values.nnz, dtype=bool)
        for cell in np.flatnonzero(np.diff(values.indptr) >= self.max_length):
            own = slice(values.indptr[cell], values.indptr[cell + 1])
            enters[own] = self._highest(values.data[own], tokens[values.indices[own]])
        return enters

    def _highest(
        self, row: Float[np.ndarray, " genes"], tokens: Int[np.ndarray, " genes"]
    ) -> Bool[np.ndarray, " genes"]:
        chosen = np.zeros(len(row), dtype=bool)
        chosen[np.lexsort((tokens, -row))[: self.max_length - 1]] = True
        return chosen

    def _bins(
        self,
        rows: Csr,
        among: Csr,
        of: Int[np.ndarray, " rows"],
        tokens: Int[np.ndarray, " columns"],
        names: Names,
    ) -> Float[np.ndarray, " stored"]:
        """Bin the values of some rows among those of some cells."""
        if self.binning == "none":
            return np.asarray(rows.data)
        low, high = bin_ranges(rows, among, of)
        if self.binning == "deterministic":
            return np.asarray((low + high + 1) // 2)
        own = zip(names, _rows(rows), strict=True)
        drawn = [draws(self.seed, name, tokens[columns]) for name, (columns, _) in own]
        return drawn_bins(low, high, np.concatenate([np.zeros(0), *drawn]))

    def _with_cls(self, rows: list[tuple[np.ndarray, np.ndarray]]) -> Sequences:
        lengths = [len(tokens) + 1 for tokens, _ in rows]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        tokens = np.full(indptr[-1], self.cls_token, dtype=np.int64)
        values = np.full(indptr[-1], self.cls_value, dtype=np.float32)
        gene = np.ones(indptr[-1], dtype=bool)
        gene[indptr[:-1]] = False
        if rows:
            tokens[gene] = np.concatenate([row for row, _ in rows])
            values[gene] = np.concatenate([row for _, row in rows])
        return Sequences(indptr, tokens, values)


def _rows(values: Csr) -> Iterator[tuple[Int[np.ndarray, " genes"], Float[np.ndarray, " genes"]]]:
    for start, stop in zip(values.indptr[:-1], values.indptr[1:], strict=True):
        yield values.indices[start:stop], values.data[start:stop]


def _keys(
    indptr: Int[np.ndarray, " rows_plus_one"], columns: Int[np.ndarray, " stored"], n_columns: int
) -> Int[np.ndarray, " stored"]:
    """Give every entry of some rows a number that stands for its row and column."""
    return np.asarray(np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)) * n_columns + columns)


def _among(keys: Int[np.ndarray, " keys"], others: Int[np.ndarray, " others"]) -> Bool[np.ndarray, " keys"]:
    """Tell which keys are among others, which ascend."""
    if not len(others):
        return np.zeros(len(keys), dtype=bool)
    return np.asarray(others[np.minimum(np.searchsorted(others, keys), len(others) - 1)] == keys)
