"""What scGPT expects every gene to be, given a cell's embedding."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int

from conceptome.core import Csr, Names
from conceptome.encoders.cells import require_rows
from conceptome.encoders.scgpt_network import ScgptNetwork

if TYPE_CHECKING:
    from anndata import AnnData

CELLS_PER_BLOCK = 64  # each with as many predictions as the vocabulary has genes


class ScgptDecoder:
    """The head that scGPT was trained with to predict a masked gene from ``<cls>`` (GEPC in its paper).

    Its values are in bins of the input, 1 to 50. Batches and library size play no part.

    Parameters
    ----------
    network
        The network.
    genes
        Names of the genes.
    tokens
        Their tokens.
    read
        Gives the bins of cells, nothing where a gene is no token, and the gene of each column.
    """

    loss_name = "mean squared error of the bins of expressed genes"

    def __init__(
        self,
        network: ScgptNetwork,
        genes: Names,
        tokens: Int[np.ndarray, " genes"],
        *,
        read: Callable[[AnnData], tuple[Csr, Int[np.ndarray, " columns"]]],
    ) -> None:
        self._read = read
        self.genes = genes
        self._network = network
        self._tokens = torch.from_numpy(tokens)

    def expression(
        self,
        embedding: Float[np.ndarray, "cells d_embed"],
        cells: AnnData,
    ) -> Float[np.ndarray, "cells model_genes"]:
        """Predict the bin of every gene.

        Parameters
        ----------
        embedding
            Embeddings; a length that is not 1 is ignored.
        cells
            As many cells; the head reads nothing else of them.

        Returns
        -------
        ``(n_cells, n_genes)``, float32.

        Raises
        ------
        InputError
            If rows and cells differ in number.
        """
        require_rows(embedding, cells, d_embed=self._network.sizes.d_embed)
        with torch.inference_mode():
            tokens = self._tokens.to(next(self._network.parameters()).device)
            whole = torch.from_numpy(self._undivided(embedding)).to(tokens.device)
            predicted = self._network.mvc_decoder(self._network.encoder(tokens), whole)
        return np.asarray(predicted.T.cpu().numpy())

    def loss(
        self, embedding: Float[np.ndarray, "cells d_embed"], cells: AnnData
    ) -> Float[np.ndarray, " cells"]:
        """Compute how well the genes that are tokens of a cell are predicted: the GEPC loss, unmasked.

        Parameters
        ----------
        embedding
            Embeddings.
        cells
            As many cells, with what the encoder reads.

        Returns
        -------
        Mean over the cell's tokens of the squared difference in bins.

        Raises
        ------
        InputError
            If rows and cells differ in number, or a cell expresses no known gene.
        """
        bins, genes = self._read(cells)
        losses = np.empty(cells.n_obs)
        for start in range(0, cells.n_obs, CELLS_PER_BLOCK):
            rows = slice(start, start + CELLS_PER_BLOCK)
            own = bins[rows].tocoo()
            errors = self.expression(embedding[rows], cells[rows])[own.row, genes[own.col]] - own.data
            losses[rows] = np.bincount(own.row, errors**2) / np.bincount(own.row)
        return losses

    def _undivided(self, embedding: Float[np.ndarray, "cells d_embed"]) -> Float[np.ndarray, "cells d_embed"]:
        """Restore the length that the published embedding has lost.

        The last layer norm gives z = w n + b with |n|^2 = d. With z = s u this is a quadratic equation in s.
        """
        norm = self._network.transformer_encoder.layers[-1].get_submodule("norm2")
        w, b = (tensor.double().cpu().numpy() for tensor in norm.parameters())
        u = embedding.astype(np.float64)
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        a, c = u / w, b / w
        squared, mixed = (a**2).sum(axis=1), a @ c
        root = np.sqrt(np.maximum(mixed**2 - squared * (c @ c - len(w)), 0.0))
        return np.asarray(((mixed + root) / squared)[:, None] * u, dtype=np.float32)
