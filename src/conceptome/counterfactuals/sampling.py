"""Which of the cells that activate a concept become its factuals."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Int

Sampling: TypeAlias = Literal["stratified", "top"]
N_STRATA = 5


def draw_factuals(
    cells: Int[np.ndarray, " active"],
    activation: Float[np.ndarray, " active"],
    *,
    n_cells: int,
    sampling: Sampling,
    rng: np.random.Generator,
) -> Int[np.ndarray, " drawn"]:
    """Draw cells equally from five strata of equal total activation, or take the strongest.

    Quintiles by number of cells would fill four fifths of the draw with weak activations: a concept of a rare
    cell type would be described by the cells in which it merely flickers. Attribution is a ratio of sums, to
    which strata of equal total activation contribute alike.

    Parameters
    ----------
    cells
        The cells that activate the concept, in an order that does not depend on how the data is sorted.
    activation
        Their activations, > 0.
    n_cells
        How many to draw; all cells when there are no more than this.
    sampling
        ``"stratified"`` goes round the five strata, a random cell from each in turn; ``"top"`` takes the
        largest activations.
    rng
        Source of randomness.

    Returns
    -------
    The drawn cells, without repetition.
    """
    strongest_first = np.argsort(-activation, kind="stable")
    if sampling == "top":
        return cells[strongest_first[:n_cells]]
    strata = [rng.permutation(stratum) for stratum in _strata(strongest_first, activation)]
    turn = np.concatenate([np.arange(len(stratum)) for stratum in strata])
    round_robin = np.argsort(turn, kind="stable")
    drawn = np.concatenate(strata)[round_robin[:n_cells]]
    return np.asarray(cells[drawn])


def _strata(
    strongest_first: Int[np.ndarray, " active"], activation: Float[np.ndarray, " active"]
) -> list[Int[np.ndarray, " stratum"]]:
    total = np.cumsum(activation[strongest_first])
    bounds = np.searchsorted(total, total[-1] * np.arange(1, N_STRATA) / N_STRATA)
    return np.split(strongest_first, bounds)
