"""Cells as scGPT reads them: the expressed genes, each with the bin of its value within the cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, TypeAlias

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int, UInt64

from conceptome.core import Csr, InputError, Names
from conceptome.data.wording import some
from conceptome.encoders.cells import CellEdits
from conceptome.encoders.sequences import Sequences

Binning: TypeAlias = Literal["deterministic", "stochastic", "none"]
Edit: TypeAlias = Literal["values", "binned"]

N_EDGES = 50
"""Quantiles that bound the bins; the published pipeline fixes them whatever ``args.json`` says."""


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
        bins, kept = np.zeros(values.nnz), np.zeros(values.nnz, dtype=bool)
        for cell, (columns, row) in enumerate(_rows(values)):
            own = slice(values.indptr[cell], values.indptr[cell + 1])
            bins[own] = self._bins(row, row, tokens[columns], names[cell])
            kept[own] = self._highest(row, tokens[columns])
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
        before = list(_rows(part.values))
        kept = [columns[self._highest(row, tokens[columns])] for columns, row in before]
        edited = part.edited()
        bins, entered = np.zeros(edited.nnz), np.zeros(edited.nnz, dtype=bool)
        for number, (columns, row) in enumerate(_rows(edited)):
            cell, own = part.cell[number], slice(edited.indptr[number], edited.indptr[number + 1])
            changed = np.isin(columns, part.genes[part.indptr[number] : part.indptr[number + 1]])
            entered[own] = np.isin(columns, kept[cell])
            entered[own][changed] = self._highest(row, tokens[columns])[changed]
            unedited = before[cell][1]
            among = unedited if edit == "binned" and len(unedited) else row
            bins[own] = self._bins(row, among, tokens[columns], names[cell])
        indptr = np.concatenate([[0], np.cumsum(entered)])[edited.indptr]
        return sp.csr_array((bins[entered], edited.indices[entered], indptr), shape=edited.shape)

    def _highest(
        self, row: Float[np.ndarray, " genes"], tokens: Int[np.ndarray, " genes"]
    ) -> Bool[np.ndarray, " genes"]:
        chosen = np.zeros(len(row), dtype=bool)
        chosen[np.lexsort((tokens, -row))[: self.max_length - 1]] = True
        return chosen

    def _bins(
        self,
        row: Float[np.ndarray, " genes"],
        among: Float[np.ndarray, " others"],
        tokens: Int[np.ndarray, " genes"],
        name: str,
    ) -> Float[np.ndarray, " genes"]:
        if self.binning == "none" or not len(row):
            return row
        low, high = bin_range(row, among)
        if self.binning == "deterministic":
            return np.asarray((low + high + 1) // 2)
        return drawn_bins(low, high, draws(self.seed, name, tokens))

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


def bin_range(
    row: Float[np.ndarray, " genes"], among: Float[np.ndarray, " others"]
) -> tuple[Float[np.ndarray, " genes"], Float[np.ndarray, " genes"]]:
    """Find the bins that a value may fall into: 1 to 50, by quantiles of the cell's non-zero values [Cui24]_.

    Many genes share a value, and so many quantiles coincide that a value can span several bins; the original
    draws one of them at random.

    Parameters
    ----------
    row
        Values to bin, none 0.
    among
        Values whose quantiles bound the bins.

    Returns
    -------
    Lowest and highest bin of each value.

    References
    ----------
    .. [Cui24] scGPT: toward building a foundation model for single-cell multi-omics using generative AI,
       Nature Methods 21, 1470.
    """
    edges = np.quantile(among.astype(np.float32), np.linspace(0, 1, N_EDGES))
    single = row.astype(np.float32)
    high = np.maximum(np.digitize(single, edges), 1)
    low = np.minimum(np.digitize(single, edges, right=True) + 1, high)
    return low.astype(np.float64), high.astype(np.float64)


def drawn_bins(
    low: Float[np.ndarray, " genes"], high: Float[np.ndarray, " genes"], u: Float[np.ndarray, " genes"]
) -> Float[np.ndarray, " genes"]:
    """Choose one of the bins that each value may fall into, as the original does.

    Parameters
    ----------
    low, high
        Lowest and highest bin of each value.
    u
        Uniform draws in [0, 1).

    Returns
    -------
    Bins.
    """
    return np.asarray(np.ceil(high - u * (high - low + 1)))


def draws(seed: int, name: str, tokens: Int[np.ndarray, " genes"]) -> Float[np.ndarray, " genes"]:
    """Draw a number in [0, 1) for each gene of a cell, the same whenever that gene of that cell is asked for.

    Parameters
    ----------
    seed
        Seed.
    name
        Id of the cell.
    tokens
        Tokens of the genes.

    Returns
    -------
    Numbers that depend on seed, cell and gene alone, uniform over genes and cells.
    """
    start = blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    state = np.frombuffer(start, dtype=np.uint64) + tokens.astype(np.uint64)
    return np.asarray((_mix(state) >> np.uint64(11)).astype(np.float64) / 2.0**53)


def _mix(state: UInt64[np.ndarray, " genes"]) -> UInt64[np.ndarray, " genes"]:
    """Scramble bits by the splitmix64 finaliser (Steele 2014, doi 10.1145/2660193.2660195)."""
    state = state * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)))


def _rows(values: Csr) -> Iterator[tuple[Int[np.ndarray, " genes"], Float[np.ndarray, " genes"]]]:
    for start, stop in zip(values.indptr[:-1], values.indptr[1:], strict=True):
        yield values.indices[start:stop], values.data[start:stop]
