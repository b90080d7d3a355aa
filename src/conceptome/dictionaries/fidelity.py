"""How much of an embedding a reconstruction keeps."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def explained_variance(
    z: Float[np.ndarray, "cells d_embed"],
    z_hat: Float[np.ndarray, "cells d_embed"],
    *,
    mean: Float[np.ndarray, " d_embed"],
) -> tuple[float, Float[np.ndarray, " d_embed"]]:
    """Compute R2 = 1 - sum||z - z_hat||^2 / sum||z - mean||^2.

    Parameters
    ----------
    z, z_hat
        Embedding and reconstruction in original units.
    mean
        Mean of the training cells: what a model without concepts would answer.

    Returns
    -------
    r2
        Over all dimensions; 1 = exact, 0 = no better than the mean.
    r2_per_dimension
        The same for every dimension; NaN where the embedding does not vary.
    """
    residual = np.sum((z - z_hat) ** 2, axis=0, dtype=np.float64)
    total = np.sum((z - mean) ** 2, axis=0, dtype=np.float64)
    per_dimension = 1 - residual / np.where(total > 0, total, np.nan)
    return float(1 - residual.sum() / total.sum()), per_dimension
