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
    """Draw cells equally from the quintiles of activation, or take the strongest.

    Parameters
    ----------
    cells
        The cells that activate the concept, in an order that does not depend on how the data is sorted.
    activation
        Their activations, > 0.
    n_cells
        How many to draw; all cells when there are no more than this.
    sampling
        ``"stratified"`` goes round the five quintiles, a random cell from each in turn; ``"top"`` takes the
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
    strata = [rng.permutation(stratum) for stratum in np.array_split(strongest_first, N_STRATA)]
    turn = np.concatenate([np.arange(len(stratum)) for stratum in strata])
    round_robin = np.argsort(turn, kind="stable")
    drawn = np.concatenate(strata)[round_robin[:n_cells]]
    return np.asarray(cells[drawn])
