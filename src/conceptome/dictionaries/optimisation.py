"""Gradient descent for autoencoders of any family: the one training loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import replace
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from conceptome.core import InputError
from conceptome.dictionaries.autoencoder import Autoencoder
from conceptome.dictionaries.checkpoint import Journal
from conceptome.dictionaries.options import Recipe, TrainingOptions
from conceptome.dictionaries.revival import revive
from conceptome.dictionaries.rounds import Rounds
from conceptome.dictionaries.rules import TopKRule
from conceptome.dictionaries.schedule import Schedule
from conceptome.dictionaries.sparse_steps import SparseSteps, one_thread
from conceptome.dictionaries.starts import CELLS_OR_AXES, SAMPLED_CELLS, first_directions, pilot
from conceptome.dictionaries.steps import AutogradSteps, Measured, Steps

MEASURED_CELLS = 4096  # at a time
EMA_START = 9  # steps after which the average remembers half of what it was


class Learned(NamedTuple):
    """What came out of a training."""

    maps: dict[str, np.ndarray]
    """``w_enc, b_enc, directions, b_dec`` and the rule's own, of the best round."""
    log: list[dict[str, float]]
    """Per round, which is a pass over the cells where these are few: ``epoch``, the passes done so far;
    ``fvu`` and ``l0`` on validation cells, ``dead`` share, ``lr``."""
    axes: float
    """Share of the concepts that started as principal axes."""


def optimise(
    rounds: Rounds,
    validation: Float[np.ndarray, "validation_cells d_embed"],
    options: TrainingOptions[Any],
    *,
    seed: int,
    progress: bool,
    journal: Journal | None = None,
) -> Learned:
    """Fit an autoencoder to scaled embeddings.

    Parameters
    ----------
    rounds
        Scaled cells to learn from.
    validation
        Scaled cells that decide when the learning rate falls and which round is kept.
    options
        Of the family, resolved.
    seed
        Decides the initialisation and what dead concepts become.
    progress
        Whether to show a progress bar.
    journal
        Where training is written down, and continued from.

    Returns
    -------
    `Learned`.

    Raises
    ------
    InputError
        If the loss is no longer finite.
    CheckpointError
        If the journal cannot be read or tells of another training.
    """
    unseen = torch.from_numpy(validation).to(rounds.device)
    shares = CELLS_OR_AXES if options.axes is None else (options.axes,)
    with one_thread():
        candidates = [
            Training(rounds, replace(options, axes=share), torch.Generator().manual_seed(seed))
            for share in shares
        ]
    training = candidates[0]
    if journal and (entry := journal.read()):
        training.restore(*entry)
    elif len(candidates) > 1:
        training = pilot(candidates, unseen)
        if journal:
            journal.write(*training.state())
    bar = tqdm(
        total=training.n_rounds,
        initial=len(training.log),
        desc="Dictionary",
        unit=rounds.unit,
        disable=None if progress else True,
    )
    with bar, training.threads():
        while not training.finished:
            training.round()
            training.judge(unseen)
            bar.update()
            told = {name: f"{value:.3g}" for name, value in training.log[-1].items() if name != "epoch"}
            bar.set_postfix(told)
            if journal and journal.due(len(training.log), finished=training.finished):
                journal.write(*training.state())
    maps = {name: tensor.cpu().numpy() for name, tensor in training.best.items()}
    return Learned(maps, training.log, training.axes)


class Training:
    """An autoencoder in training: all that the next round depends on.

    Parameters
    ----------
    rounds
        Scaled cells to learn from.
    options
        Of the family, resolved.
    generator
        Draws initial directions and cells for dead concepts.
    """

    def __init__(self, rounds: Rounds, options: TrainingOptions[Any], generator: torch.Generator) -> None:
        self.rounds, self.options, self.generator = rounds, options, generator
        self.recipe = Recipe.of(options)
        self.n_rounds = self.recipe.max_epochs * rounds.per_pass
        self.axes = self.recipe.axes or 0.0
        cells = rounds.shuffled(0)
        self.model = Autoencoder(*first_directions(cells, self.recipe, generator), options.rule())
        self.model.rule.prepare(self._preactivations(self.model, cells))
        self.average = deepcopy(self.model) if self.recipe.ema else self.model
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=self.recipe.lr)
        self.centre = cells.mean(0)
        self.variance = float((cells - self.centre).square().sum(1).mean())
        self.steps = self._steps()
        self.schedule = Schedule(self.recipe, n_cells=rounds.n_cells, rounds_per_pass=rounds.per_pass)
        self.silent = torch.zeros(self.recipe.n_concepts, device=cells.device)
        self.best, self.best_loss = _copy(self.average), float("inf")
        self.log: list[dict[str, float]] = []

    def _steps(self) -> Steps:
        rule = self.model.rule
        plain = type(self.options).penalty is TrainingOptions.penalty
        if type(rule) is TopKRule and plain and self.rounds.device == "cpu":
            return SparseSteps(self.model, self.optimiser, self.recipe, k=rule.k, variance=self.variance)
        return AutogradSteps(self.model, self.optimiser, self.options, variance=self.variance)

    def threads(self) -> AbstractContextManager[Any]:
        """Have the threads, for as long as rounds are learned, that steps share their work among."""
        return self.steps if isinstance(self.steps, SparseSteps) else nullcontext()

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to learn."""
        return self.schedule.exhausted or len(self.log) >= self.n_rounds

    def round(self) -> None:
        """Learn from a round of cells, then re-initialise dead concepts and calibrate the rule."""
        cells = self.rounds.shuffled(len(self.log))
        for x in torch.split(cells, self.recipe.batch_size):
            self._step(x)
        dead = self.silent > self.recipe.dead_after
        if self.recipe.resample and not self.schedule.settling and dead.any():
            revive(
                self.model,
                self.average,
                self.optimiser,
                dead,
                cells=cells[-SAMPLED_CELLS:],
                generator=self.generator,
            )
            self.silent[dead] = 0
        for model in {id(model): model for model in (self.model, self.average)}.values():
            model.rule.calibrate(self._preactivations(model, cells))

    def judge(self, unseen: Tensor) -> None:
        """Measure on validation cells, keep the best round, lower the learning rate on a plateau."""
        state, loss = self._measure(unseen)
        self.log.append(state)
        if not isfinite(loss):
            msg = (
                f"Training diverged: the loss is {loss} after {self.rounds.unit} {len(self.log)}. "
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

    def _preactivations(self, model: Autoencoder, cells: Tensor) -> Iterator[Tensor]:
        for x in torch.split(cells[:SAMPLED_CELLS], self.recipe.batch_size):
            yield model.preactivations(x).detach()

    def _step(self, x: Tensor) -> None:
        dead = self.silent > self.recipe.dead_after
        helped = bool(self.recipe.aux_weight) and bool(dead.any())
        fired = self.steps.take(x, lr=self.schedule.next_lr(), dead=dead if helped else None)
        if self.recipe.ema:
            self._average()
        self.silent += len(x)
        self.silent[fired] = 0

    @torch.no_grad()
    def _average(self) -> None:
        """Move the average towards the weights; in the beginning, when these change most, by more."""
        n_steps = self.schedule.n_steps
        memory = min(self.recipe.ema, n_steps / (n_steps + EMA_START))
        for mean, current in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(current, 1 - memory)
        self.average.normalise()

    def _measure(self, x: Tensor) -> tuple[dict[str, float], float]:
        """Compute what the log tells of a round, with FVU and L0 of cells; and the loss."""
        parts = [self.steps.measure(self.average, part) for part in torch.split(x, MEASURED_CELLS)]
        found = Measured(*(sum(numbers) for numbers in zip(*parts, strict=True)))
        fvu = found.squared_error / float((x - self.centre).square().sum())
        state = {
            "epoch": (len(self.log) + 1) / self.rounds.per_pass,
            "fvu": fvu,
            "l0": found.n_active / len(x),
            "dead": float((self.silent > self.recipe.dead_after).float().mean()),
            "lr": self.optimiser.param_groups[0]["lr"],
        }
        return state, fvu + found.penalty / len(x)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and numbers from which `restore` continues to the bit."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        if self.recipe.ema:
            tensors |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": tensor for name, tensor in moments.items()}
        tensors |= {"silent": self.silent, "generator": self.generator.get_state()}
        numbers = {"log": self.log, "best_loss": self.best_loss, "axes": self.axes}
        return tensors, {**numbers, "schedule": self.schedule.state()}

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Continue from what `state` returned."""

        def part(name: str) -> dict[str, Tensor]:
            start = f"{name}."
            return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}

        device = self.rounds.device
        self.model.load_state_dict(part("model"))
        self.average.load_state_dict(part("average" if self.recipe.ema else "model"))
        self.best = {name: tensor.to(device) for name, tensor in part("best").items()}
        adam = self.optimiser.state_dict()
        adam["state"] = {index: part(f"adam.{index}") for index in adam["param_groups"][0]["params"]}
        self.optimiser.load_state_dict(adam)
        self.silent = tensors["silent"].to(device)
        self.generator.set_state(tensors["generator"])
        self.log, self.best_loss, self.axes = numbers["log"], numbers["best_loss"], numbers["axes"]
        self.schedule.restore(numbers["schedule"])


def _copy(model: Autoencoder) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
