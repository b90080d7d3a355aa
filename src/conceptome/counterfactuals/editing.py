"""Edits of one gene in one cell, for the genes where an edit would change something."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from conceptome.core import Csr, Edits


def substitution_edits(
    expression: Csr,
    known: Bool[np.ndarray, " genes"],
    *,
    factual: Int[np.ndarray, " pairs"],
    counterfactual: Int[np.ndarray, " pairs"],
) -> tuple[Edits, Bool[np.ndarray, "pairs genes"]]:
    """Build the edits x[g] <- x'[g] for every pair and every gene in which the two cells differ.

    Parameters
    ----------
    expression
        What the encoder reads of each cell, (n_cells, n_genes).
    known
        Which genes the encoder reads; the others are never edited.
    factual
        Row of the cell to edit, x.
    counterfactual
        Row of the cell that lends its values, x'.

    Returns
    -------
    edits
        One edit per True of `differs`, in row-major order.
    differs
        Whether gene g of pair i is edited, (n_pairs, n_genes).
    """
    value = expression[factual].toarray()
    new_value = expression[counterfactual].toarray()
    differs = (value != new_value) & known
    pair, gene = np.nonzero(differs)
    return Edits.single(factual[pair], gene, new_value[pair, gene]), differs


def mask_edits(
    expression: Csr, known: Bool[np.ndarray, " genes"], *, factual: Int[np.ndarray, " pairs"]
) -> tuple[Edits, Bool[np.ndarray, "pairs genes"]]:
    """Build the edits x[g] <- 0 for every cell and every gene that is not zero already.

    Parameters
    ----------
    expression
        What the encoder reads of each cell, (n_cells, n_genes).
    known
        Which genes the encoder reads; the others are never edited.
    factual
        Row of the cell to edit, x.

    Returns
    -------
    edits
        One edit per True of `differs`, in row-major order.
    differs
        Whether gene g of cell i is edited, (n_pairs, n_genes).
    """
    differs = (expression[factual].toarray() != 0) & known
    row, gene = np.nonzero(differs)
    return Edits.single(factual[row], gene, np.zeros(len(gene))), differs
