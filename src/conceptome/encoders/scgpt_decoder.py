"""What scGPT expects every gene to be, given a cell's embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int

from conceptome.core import Names
from conceptome.encoders.cells import require_rows
from conceptome.encoders.scgpt_network import ScgptNetwork

if TYPE_CHECKING:
    from anndata import AnnData


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
    """

    def __init__(self, network: ScgptNetwork, genes: Names, tokens: Int[np.ndarray, " genes"]) -> None:
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
