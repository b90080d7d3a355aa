"""The Geneformer network: BERT of transformers, run layer by layer on sequences of any length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from conceptome.core import require_extra

Pooling: TypeAlias = Literal["cls", "mean"]
Activation: TypeAlias = Literal["relu", "gelu"]

TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
"""Weights that are the same numbers under a second name."""


@dataclass(frozen=True)
class GeneformerSizes:
    """What ``config.json`` says of the network, in its own words."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    hidden_act: Activation = "relu"


class GeneformerNetwork:
    """Hidden states and token logits of whole sequences.

    Parameters
    ----------
    sizes
        Sizes.
    weights
        Arrays under the names of transformers, without those that are tied.

    Raises
    ------
    MissingExtraError
        If transformers is not installed.
    """

    def __init__(self, sizes: GeneformerSizes, weights: Mapping[str, np.ndarray]) -> None:
        self.d_embed = sizes.hidden_size
        self._model = _empty_model(sizes)
        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        tensors |= {tied: tensors[name] for tied, name in TIED.items()}
        self._model.load_state_dict(tensors, strict=True, assign=True)
        positions = torch.arange(sizes.max_position_embeddings)[None]
        embeddings = self._model.bert.embeddings  # its buffers are in no file
        embeddings.position_ids, embeddings.token_type_ids = positions, torch.zeros_like(positions)
        self._model.eval().requires_grad_(requires_grad=False)

    def to(self, device: str) -> GeneformerNetwork:
        """Move the weights to a device and return the network."""
        self._model.to(device)
        return self

    def states(
        self, tokens: Int[Tensor, "rows length"], real: Bool[Tensor, "rows length"]
    ) -> Iterator[Float[Tensor, "rows length d_embed"]]:
        """Yield the hidden states from the input of the first layer to the output of the last.

        Layers that are not asked for are not run. The mask is given even where nothing is padding: without
        it, attention would round otherwise.

        Parameters
        ----------
        tokens
            Tokens from position 0 on.
        real
            Positions that are no padding.
        """
        hidden = self._model.bert.embeddings(input_ids=tokens)
        yield hidden
        for layer in self._model.bert.encoder.layer:
            output = layer(hidden, attention_mask=real[:, None, None, :])
            hidden = output[0] if isinstance(output, tuple) else output  # a tuple before transformers 5
            yield hidden

    def logits(self, hidden: Float[Tensor, "*rows d_embed"]) -> Float[Tensor, "*rows tokens"]:
        """Apply the token head to hidden states of the last layer."""
        predicted: Tensor = self._model.cls(hidden)
        return predicted

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self._model.device
        return device


def pool(
    hidden: Float[Tensor, "rows length d_embed"],
    real: Bool[Tensor, "rows length"],
    *,
    pooling: Pooling,
    special: bool,
) -> Float[Tensor, "rows d_embed"]:
    """Make one vector of each sequence.

    Parameters
    ----------
    hidden
        Hidden states.
    real
        Positions that are no padding.
    pooling
        ``"cls"``: the first position. ``"mean"``: mean over the genes.
    special
        Whether the first and the last position are no genes.

    Returns
    -------
    One row per sequence; a sequence without genes is its first position in any pooling.
    """
    if pooling == "cls":
        return hidden[:, 0]
    weight = real.to(hidden.dtype)
    if special:
        n_real = real.sum(dim=1)
        weight[torch.arange(len(weight), device=weight.device), n_real - 1] = 0.0
        weight[:, 0] = (n_real == 2).to(hidden.dtype)
    return (weight[..., None] * hidden).sum(dim=1) / weight.sum(dim=1, keepdim=True)


def expected_shapes(sizes: GeneformerSizes) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight by its name in transformers, without those that are tied.

    Parameters
    ----------
    sizes
        Sizes; nothing is allocated.

    Raises
    ------
    MissingExtraError
        If transformers is not installed.
    """
    state = _empty_model(sizes).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items() if name not in TIED}


def _empty_model(sizes: GeneformerSizes) -> Any:  # noqa: ANN401  (a class of an optional dependency)
    transformers = require_extra("transformers", "geneformer")
    config = transformers.BertConfig(**asdict(sizes), attn_implementation="sdpa")
    with torch.device("meta"):
        return transformers.BertForMaskedLM(config)
