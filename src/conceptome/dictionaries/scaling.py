"""The scaled embedding in which dictionaries work: centred, mean squared norm d_embed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from conceptome.core import InputError


@dataclass(frozen=True, eq=False)
class Scaling:
    """Scaled embedding = (embedding - mean) * scale."""

    mean: Float[np.ndarray, " d_embed"]
    """Float64."""
    scale: float

    @classmethod
    def of(cls, mean: Float[np.ndarray, " d_embed"], variance: float, *, n_cells: int) -> Scaling:
        """Bring cells to mean squared norm d_embed.

        Parameters
        ----------
        mean
            Of the training cells, float64.
        variance
            Their mean squared distance from it, all coordinates together.
        n_cells
            How many there are.

        Returns
        -------
        The scaling.

        Raises
        ------
        InputError
            If all cells have the same embedding.
        """
        rounding = float(np.finfo(np.float32).eps) ** 2 * float(mean @ mean)
        if not variance > rounding:
            msg = (
                f"All {n_cells} training cells have the same embedding, so there is nothing to learn. "
                "Check that the encoder reads the genes of these data."
            )
            raise InputError(msg)
        return cls(mean, float(np.sqrt(len(mean) / variance)))

    def __call__(self, values: Float[np.ndarray, "cells d_embed"]) -> Float[np.ndarray, "cells d_embed"]:
        """Scale cells, to float32."""
        scaled: np.ndarray = ((values - self.mean) * self.scale).astype(np.float32)
        return scaled


def center_and_scale(
    values: Float[np.ndarray, "cells d_embed"],
) -> tuple[Float[np.ndarray, " d_embed"], float]:
    """Compute the mean and the one scalar that bring cells to mean squared norm d_embed.

    Parameters
    ----------
    values
        Embeddings of the training cells.

    Returns
    -------
    mean
        Per dimension, float64.
    scale
        Scaled embedding = (embedding - mean) * scale.

    Raises
    ------
    InputError
        If there are no cells, or all have the same embedding.
    """
    if not len(values):
        msg = "There are no cells to fit a dictionary to. Give the embeddings of some."
        raise InputError(msg)
    mean = values.mean(axis=0, dtype=np.float64)
    variance = float(((values - mean) ** 2).sum(axis=1).mean())
    return mean, Scaling.of(mean, variance, n_cells=len(values)).scale
