"""One batch changes an autoencoder: by automatic differentiation, for every family and device."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from conceptome.dictionaries.autoencoder import Autoencoder, Outcome, strongest
from conceptome.dictionaries.options import Recipe, TrainingOptions


class Measured(NamedTuple):
    """How an autoencoder does on some cells."""

    squared_error: float
    """Sum over the cells."""
    n_active: int
    """Sum over the cells of active concepts."""
    penalty: float
    """What the family adds to the loss, summed over the cells."""


@runtime_checkable
class Steps(Protocol):
    """How the weights of an autoencoder follow from batches of cells."""

    def take(self, x: Tensor, *, lr: float, dead: Tensor | None) -> Tensor:
        """Learn from a batch; return the mask of concepts that fired."""
        ...

    def measure(self, model: Autoencoder, x: Tensor) -> Measured:
        """Measure an autoencoder in evaluation mode on a batch."""
        ...


class AutogradSteps:
    """Dense steps by torch.

    Parameters
    ----------
    model
        The autoencoder.
    optimiser
        Of its parameters.
    options
        Of the family, resolved.
    variance
        Mean squared norm of the centred cells.
    """

    def __init__(
        self,
        model: Autoencoder,
        optimiser: torch.optim.Optimizer,
        options: TrainingOptions[Any],
        *,
        variance: float,
    ) -> None:
        self.model, self.optimiser, self.options, self.variance = model, optimiser, options, variance
        self.recipe = Recipe.of(options)

    def _products(self, x: Tensor) -> torch.autocast:
        bfloat16 = self.recipe.precision == "bfloat16"
        return torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=bfloat16)

    def take(self, x: Tensor, *, lr: float, dead: Tensor | None) -> Tensor:
        """Learn from a batch; return the mask of concepts that fired."""
        with self._products(x):
            outcome = Outcome(*(part.float() for part in self.model.train()(x)))
        residual = x - outcome.x_hat
        loss = residual.square().sum(1).mean() / self.variance
        loss = loss + self.options.penalty(self.model, x, outcome)
        if dead is not None:
            k_aux = min(self.recipe.k_aux, int(dead.sum()))
            pre = outcome.pre.masked_fill(~dead, -torch.inf)
            rebuilt = strongest(pre, k_aux) @ self.model.directions
            loss = loss + auxiliary_loss(residual.detach(), rebuilt, self.recipe)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.model.project_gradient()
        self.optimiser.param_groups[0]["lr"] = lr
        self.optimiser.step()
        self.model.normalise()
        fired: Tensor = (outcome.activations > 0).any(0)
        return fired

    @torch.no_grad()
    def measure(self, model: Autoencoder, x: Tensor) -> Measured:
        """Measure an autoencoder in evaluation mode on a batch."""
        outcome = model.eval()(x)
        return Measured(
            float((x - outcome.x_hat).square().sum()),
            int((outcome.activations > 0).sum()),
            len(x) * float(self.options.penalty(model, x, outcome)),
        )


def auxiliary_loss(residual: Tensor, rebuilt: Tensor, recipe: Recipe) -> Tensor:
    """Compute AuxK's part of the loss: what dead concepts leave of what the others left [Gao24]."""
    left: Tensor = (residual - rebuilt).square().sum() / residual.square().sum()
    return recipe.aux_weight * left
