"""The autoencoder that all families train in torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize


class Outcome(NamedTuple):
    """What an autoencoder makes of cells."""

    x_hat: Tensor
    """Reconstructions, ``(n_cells, d_embed)``."""
    activations: Tensor
    """``(n_cells, n_concepts)``."""
    pre: Tensor
    """Pre-activations, ``(n_cells, n_concepts)``."""


class Rule(nn.Module):
    """From pre-activations to activations; this one is ReLU. Families override what they do otherwise."""

    def forward(self, pre: Tensor) -> Tensor:
        """Turn pre-activations into activations."""
        return pre.relu()

    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Set what depends on the first pre-activations, given in batches of cells."""

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Set what depends on the pre-activations after an epoch, given in batches of cells."""

    def revive(self, dead: Tensor) -> None:
        """Prepare dead concepts, a mask, for their new directions."""


class Autoencoder(nn.Module):
    """p = W_enc (x - b_dec) + b_enc; a = rule(p); x_hat = D^T a + b_dec.

    Parameters
    ----------
    directions
        Initial decoder directions ``(n_concepts, d_embed)``; normalised, and copied into the encoder.
    b_dec
        Initial bias of the decoder, ``(d_embed,)``.
    rule
        The activation rule.
    """

    def __init__(self, directions: Tensor, b_dec: Tensor, rule: Rule) -> None:
        super().__init__()
        self.directions = nn.Parameter(normalize(directions, dim=1))
        self.w_enc = nn.Parameter(self.directions.detach().clone())
        self.b_enc = nn.Parameter(directions.new_zeros(len(directions)))
        self.b_dec = nn.Parameter(b_dec.clone())
        self.rule = rule.to(directions.device)

    def preactivations(self, x: Tensor) -> Tensor:
        """Compute the pre-activations of scaled cells."""
        return linear(x - self.b_dec, self.w_enc, self.b_enc)

    def forward(self, x: Tensor) -> Outcome:
        """Encode and reconstruct scaled cells."""
        pre = self.preactivations(x)
        activations = self.rule(pre)
        return Outcome(activations @ self.directions + self.b_dec, activations, pre)

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
