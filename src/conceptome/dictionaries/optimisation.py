"""Gradient descent for autoencoders of any family: the one training loop."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from conceptome.dictionaries.autoencoder import Autoencoder, strongest
from conceptome.dictionaries.options import Recipe, TrainingOptions

LR_DROPS = 2
LR_FACTOR = 0.2
REVIVED_NORM = 0.5  # of a living concept's encoder; longer ones push others out and die again
SAMPLED_CELLS = 16_384

logger = logging.getLogger(__name__)


def optimise(
    learned: Float[np.ndarray, "cells d_embed"],
    validation: Float[np.ndarray, "validation_cells d_embed"],
    options: TrainingOptions[Any],
    *,
    seed: int,
    device: str,
    progress: bool,
) -> tuple[dict[str, np.ndarray], list[dict[str, float]]]:
    """Fit an autoencoder to scaled embeddings.

    Parameters
    ----------
    learned
        Scaled cells to learn from, float32.
    validation
        Scaled cells that decide when the learning rate falls and which epoch is kept.
    options
        Of the family, resolved.
    seed
        Decides the initialisation and the order of cells.
    device
        Where torch computes.
    progress
        Whether to show a progress bar.

    Returns
    -------
    maps
        ``w_enc, b_enc, directions, b_dec`` and the rule's own, of the best epoch.
    log
        Per epoch: ``fvu`` and ``l0`` on validation cells, ``dead`` share, ``lr``.
    """
    generator = torch.Generator().manual_seed(seed)
    run = _Run(torch.from_numpy(learned).to(device), options, generator)
    recipe = run.recipe
    cells = torch.from_numpy(validation).to(device)
    best, best_loss, stale, drops = run.maps(), float("inf"), 0, 0
    log = []
    bar = tqdm(range(recipe.max_epochs), desc="Dictionary", unit="epoch", disable=None if progress else True)
    for _ in bar:
        run.epoch(revive=drops < LR_DROPS)
        state, loss = run.measure(cells)
        log.append(state)
        bar.set_postfix({name: f"{value:.3g}" for name, value in state.items()})
        stale += 1
        if loss < best_loss:
            best, best_loss, stale = run.maps(), loss, 0
        if stale >= recipe.patience:
            drops += 1
            if drops > LR_DROPS:
                break
            run.lower_lr(best)
            stale = 0
    bar.close()
    return {name: tensor.cpu().numpy() for name, tensor in best.items()}, log


class _Run:
    """An autoencoder, its optimiser and how long each concept has been silent."""

    def __init__(self, cells: Tensor, options: TrainingOptions[Any], generator: torch.Generator) -> None:
        self.cells, self.options, self.generator = cells, options, generator
        self.recipe = Recipe.of(options)
        b_dec = geometric_median(cells)
        rows = torch.randint(len(cells), (self.recipe.n_concepts,), generator=generator)
        directions = cells[rows.to(cells.device)] - b_dec
        self.model = Autoencoder(directions, b_dec, options.rule())
        self.model.rule.prepare(self._preactivations(torch.arange(len(cells), device=cells.device)))
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=self.recipe.lr)
        self.silent = torch.zeros(len(directions), device=cells.device)
        self.variance = (cells - cells.mean(0)).square().sum(1).mean()

    def epoch(self, *, revive: bool) -> None:
        """Pass once over the cells, then re-initialise dead concepts and calibrate the rule."""
        self.model.train()
        order = torch.randperm(len(self.cells), generator=self.generator).to(self.cells.device)
        for rows in torch.split(order, self.recipe.batch_size):
            self._step(self.cells[rows])
        dead = self.silent > self.recipe.dead_after
        if revive and dead.any():
            self._revive(dead)
        self.model.rule.calibrate(self._preactivations(order))

    def _preactivations(self, order: Tensor) -> Iterator[Tensor]:
        for rows in torch.split(order[:SAMPLED_CELLS], self.recipe.batch_size):
            yield self.model.preactivations(self.cells[rows]).detach()

    def _step(self, x: Tensor) -> None:
        outcome = self.model(x)
        residual = x - outcome.x_hat
        loss = residual.square().sum(1).mean() / self.variance
        loss = loss + self.options.penalty(self.model, x, outcome)
        dead = self.silent > self.recipe.dead_after
        if self.recipe.aux_weight and dead.any():
            loss = loss + self.recipe.aux_weight * self._auxiliary(residual.detach(), outcome.pre, dead)
        self.optimiser.zero_grad()
        loss.backward()
        self.model.project_gradient()
        self.optimiser.step()
        self.model.normalise()
        self.silent += len(x)
        self.silent[(outcome.activations > 0).any(0)] = 0

    def _auxiliary(self, residual: Tensor, pre: Tensor, dead: Tensor) -> Tensor:
        k_aux = min(self.recipe.k_aux, int(dead.sum()))
        rebuilt = strongest(pre.masked_fill(~dead, -torch.inf), k_aux) @ self.model.directions
        return (residual - rebuilt).square().sum() / residual.square().sum()

    @torch.no_grad()
    def _revive(self, dead: Tensor) -> None:
        """Point dead concepts at residuals of badly reconstructed cells.

        Cells are drawn by the length of their residual, not its square: squares draw the same few outliers
        again and again, and concepts that share them die again.
        """
        model = self.model
        candidates = torch.randperm(len(self.cells), generator=self.generator)[:SAMPLED_CELLS]
        cells = self.cells[candidates.to(self.cells.device)]
        residual = cells - model(cells).x_hat
        weight = residual.norm(dim=1).cpu()
        rows = torch.multinomial(weight, int(dead.sum()), replacement=True, generator=self.generator)
        directions = torch.nn.functional.normalize(residual[rows.to(residual.device)], dim=1)
        norm = model.w_enc[~dead].norm(dim=1).mean() if (~dead).any() else residual.new_ones(())
        model.directions[dead] = directions
        model.w_enc[dead] = REVIVED_NORM * norm * directions
        model.b_enc[dead] = 0
        model.rule.revive(dead)
        self.silent[dead] = 0
        for parameter in (model.directions, model.w_enc, model.b_enc, *model.rule.parameters()):
            for moment in ("exp_avg", "exp_avg_sq"):
                self.optimiser.state[parameter][moment][dead] = 0

    def lower_lr(self, best: dict[str, Tensor]) -> None:
        """Return to the best epoch with a lower learning rate."""
        self.model.load_state_dict(best)
        self.silent.zero_()
        for group in self.optimiser.param_groups:
            group["lr"] *= LR_FACTOR

    def maps(self) -> dict[str, Tensor]:
        """Return a copy of the parameters."""
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    @torch.no_grad()
    def measure(self, x: Tensor) -> tuple[dict[str, float], float]:
        """Compute FVU and L0 of cells, the share of dead concepts and the learning rate; and the loss."""
        outcome = self.model.eval()(x)
        centre = self.cells.mean(0)
        fvu = float((x - outcome.x_hat).square().sum() / (x - centre).square().sum())
        state = {
            "fvu": fvu,
            "l0": float((outcome.activations > 0).sum(1).float().mean()),
            "dead": float((self.silent > self.recipe.dead_after).float().mean()),
            "lr": self.optimiser.param_groups[0]["lr"],
        }
        return state, fvu + float(self.options.penalty(self.model, x, outcome))


def geometric_median(cells: Tensor, *, n_iterations: int = 50) -> Tensor:
    """Find the point with the least sum of distances to the cells, by Weiszfeld's iteration."""
    centre = cells.mean(0)
    for _ in range(n_iterations):
        weight = 1 / (cells - centre).norm(dim=1).clamp_min(1e-6)
        centre = (weight[:, None] * cells).sum(0) / weight.sum()
    return centre
