"""The decoder of the linear encoder: from principal components back to log-normalised expression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float

from conceptome.core import BLOCK_ROWS, Names, map_blocks
from conceptome.data import align
from conceptome.encoders.cells import require_rows, to_model_genes
from conceptome.encoders.linear_fit import LinearOptions

if TYPE_CHECKING:
    from anndata import AnnData


class LinearDecoder:
    """y = W^T z + centre, the point of the principal subspace that has the embedding z.

    Parameters
    ----------
    by_gene
        W^T, one row per gene; the rows of W are orthonormal.
    centre
        Mean normalised expression of the cells that were fitted.
    genes
        Gene of each row.
    options
        How the encoder reads cells.
    """

    loss_name = "mean squared error of normalised expression"

    def __init__(
        self,
        by_gene: Float[np.ndarray, "genes d_embed"],
        centre: Float[np.ndarray, " genes"],
        *,
        genes: Names,
        options: LinearOptions,
    ) -> None:
        self._options = options
        self.genes = pd.Index(genes, dtype=object)
        self.centre = centre
        self._by_coordinate = by_gene.T

    def expression(
        self, embedding: Float[np.ndarray, "cells d_embed"], cells: AnnData
    ) -> Float[np.ndarray, "cells model_genes"]:
        """Decode embeddings into normalised expression.

        Parameters
        ----------
        embedding
            One row per cell.
        cells
            As many cells; a linear encoder knows no batch and takes the library size out, so nothing is read.

        Returns
        -------
        Normalised expression as the encoder reads it, log(1 + counts per 10,000) by default, float64. What
        lies outside the principal subspace is at its mean; values can be slightly below 0.

        Raises
        ------
        InputError
            If rows and cells differ in number.
        """
        require_rows(embedding, cells, d_embed=len(self._by_coordinate))
        rows = embedding.astype(np.float64)
        return np.asarray(map_blocks(lambda block: block @ self._by_coordinate, rows) + self.centre)

    def loss(
        self, embedding: Float[np.ndarray, "cells d_embed"], cells: AnnData
    ) -> Float[np.ndarray, " cells"]:
        """Compute how far decoded expression is from that of the cells, block by block.

        Parameters
        ----------
        embedding
            One row per cell.
        cells
            Cells with raw counts, which are normalised as the encoder does.

        Returns
        -------
        Mean over genes of the squared difference, per cell.

        Raises
        ------
        InputError
            If rows and cells differ in number, or a cell has no counts.
        """
        values = to_model_genes(self._options.read(cells), align(self.genes, cells).columns)
        true = self._options.normalise(values, cells.obs_names)
        losses = np.empty(cells.n_obs)
        for start in range(0, cells.n_obs, BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            errors = self.expression(embedding[rows], cells[rows]) - true[rows].toarray()
            losses[rows] = (errors**2).mean(axis=1)
        return losses
