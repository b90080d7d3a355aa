"""The scGPT network: a transformer over genes with their values, without positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

Pooling: TypeAlias = Literal["cls", "average", "weighted"]

LARGEST_VALUE = 512.0


@dataclass(frozen=True)
class ScgptSizes:
    """Sizes of the network."""

    n_tokens: int
    d_embed: int
    n_heads: int
    d_hidden: int
    n_layers: int


class _Genes(nn.Module):
    """Embeds the identity of a gene."""

    def __init__(self, sizes: ScgptSizes) -> None:
        super().__init__()
        self.embedding = nn.Embedding(sizes.n_tokens, sizes.d_embed)
        self.enc_norm = nn.LayerNorm(sizes.d_embed)

    def forward(self, tokens: Int[Tensor, "*genes"]) -> Float[Tensor, "*genes d_embed"]:
        embedded: Tensor = self.enc_norm(self.embedding(tokens))
        return embedded


class _Values(nn.Module):
    """Embeds the value of a gene."""

    def __init__(self, d_embed: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(1, d_embed)
        self.linear2 = nn.Linear(d_embed, d_embed)
        self.norm = nn.LayerNorm(d_embed)

    def forward(self, values: Float[Tensor, "rows length"]) -> Float[Tensor, "rows length d_embed"]:
        limited = values.clamp(max=LARGEST_VALUE)[..., None]
        embedded: Tensor = self.norm(self.linear2(torch.relu(self.linear1(limited))))
        return embedded


class _Attention(nn.Module):
    def __init__(self, d_embed: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(d_embed, 3 * d_embed)
        self.out_proj = nn.Linear(d_embed, d_embed)

    def forward(
        self, x: Float[Tensor, "rows length d_embed"], real: Bool[Tensor, "rows length"], *, only_cls: bool
    ) -> Float[Tensor, "rows queries d_embed"]:
        if only_cls:
            d = x.shape[2]
            q = functional.linear(x[:, :1], self.qkv.weight[:d], self.qkv.bias[:d])
            k, v = functional.linear(x, self.qkv.weight[d:], self.qkv.bias[d:]).chunk(2, dim=-1)
        else:
            q, k, v = self.qkv(x).chunk(3, dim=-1)
        mask = real[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(
            self._heads(q), self._heads(k), self._heads(v), attn_mask=mask
        )
        return self.join(mixed)

    def split(
        self, x: Float[Tensor, "rows length d_embed"]
    ) -> tuple[Float[Tensor, "rows heads length d_head"], ...]:
        """Compute queries, keys and values of every head."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self._heads(q), self._heads(k), self._heads(v)

    def join(self, mixed: Float[Tensor, "rows heads length d_head"]) -> Float[Tensor, "rows length d_embed"]:
        """Put together what the heads read."""
        projected: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return projected

    def _heads(self, x: Float[Tensor, "rows length d_embed"]) -> Float[Tensor, "rows heads length d_head"]:
        rows, length, d_embed = x.shape
        return x.view(rows, length, self.n_heads, d_embed // self.n_heads).transpose(1, 2)


class _Layer(nn.Module):
    """A post-norm transformer layer. Its residual stream is float32 whatever the type of the products."""

    def __init__(self, sizes: ScgptSizes) -> None:
        super().__init__()
        self.self_attn = _Attention(sizes.d_embed, sizes.n_heads)
        self.linear1 = nn.Linear(sizes.d_embed, sizes.d_hidden)
        self.linear2 = nn.Linear(sizes.d_hidden, sizes.d_embed)
        self.norm1 = nn.LayerNorm(sizes.d_embed)
        self.norm2 = nn.LayerNorm(sizes.d_embed)

    def forward(
        self, x: Float[Tensor, "rows length d_embed"], real: Bool[Tensor, "rows length"], *, only_cls: bool
    ) -> Float[Tensor, "rows queries d_embed"]:
        attended = self.self_attn(x.to(self.linear1.weight.dtype), real, only_cls=only_cls)
        return self.update(x[:, :1] if only_cls else x, attended)

    def update(
        self, x: Float[Tensor, "rows length d_embed"], attended: Float[Tensor, "rows length d_embed"]
    ) -> Float[Tensor, "rows length d_embed"]:
        """Add what was read to the residual stream, and all that follows it."""
        products = self.linear1.weight.dtype
        x = self.norm1(x + attended)
        updated = self.linear2(torch.relu(self.linear1(x.to(products))))
        after: Tensor = self.norm2(x + updated)
        return after


class _Layers(nn.Module):
    def __init__(self, sizes: ScgptSizes) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(sizes) for _ in range(sizes.n_layers))


class _ValueHead(nn.Module):
    """Predicts the value of each gene from its own position."""

    def __init__(self, d_embed: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(d_embed, d_embed),
            nn.LeakyReLU(),
            nn.Linear(d_embed, d_embed),
            nn.LeakyReLU(),
            nn.Linear(d_embed, 1),
        )

    def forward(self, hidden: Float[Tensor, "rows length d_embed"]) -> Float[Tensor, "rows length"]:
        predicted: Tensor = self.fc(hidden).squeeze(-1)
        return predicted


class _CellHead(nn.Module):
    """Predicts the value of any gene from the cell's embedding."""

    def __init__(self, d_embed: int) -> None:
        super().__init__()
        self.gene2query = nn.Linear(d_embed, d_embed)
        self.W = nn.Linear(d_embed, d_embed, bias=False)

    def forward(
        self, genes: Float[Tensor, "*genes d_embed"], cells: Float[Tensor, "cells d_embed"]
    ) -> Float[Tensor, "*genes cells"]:
        predicted: Tensor = self.W(torch.sigmoid(self.gene2query(genes))) @ cells.T
        return predicted


class ScgptNetwork(nn.Module):
    """The network under the parameter names of scGPT, but for one name of the attention's input weights.

    Parameters
    ----------
    sizes
        Sizes.
    """

    def __init__(self, sizes: ScgptSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder = _Genes(sizes)
        self.value_encoder = _Values(sizes.d_embed)
        self.transformer_encoder = _Layers(sizes)
        self.decoder = _ValueHead(sizes.d_embed)
        self.mvc_decoder = _CellHead(sizes.d_embed)

    @classmethod
    def from_weights(cls, sizes: ScgptSizes, weights: Mapping[str, np.ndarray]) -> ScgptNetwork:
        """Build the network around weights of the right names and shapes."""
        with torch.device("meta"):
            network = cls(sizes)
        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        network.load_state_dict(tensors, strict=True, assign=True)
        return network.eval().requires_grad_(requires_grad=False)

    def bfloat16_products(self) -> ScgptNetwork:
        """Return a copy whose layers multiply in bfloat16, at about a hundredth of float32's precision."""
        network = ScgptNetwork.from_weights(
            self.sizes, {name: tensor.cpu().numpy().copy() for name, tensor in self.state_dict().items()}
        )
        for layer in network.transformer_encoder.layers:
            for products in ("self_attn", "linear1", "linear2"):
                layer.get_submodule(products).bfloat16()
        return network

    def first_layers(self, n_layers: int) -> list[_Layer]:
        """Return some layers, from the first on."""
        return [layer for layer in self.transformer_encoder.layers[:n_layers] if isinstance(layer, _Layer)]

    def inputs(
        self, tokens: Int[Tensor, "rows length"], values: Float[Tensor, "rows length"]
    ) -> Float[Tensor, "rows length d_embed"]:
        """Compute what the first layer reads."""
        summed: Tensor = self.encoder(tokens) + self.value_encoder(values)
        return summed

    def forward(
        self,
        x: Float[Tensor, "rows length d_embed"],
        real: Bool[Tensor, "rows length"],
        *,
        n_layers: int,
        only_cls: bool = False,
    ) -> Float[Tensor, "rows queries d_embed"]:
        """Run the first layers.

        Parameters
        ----------
        x
            What `inputs` returned.
        real
            Positions that are no padding.
        n_layers
            How many layers to run.
        only_cls
            Return the first position only; the last layer then computes no other.

        Returns
        -------
        Hidden states; at padding they have no meaning.
        """
        for number, layer in enumerate(self.first_layers(n_layers)):
            x = layer(x, real, only_cls=only_cls and number == n_layers - 1)
        return x[:, :1] if only_cls else x

    def pool(
        self,
        tokens: Int[Tensor, "rows length"],
        values: Float[Tensor, "rows length"],
        real: Bool[Tensor, "rows length"],
        *,
        layer: int,
        pooling: Pooling,
    ) -> Float[Tensor, "rows d_embed"]:
        """Embed cells, before division by the norm.

        Parameters
        ----------
        tokens, values, real
            The cells.
        layer
            Hidden state to take: 0 is the input of the first layer.
        pooling
            ``"cls"``: the first position. ``"average"``: mean over the genes. ``"weighted"``: mean over the
            genes, weighted by their values.

        Returns
        -------
        One row per cell; a cell without genes is its first position in any pooling.
        """
        x = self.inputs(tokens, values)
        hidden: Tensor = self(x, real, n_layers=layer, only_cls=pooling == "cls")
        if pooling == "cls":
            return hidden[:, 0]
        weight = real.to(hidden.dtype) * (values if pooling == "weighted" else 1.0)
        weight[:, 0] = (real.sum(dim=1) == 1).to(hidden.dtype)
        return (weight[..., None] * hidden).sum(dim=1) / weight.sum(dim=1, keepdim=True)


def expected_shapes(sizes: ScgptSizes) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight by its name.

    Parameters
    ----------
    sizes
        Sizes; nothing is allocated.
    """
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in ScgptNetwork(sizes).state_dict().items()}
