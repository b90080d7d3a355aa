"""Where training starts: at cells, at principal axes, or at whichever of the two does better for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from conceptome.dictionaries.options import Recipe

if TYPE_CHECKING:
    from conceptome.dictionaries.optimisation import Training

SAMPLED_CELLS = 16_384
CELLS_OR_AXES = (0.0, 1.0)
"""The shares of axes between which `pilot` chooses."""
PILOT_STEPS = 128


def first_directions(cells: Tensor, recipe: Recipe, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Choose where concepts start.

    Parameters
    ----------
    cells
        Scaled cells in random order, ``(n_cells, d_embed)``.
    recipe
        Its `axes` is the share of concepts that start as principal axes, each beside its opposite; the others
        start as cells drawn at random.
    generator
        Draws them.

    Returns
    -------
    directions
        ``(n_concepts, d_embed)``, not of unit length.
    b_dec
        Geometric median of the cells.
    """
    b_dec = geometric_median(cells[:SAMPLED_CELLS])
    rows = torch.randint(len(cells), (recipe.n_concepts,), generator=generator)
    directions = cells[rows.to(cells.device)] - b_dec
    if n_axes := int((recipe.axes or 0) * recipe.n_concepts / 2):
        axes = principal_axes(cells[:SAMPLED_CELLS])[:n_axes]
        directions[: 2 * len(axes)] = torch.stack([axes, -axes], dim=1).flatten(0, 1)
    return directions, b_dec


def pilot(candidates: Sequence[Training], unseen: Tensor) -> Training:
    """Let trainings that differ in their start take some steps, and choose the one that does best.

    Parameters
    ----------
    candidates
        Trainings that have not begun.
    unseen
        Validation cells.

    Returns
    -------
    The one of lowest loss on validation cells, a round or a few along its way; of equals the first.
    """
    for training in candidates:
        with training.threads():
            while not training.finished and training.schedule.n_steps < PILOT_STEPS:
                training.round()
                training.judge(unseen)
    return min(candidates, key=lambda training: training.best_loss)


def geometric_median(cells: Tensor, *, n_iterations: int = 50) -> Tensor:
    """Find the point with the least sum of distances to the cells, by Weiszfeld's iteration."""
    centre = cells.mean(0)
    for _ in range(n_iterations):
        weight = 1 / (cells - centre).norm(dim=1).clamp_min(1e-6)
        centre = (weight[:, None] * cells).sum(0) / weight.sum()
    return centre


def principal_axes(cells: Tensor) -> Tensor:
    """Compute the principal axes of cells, ``(d_embed, d_embed)``, that of largest variance first."""
    centred = (cells - cells.mean(0)).double()
    _, axes = torch.linalg.eigh(centred.T @ centred)
    ordered: Tensor = axes.T.flip(0).to(cells.dtype)
    return ordered
