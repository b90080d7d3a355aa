"""Cells as Geneformer reads them: genes ranked by their count relative to the gene's median."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Int

from conceptome.core import Csr, InputError, Names
from conceptome.data.wording import some
from conceptome.encoders.cells import CellEdits
from conceptome.encoders.geneformer_vocabulary import GeneformerVocabulary
from conceptome.encoders.sequences import Sequences

Edit: TypeAlias = Literal["values", "delete"]


class GeneformerTokeniser:
    """Turns cells into sequences: the expressed genes from the highest count / median to the lowest.

    Scaling a cell cannot change an order, so the cell's total plays no part. Ties go by token, so that the
    order of the columns plays none either. V2 puts ``<cls>`` in front and ``<eos>`` behind.

    Parameters
    ----------
    vocabulary
        The dictionaries.
    longest
        Longest sequence, special tokens included; the highest genes are kept.
    """

    def __init__(self, vocabulary: GeneformerVocabulary, *, longest: int) -> None:
        self._vocabulary = vocabulary
        self._special = vocabulary.special
        self._n_kept = longest - (2 if self._special else 0)

    def cells(self, counts: Csr, genes: Int[np.ndarray, " columns"], names: Names) -> Sequences:
        """Tokenise cells.

        Parameters
        ----------
        counts
            Cells, CSR; only columns of known genes.
        genes
            Gene of the vocabulary that each column is; counts of one gene are summed.
        names
            Ids of the cells, for the message.

        Returns
        -------
        One sequence per cell.

        Raises
        ------
        InputError
            If a cell expresses no known gene.
        """
        ranked = self._ranked(self._summed(counts, genes))
        empty = names[np.diff(ranked.indptr) == 0]
        if len(empty):
            msg = f"{len(empty):,} cells express no gene known to Geneformer: {some(empty)}. Leave them out."
            raise InputError(msg)
        return self._sequences(ranked)

    def edits(
        self, part: CellEdits, genes: Int[np.ndarray, " columns"], names: Names, *, edit: Edit
    ) -> Sequences:
        """Tokenise edited cells.

        Parameters
        ----------
        part
            Edits.
        genes
            Gene of the vocabulary that each column is.
        names
            Ids of the cells of `part`, for the message.
        edit
            ``"values"``: the edited cell is ranked like any cell, so that in a cell longer than the input the
            next gene takes the place of one that leaves. ``"delete"``: only genes in the unedited cell's
            sequence and edited genes are ranked, so that nobody takes it.

        Returns
        -------
        One sequence per edit; in V2, ``<cls>`` and ``<eos>`` alone if no gene is left.

        Raises
        ------
        InputError
            If no gene is left in V1, which has no other tokens.
        """
        edited = self._summed(part.edited(), genes)
        if edit == "delete":
            keep = self._stays(edited, part, genes)
            row = np.repeat(np.arange(edited.shape[0]), np.diff(edited.indptr))[keep]
            edited = sp.csr_array((edited.data[keep], (row, edited.indices[keep])), shape=edited.shape)
        ranked = self._ranked(edited)
        empty = names[part.cell[np.diff(ranked.indptr) == 0]].unique()
        if len(empty) and self._special is None:
            msg = (
                f"Edits leave no gene known to Geneformer in the cells {some(empty)}, and an empty sequence "
                "has no embedding. Leave these cells out."
            )
            raise InputError(msg)
        return self._sequences(ranked)

    def _stays(
        self, edited: Csr, part: CellEdits, genes: Int[np.ndarray, " columns"]
    ) -> Bool[np.ndarray, " values"]:
        """Tell which values belong to a gene of the unedited cell's sequence or to an edited gene."""
        before = self._ranked(self._summed(part.values, genes))
        edit = np.repeat(np.arange(edited.shape[0]), np.diff(edited.indptr))
        change = np.repeat(np.arange(edited.shape[0]), np.diff(part.indptr))
        n_genes = edited.shape[1]
        in_sequence = np.isin(part.cell[edit] * n_genes + edited.indices, _keys(before))
        return in_sequence | np.isin(edit * n_genes + edited.indices, change * n_genes + genes[part.genes])

    def _summed(self, counts: Csr, genes: Int[np.ndarray, " columns"]) -> Csr:
        """Sum columns of one gene: canonical CSR ``(n_rows, n_model_genes)`` without stored zeros."""
        row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        shape = (counts.shape[0], len(self._vocabulary.genes))
        summed = sp.csr_array((counts.data, (row, genes[counts.indices])), shape=shape)
        summed.eliminate_zeros()
        return summed

    def _ranked(self, counts: Csr) -> Csr:
        """Order the genes of each row by falling count / median and keep the first; not sorted by gene."""
        lengths = np.diff(counts.indptr)
        row = np.repeat(np.arange(counts.shape[0]), lengths)
        relative = counts.data / self._vocabulary.gene_medians[counts.indices]
        order = np.lexsort((counts.indices, -relative, row))
        rank = np.arange(len(order)) - np.repeat(counts.indptr[:-1], lengths)
        kept = order[rank < self._n_kept]
        indptr = np.concatenate([[0], np.cumsum(np.minimum(lengths, self._n_kept))])
        return sp.csr_array((counts.data[kept], counts.indices[kept], indptr), shape=counts.shape)

    def _sequences(self, ranked: Csr) -> Sequences:
        tokens = self._vocabulary.gene_tokens[ranked.indices]
        indptr = ranked.indptr.astype(np.int64)
        if self._special is not None:
            cls, eos = self._special
            tokens = np.insert(tokens, np.repeat(indptr, 2)[1:-1], np.tile([cls, eos], len(indptr) - 1))
            indptr = indptr + 2 * np.arange(len(indptr))
        return Sequences(indptr, tokens, np.zeros(len(tokens), dtype=np.float32))


def _keys(values: Csr) -> Int[np.ndarray, " values"]:
    """Return row * n_columns + column of every stored place."""
    row = np.repeat(np.arange(values.shape[0]), np.diff(values.indptr))
    return row * values.shape[1] + values.indices
