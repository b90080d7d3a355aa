"""The scaled embedding in which dictionaries work: centred, mean squared norm d_embed."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from conceptome.core import InputError


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
        If all cells have the same embedding.
    """
    mean = values.mean(axis=0, dtype=np.float64)
    squared_norm = float(((values - mean) ** 2).sum(axis=1).mean())
    rounding = float(np.finfo(np.float32).eps) ** 2 * float(mean @ mean)
    if squared_norm <= rounding:
        msg = (
            f"All {len(values)} training cells have the same embedding, so there is nothing to learn. "
            "Check that the encoder reads the genes of these data."
        )
        raise InputError(msg)
    return mean, float(np.sqrt(values.shape[1] / squared_norm))
