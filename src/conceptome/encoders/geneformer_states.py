"""What Geneformer computes on the way to an embedding, one cell at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from conceptome.encoders.geneformer_files import GeneformerModel
from conceptome.encoders.geneformer_network import GeneformerNetwork
from conceptome.encoders.sequences import Sequences, hidden_state


class GeneformerStates:
    """Some cells in the network.

    Parameters
    ----------
    network
        The network, on the device to use.
    sequences
        The cells.
    model
        Sizes and dictionaries.
    """

    def __init__(self, network: GeneformerNetwork, sequences: Sequences, model: GeneformerModel) -> None:
        self.sequences = sequences
        self._network = network
        self._sizes = model.sizes
        self._vocabulary = model.vocabulary

    def hidden(self) -> Float[np.ndarray, "states cells length d_embed"]:
        """Compute every hidden state of every token.

        Returns
        -------
        ``(n_layers + 1, n_cells, longest, d_embed)``, float32; NaN beyond the end of a cell.
        """
        n_states, longest = self._sizes.num_hidden_layers + 1, self.sequences.lengths.max()
        shape = (n_states, len(self.sequences), longest, self._sizes.hidden_size)
        result = np.full(shape, np.nan, dtype=np.float32)
        for cell, states in enumerate(self._cells()):
            for number, hidden in enumerate(states):
                result[number, cell, : len(hidden)] = hidden.cpu().numpy()
        return result

    def mlm_logits(
        self, positions: Int[np.ndarray, " positions"]
    ) -> Float[np.ndarray, "cells positions tokens"]:
        """Compute what the token head says at some positions.

        Parameters
        ----------
        positions
            Positions in the sequence, from 0.

        Returns
        -------
        Logits of all tokens, ``(n_cells, n_positions, n_tokens)``, float32; NaN beyond the end of a cell.
        """
        shape = (len(self.sequences), len(positions), self._sizes.vocab_size)
        result = np.full(shape, np.nan, dtype=np.float32)
        for cell, states in enumerate(self._cells()):
            *_, last = states
            there = positions < len(last)
            result[cell, there] = self._network.logits(last[positions[there]]).cpu().numpy()
        return result

    def gene_embeddings(self, *, layer: int = -2) -> pd.DataFrame:
        """Average the state of each gene's token over the cells in whose sequence it is.

        Parameters
        ----------
        layer
            Hidden state, as in `GeneformerOptions`.

        Returns
        -------
        Genes x coordinates, float64; genes in no sequence are left out.
        """
        number = hidden_state(layer, self._sizes.num_hidden_layers)
        total = np.zeros((self._sizes.vocab_size, self._sizes.hidden_size))
        for cell, states in enumerate(self._cells()):
            hidden = next(islice(states, number, None))
            tokens = self.sequences.tokens[self.sequences.indptr[cell] : self.sequences.indptr[cell + 1]]
            total[tokens] += hidden.cpu().numpy()
        n_cells = np.bincount(self.sequences.tokens, minlength=len(total))[self._vocabulary.gene_tokens]
        seen = n_cells > 0
        means = total[self._vocabulary.gene_tokens[seen]] / n_cells[seen, None]
        return pd.DataFrame(means, index=self._vocabulary.genes[seen])

    def _cells(self) -> Iterator[Iterator[Float[torch.Tensor, "length d_embed"]]]:
        """Yield the hidden states of one cell after the other, without padding."""
        for start, stop in zip(self.sequences.indptr[:-1], self.sequences.indptr[1:], strict=True):
            tokens = torch.from_numpy(self.sequences.tokens[start:stop]).to(self._network.device)[None]
            real = torch.ones_like(tokens, dtype=torch.bool)
            yield (hidden[0] for hidden in self._network.states(tokens, real))
