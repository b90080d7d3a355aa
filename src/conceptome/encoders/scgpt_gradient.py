"""Sequences on the way between two cells of scGPT: the genes of both, their bins in between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from conceptome.core import Csr
from conceptome.encoders.scgpt_tokens import ScgptTokeniser
from conceptome.encoders.sequences import Sequences


@dataclass(frozen=True, eq=False)
class Ways:
    """Sequences between pairs of cells, with an entry for every gene that is in one of the two."""

    sequences: Sequences
    """``<cls>`` and the genes; the values of the genes are to be filled in."""
    row: Int[np.ndarray, " genes"]
    column: Int[np.ndarray, " genes"]
    before: Float[np.ndarray, " genes"]
    """Bins at the start; 0 for a gene that is absent there."""
    after: Float[np.ndarray, " genes"]

    @classmethod
    def between(
        cls,
        binned: Csr,
        tokeniser: ScgptTokeniser,
        tokens: Int[np.ndarray, " columns"],
        *,
        start: Int[np.ndarray, " rows"],
        end: Int[np.ndarray, " rows"],
    ) -> Ways:
        """Lay out the ways between cells.

        Parameters
        ----------
        binned
            Bins of the cells, as the tokeniser gives them.
        tokeniser
            The tokeniser.
        tokens
            Token of each column.
        start, end
            Rows of `binned`.

        Returns
        -------
        The ways.
        """
        union = sp.csr_array(binned[start] + binned[end])  # bins are positive, so that none cancels
        union.sort_indices()
        row = np.repeat(np.arange(len(start)), np.diff(union.indptr))
        before, after = (binned[rows].toarray()[row, union.indices] for rows in (start, end))
        return cls(tokeniser.sequences(union, tokens), row, union.indices, before, after)

    @property
    def is_gene(self) -> Bool[np.ndarray, " tokens"]:
        """Whether a token is a gene: all are but the first of each sequence."""
        gene = np.ones(len(self.sequences.tokens), dtype=bool)
        gene[self.sequences.indptr[:-1]] = False
        return gene

    def at(self, fraction: float) -> Sequences:
        """Return the sequences at a fraction of the way: 0 = start, 1 = end."""
        values = self.sequences.values.copy()
        values[self.is_gene] = (1 - fraction) * self.before + fraction * self.after
        return Sequences(self.sequences.indptr, self.sequences.tokens, values)

    def moved(
        self, gradient: Float[np.ndarray, " tokens"], n_columns: int
    ) -> Float[np.ndarray, "rows columns"]:
        """Multiply the derivative by each token's value with the gene's change over the whole way."""
        result = np.zeros((len(self.sequences), n_columns))
        result[self.row, self.column] = gradient[self.is_gene] * (self.after - self.before)
        return result
