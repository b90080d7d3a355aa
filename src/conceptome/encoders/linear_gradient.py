"""Derivatives of a linear map of normalised counts, normalisation by the cell's total included."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from conceptome.encoders.linear_fit import LinearOptions


def normalised_slope(
    values: Float[np.ndarray, "rows genes"], weight: Float[np.ndarray, " genes"], options: LinearOptions
) -> Float[np.ndarray, "rows genes"]:
    """Compute the derivative of ``weight @ y`` by what an edit changes.

    With y = log(1 + s x) and s = target_sum / sum(x), a count moves its own y and, through s, every other:
    d(weight @ y) / dx_g = s (c_g - sum_h c_h x_h / sum(x)), where c_g = weight_g / (1 + s x_g).

    Parameters
    ----------
    values
        x: counts, or values that are normalised already where those are edited.
    weight
        Weight of each gene's normalised value.
    options
        How x is normalised.

    Returns
    -------
    The derivative by every gene of every row.
    """
    if options.edit == "normalised":
        return np.broadcast_to(weight, values.shape)
    total = values.sum(axis=1, keepdims=True)
    scale = np.ones_like(total) if options.target_sum is None else options.target_sum / total
    slope = weight / (1 + scale * values) if options.log1p else np.broadcast_to(weight, values.shape)
    if options.target_sum is None:
        return np.asarray(slope)
    through_total = (slope * values).sum(axis=1, keepdims=True) / total
    return np.asarray(scale * (slope - through_total))
