"""Gradient descent for autoencoders of any family: the one training loop."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from math import isfinite
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from conceptome.core import InputError
from conceptome.dictionaries.autoencoder import Autoencoder, strongest
from conceptome.dictionaries.checkpoint import Journal
from conceptome.dictionaries.options import Recipe, TrainingOptions
from conceptome.dictionaries.schedule import Schedule

REVIVED_NORM = 0.5  # of a living concept's encoder; longer ones push others out and die again
SAMPLED_CELLS = 16_384
EMA_START = 9  # steps after which the average remembers half of what it was


def optimise(
    learned: Float[np.ndarray, "cells d_embed"],
    validation: Float[np.ndarray, "validation_cells d_embed"],
    options: TrainingOptions[Any],
    *,
    seed: int,
    device: str,
    progress: bool,
    journal: Journal | None = None,
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
    journal
        Where training is written down, and continued from.

    Returns
    -------
    maps
        ``w_enc, b_enc, directions, b_dec`` and the rule's own, of the best epoch.
    log
        Per epoch: ``fvu`` and ``l0`` on validation cells, ``dead`` share, ``lr``.

    Raises
    ------
    InputError
        If the loss is no longer finite.
    CheckpointError
        If the journal cannot be read or tells of another training.
    """
    cells, unseen = (torch.from_numpy(array).to(device) for array in (learned, validation))
    run = _Run(cells, options, torch.Generator().manual_seed(seed))
    if journal and (entry := journal.read()):
        run.restore(*entry)
    bar = tqdm(
        total=run.recipe.max_epochs,
        initial=len(run.log),
        desc="Dictionary",
        unit="epoch",
        disable=None if progress else True,
    )
    with bar:
        while not run.finished:
            run.epoch()
            run.judge(unseen)
            bar.update()
            bar.set_postfix({name: f"{value:.3g}" for name, value in run.log[-1].items()})
            if journal and journal.due(len(run.log), finished=run.finished):
                journal.write(*run.state())
    return {name: tensor.cpu().numpy() for name, tensor in run.best.items()}, run.log


class _Run:
    """An autoencoder in training: all that the next epoch depends on."""

    def __init__(self, cells: Tensor, options: TrainingOptions[Any], generator: torch.Generator) -> None:
        self.cells, self.options, self.generator = cells, options, generator
        self.recipe = Recipe.of(options)
        b_dec = geometric_median(cells)
        rows = torch.randint(len(cells), (self.recipe.n_concepts,), generator=generator)
        directions = cells[rows.to(cells.device)] - b_dec
        self.model = Autoencoder(directions, b_dec, options.rule())
        self.model.rule.prepare(self._batches(self.model, torch.arange(len(cells), device=cells.device)))
        self.average = deepcopy(self.model) if self.recipe.ema else self.model
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=self.recipe.lr)
        self.schedule = Schedule(self.recipe, n_cells=len(cells))
        self.silent = torch.zeros(len(directions), device=cells.device)
        self.centre = cells.mean(0)
        self.variance = (cells - self.centre).square().sum(1).mean()
        self.best, self.best_loss = _copy(self.average), float("inf")
        self.log: list[dict[str, float]] = []

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to learn."""
        return self.schedule.exhausted or len(self.log) >= self.recipe.max_epochs

    def epoch(self) -> None:
        """Pass once over the cells, then re-initialise dead concepts and calibrate the rule."""
        self.model.train()
        order = torch.randperm(len(self.cells), generator=self.generator).to(self.cells.device)
        for rows in torch.split(order, self.recipe.batch_size):
            self._step(self.cells[rows])
        dead = self.silent > self.recipe.dead_after
        if self.recipe.resample and not self.schedule.settling and dead.any():
            self._revive(dead)
        for model in {id(model): model for model in (self.model, self.average)}.values():
            model.rule.calibrate(self._batches(model, order))

    def judge(self, unseen: Tensor) -> None:
        """Measure on validation cells, keep the best epoch, lower the learning rate on a plateau."""
        state, loss = self._measure(unseen)
        self.log.append(state)
        if not isfinite(loss):
            msg = (
                f"Training diverged: the loss is {loss} after {len(self.log)} epochs. "
                f"Choose a smaller lr than {self.recipe.lr}."
            )
            raise InputError(msg)
        improved = loss < self.best_loss
        if improved:
            self.best, self.best_loss = _copy(self.average), loss
        if self.schedule.drop_on_plateau(improved=improved) and not self.schedule.exhausted:
            self.model.load_state_dict(self.best)
            self.average.load_state_dict(self.best)
            self.silent.zero_()

    def _batches(self, model: Autoencoder, order: Tensor) -> Iterator[Tensor]:
        for rows in torch.split(order[:SAMPLED_CELLS], self.recipe.batch_size):
            yield model.preactivations(self.cells[rows]).detach()

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
        self.optimiser.param_groups[0]["lr"] = self.schedule.next_lr()
        self.optimiser.step()
        self.model.normalise()
        if self.recipe.ema:
            self._average()
        self.silent += len(x)
        self.silent[(outcome.activations > 0).any(0)] = 0

    def _auxiliary(self, residual: Tensor, pre: Tensor, dead: Tensor) -> Tensor:
        k_aux = min(self.recipe.k_aux, int(dead.sum()))
        rebuilt = strongest(pre.masked_fill(~dead, -torch.inf), k_aux) @ self.model.directions
        return (residual - rebuilt).square().sum() / residual.square().sum()

    @torch.no_grad()
    def _average(self) -> None:
        """Move the average towards the weights; in the beginning, when these change most, by more."""
        n_steps = self.schedule.n_steps
        memory = min(self.recipe.ema, n_steps / (n_steps + EMA_START))
        for mean, current in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(current, 1 - memory)
        self.average.normalise()

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
        average = dict(self.average.named_parameters())
        for name, parameter in model.named_parameters():
            if name == "b_dec":
                continue
            average[name][dead] = parameter[dead]
            for moment in ("exp_avg", "exp_avg_sq"):
                self.optimiser.state[parameter][moment][dead] = 0

    @torch.no_grad()
    def _measure(self, x: Tensor) -> tuple[dict[str, float], float]:
        """Compute FVU and L0 of cells, the share of dead concepts and the learning rate; and the loss."""
        outcome = self.average.eval()(x)
        fvu = float((x - outcome.x_hat).square().sum() / (x - self.centre).square().sum())
        state = {
            "fvu": fvu,
            "l0": float((outcome.activations > 0).sum(1).float().mean()),
            "dead": float((self.silent > self.recipe.dead_after).float().mean()),
            "lr": self.optimiser.param_groups[0]["lr"],
        }
        return state, fvu + float(self.options.penalty(self.average, x, outcome))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and numbers from which `restore` continues to the bit."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        if self.recipe.ema:
            tensors |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": tensor for name, tensor in moments.items()}
        tensors |= {"silent": self.silent, "generator": self.generator.get_state()}
        return tensors, {"log": self.log, "best_loss": self.best_loss, "schedule": self.schedule.state()}

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Continue from what `state` returned."""

        def part(name: str) -> dict[str, Tensor]:
            start = f"{name}."
            return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}

        self.model.load_state_dict(part("model"))
        self.average.load_state_dict(part("average" if self.recipe.ema else "model"))
        self.best = {name: tensor.to(self.cells.device) for name, tensor in part("best").items()}
        adam = self.optimiser.state_dict()
        adam["state"] = {index: part(f"adam.{index}") for index in adam["param_groups"][0]["params"]}
        self.optimiser.load_state_dict(adam)
        self.silent = tensors["silent"].to(self.cells.device)
        self.generator.set_state(tensors["generator"])
        self.log, self.best_loss = numbers["log"], numbers["best_loss"]
        self.schedule.restore(numbers["schedule"])


def _copy(model: Autoencoder) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def geometric_median(cells: Tensor, *, n_iterations: int = 50) -> Tensor:
    """Find the point with the least sum of distances to the cells, by Weiszfeld's iteration."""
    centre = cells.mean(0)
    for _ in range(n_iterations):
        weight = 1 / (cells - centre).norm(dim=1).clamp_min(1e-6)
        centre = (weight[:, None] * cells).sum(0) / weight.sum()
    return centre
