"""What the encoder's own decoder loses when it is fed reconstructions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from anndata import AnnData
from jaxtyping import Float, Int

from conceptome.core import Dictionary, ScoredDecoder

MAX_CELLS = 500  # the mean loss of these is known well enough


@dataclass(frozen=True, eq=False)
class Downstream:
    """A decoder, cells that it decodes, and what it loses on their embeddings and on the mean embedding."""

    decoder: ScoredDecoder
    cells: AnnData
    z: Float[np.ndarray, "cells d_embed"]
    loss_embedding: float
    loss_mean: float

    @classmethod
    def of(
        cls,
        decoder: ScoredDecoder,
        adata: AnnData,
        z: Float[np.ndarray, "all_cells d_embed"],
        *,
        heldout: Int[np.ndarray, " heldout"],
        mean: Float[np.ndarray, " d_embed"],
        seed: int,
    ) -> Downstream:
        """Draw at most 500 held-out cells and take the losses that frame those of reconstructions.

        Parameters
        ----------
        decoder
            Of the encoder.
        adata
            All cells, with what the decoder reads.
        z
            Their embeddings.
        heldout
            Positions of the held-out cells.
        mean
            Mean embedding of the other cells.
        seed
            Decides the draw.

        Returns
        -------
        `Downstream`.
        """
        rows = np.sort(np.random.default_rng(seed).permutation(heldout)[:MAX_CELLS])
        cells, own = adata[rows].copy(), z[rows]
        middle = np.tile(mean.astype(z.dtype), (len(rows), 1))
        losses = [float(decoder.loss(each, cells).mean()) for each in (own, middle)]
        return cls(decoder, cells, own, *losses)

    def measure(self, dictionary: Dictionary) -> dict[str, float]:
        """Decode the reconstructions of a dictionary.

        Parameters
        ----------
        dictionary
            The dictionary.

        Returns
        -------
        ``loss_reconstruction``, mean over cells, and ``loss_recovered``: the share
        (L(mean) - L(z_hat)) / (L(mean) - L(z)) of what the embedding tells the decoder beyond the mean
        embedding, as the loss recovered of SAEBench (arXiv:2503.09532) with the mean in place of zero
        ablation; 1 = nothing is lost, NaN where the embedding tells it nothing.
        """
        z_hat = dictionary.decode(dictionary.encode(self.z))
        loss = float(self.decoder.loss(z_hat, self.cells).mean())
        told = self.loss_mean - self.loss_embedding
        recovered = (self.loss_mean - loss) / told if told > 0 else float("nan")
        return {"loss_reconstruction": loss, "loss_recovered": recovered}
