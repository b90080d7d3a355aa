"""Which tokens Geneformer would put at a position, given its hidden state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int

from conceptome.core import Names
from conceptome.encoders.cells import require_rows
from conceptome.encoders.geneformer_network import GeneformerNetwork

if TYPE_CHECKING:
    from anndata import AnnData


class GeneformerDecoder:
    """The head that Geneformer was trained with to predict masked tokens, at ``<cls>``.

    Its values are logits of tokens, not counts: a gene with a higher one is held to be likelier there. Only
    their differences mean something. Batches and library size play no part.

    Parameters
    ----------
    network
        The network.
    genes
        Names of the genes.
    tokens
        Their tokens.
    """

    def __init__(self, network: GeneformerNetwork, genes: Names, tokens: Int[np.ndarray, " genes"]) -> None:
        self.genes = genes
        self._network = network
        self._tokens = tokens

    def expression(
        self,
        embedding: Float[np.ndarray, "cells d_embed"],
        cells: AnnData,
    ) -> Float[np.ndarray, "cells model_genes"]:
        """Compute the logit of every gene.

        Parameters
        ----------
        embedding
            Last-layer states of ``<cls>``.
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
        require_rows(embedding, cells, d_embed=self._network.d_embed)
        with torch.inference_mode():
            hidden = torch.from_numpy(embedding.astype(np.float32)).to(self._network.device)
            return self._network.logits(hidden).cpu().numpy()[:, self._tokens]
