"""The activation rules of the families as they are trained, with the gradients of their papers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from conceptome.dictionaries.autoencoder import Rule, strongest

LOG_HALF = math.log(0.5)


class TopKRule(Rule):
    """Keep the k largest positive pre-activations of each cell [Gao24]."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, pre: Tensor) -> Tensor:
        """Turn pre-activations into activations."""
        return strongest(pre, self.k)


class BatchTopKRule(Rule):
    """Keep the k largest positive pre-activations per cell, of all cells of a batch together [Bussmann24].

    Outside training, what lies above the threshold.
    """

    threshold: Tensor

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k
        self.register_buffer("threshold", torch.zeros(()))

    def forward(self, pre: Tensor) -> Tensor:
        """Turn pre-activations into activations."""
        if not self.training:
            return pre * (pre > self.threshold)
        values, indices = self._kept(pre)
        return torch.zeros_like(pre).flatten().scatter(0, indices, values).view_as(pre)

    def _kept(self, pre: Tensor) -> tuple[Tensor, Tensor]:
        top = torch.topk(pre.flatten(), self.k * len(pre), sorted=False)
        return top.values.relu(), top.indices

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Set the threshold to the mean over batches of the smallest activation that was kept."""
        self.threshold.fill_(smallest_kept(batches, self.k))


class JumpReluRule(Rule):
    """Keep what lies above the concept's threshold exp(log_threshold) [Rajamanoharan24].

    Parameters
    ----------
    n_concepts
        Concepts.
    k
        Concepts per cell that a shared threshold lets through.
    bandwidth
        Width of the kernel through which thresholds learn.
    shared_epochs
        First rounds, in which all concepts share one threshold.
    """

    shared_left: Tensor

    def __init__(self, n_concepts: int, *, k: int, bandwidth: float, shared_epochs: int) -> None:
        super().__init__()
        self.k, self.bandwidth = k, bandwidth
        self.register_buffer("shared_left", torch.tensor(shared_epochs))
        self.log_threshold = nn.Parameter(torch.zeros(n_concepts))

    def forward(self, pre: Tensor) -> Tensor:
        """Turn pre-activations into activations."""
        jumped: Tensor = _Jump.apply(pre, self.log_threshold.exp(), self.bandwidth)  # type: ignore[no-untyped-call]
        return jumped

    def l0(self, pre: Tensor) -> Tensor:
        """Compute the mean number of active concepts, with a gradient to the thresholds."""
        active: Tensor = _Step.apply(pre, self.log_threshold.exp(), self.bandwidth)  # type: ignore[no-untyped-call]
        return active.sum(1).mean()

    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Start at the threshold that lets k concepts per cell through."""
        self.log_threshold.data.fill_(smallest_kept(batches, self.k)).log_()

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Set the shared threshold anew, as long as there is one.

        Directions start at cells. Their own thresholds would soon let only this one cell through, and get no
        gradient from others any more.
        """
        if self.shared_left > 0:
            self.shared_left -= 1
            self.prepare(batches)

    def revive(self, dead: Tensor) -> None:
        """Give dead concepts half the threshold of a living one (of any, if none lives)."""
        others = dead.all() | ~dead
        self.log_threshold.data[dead] = self.log_threshold.data[others].median() + LOG_HALF


def smallest_kept(batches: Iterable[Tensor], k: int) -> float:
    """Average over batches the smallest positive pre-activation among the k strongest per cell.

    Batches count by their cells: the last one of an epoch may hold very few.
    """
    total, n_cells = 0.0, 0
    for pre in batches:
        kept = torch.topk(pre.flatten(), k * len(pre)).values
        positive = kept[kept > 0]
        if len(positive):
            total += len(pre) * float(positive[-1])
            n_cells += len(pre)
    return total / n_cells if n_cells else 0.0


def _near(pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    """Rectangle kernel of unit height and width `bandwidth` around the threshold."""
    return ((pre - threshold).abs() < bandwidth / 2).to(pre.dtype)


class _Jump(torch.autograd.Function):
    """p where p > threshold, else 0; d/dthreshold = -threshold / bandwidth * kernel."""

    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return pre * (pre > threshold)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        pre, threshold = ctx.saved_tensors
        to_threshold = -threshold / ctx.bandwidth * _near(pre, threshold, ctx.bandwidth) * gradient
        return gradient * (pre > threshold), to_threshold.sum(0), None


class _Step(torch.autograd.Function):
    """1 where p > threshold, else 0; d/dthreshold = -1 / bandwidth * kernel, no gradient to p."""

    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return (pre > threshold).to(pre.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:  # noqa: ANN401
        pre, threshold = ctx.saved_tensors
        to_threshold = -_near(pre, threshold, ctx.bandwidth) / ctx.bandwidth * gradient
        return None, to_threshold.sum(0), None
