"""Dead concepts get a new start at cells that are badly reconstructed."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from conceptome.dictionaries.autoencoder import Autoencoder

REVIVED_NORM = 0.5  # of a living concept's encoder; longer ones push others out and die again


@torch.no_grad()
def revive(
    model: Autoencoder,
    average: Autoencoder,
    optimiser: torch.optim.Adam,
    dead: Tensor,
    *,
    cells: Tensor,
    generator: torch.Generator,
) -> None:
    """Point dead concepts at residuals of badly reconstructed cells.

    Cells are drawn by the length of their residual, not its square: squares draw the same few outliers
    again and again, and concepts that share them die again.

    Parameters
    ----------
    model
        The autoencoder, changed.
    average
        Its running average, changed likewise; may be the same.
    optimiser
        Its moments of these concepts become 0.
    dead
        Mask of the concepts.
    cells
        Scaled cells to choose from.
    generator
        Draws them.
    """
    residual = cells - model(cells).x_hat
    weight = residual.norm(dim=1).cpu()
    rows = torch.multinomial(weight, int(dead.sum()), replacement=True, generator=generator)
    directions = normalize(residual[rows.to(residual.device)], dim=1)
    norm = model.w_enc[~dead].norm(dim=1).mean() if (~dead).any() else residual.new_ones(())
    model.directions[dead] = directions
    model.w_enc[dead] = REVIVED_NORM * norm * directions
    model.b_enc[dead] = 0
    model.rule.revive(dead)
    averages = dict(average.named_parameters())
    for name, parameter in model.named_parameters():
        if name == "b_dec":
            continue
        averages[name][dead] = parameter[dead]
        for moment in ("exp_avg", "exp_avg_sq"):
            optimiser.state[parameter][moment][dead] = 0
