"""The TopK autoencoder as a torch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize


class TopKAutoencoder(nn.Module):
    """p = W_enc (x - b_dec) + b_enc; a = TopK_k(ReLU(p)); x_hat = D^T a + b_dec.

    Parameters
    ----------
    directions
        Initial decoder directions ``(n_concepts, d_embed)``; normalised, and copied into the encoder.
    b_dec
        Initial bias of the decoder, ``(d_embed,)``.
    k
        Active concepts per cell.
    """

    def __init__(self, directions: Tensor, b_dec: Tensor, k: int) -> None:
        super().__init__()
        self.directions = nn.Parameter(normalize(directions, dim=1))
        self.w_enc = nn.Parameter(self.directions.detach().clone())
        self.b_enc = nn.Parameter(directions.new_zeros(len(directions)))
        self.b_dec = nn.Parameter(b_dec.clone())
        self.k = k

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return reconstructions, activations and pre-activations."""
        pre = linear(x - self.b_dec, self.w_enc, self.b_enc)
        activations = strongest(pre, self.k)
        return activations @ self.directions + self.b_dec, activations, pre

    @torch.no_grad()
    def project_gradient(self) -> None:
        """Remove the part of the directions' gradient that would only change their length."""
        gradient = self.directions.grad
        if gradient is not None:
            gradient -= (gradient * self.directions).sum(1, keepdim=True) * self.directions

    @torch.no_grad()
    def normalise(self) -> None:
        """Give every direction unit length."""
        self.directions.div_(self.directions.norm(dim=1, keepdim=True))


def strongest(pre: Tensor, k: int) -> Tensor:
    """Keep the k largest positive pre-activations of each row, zero elsewhere."""
    top = torch.topk(pre, k, dim=1, sorted=False)
    return torch.zeros_like(pre).scatter(1, top.indices, top.values.relu())
