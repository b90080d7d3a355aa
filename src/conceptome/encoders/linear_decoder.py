"""The decoder of the linear encoder: from principal components back to log-normalised expression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float

from conceptome.core import Names, map_blocks
from conceptome.encoders.cells import require_rows

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
    """

    def __init__(
        self,
        by_gene: Float[np.ndarray, "genes d_embed"],
        centre: Float[np.ndarray, " genes"],
        *,
        genes: Names,
    ) -> None:
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
