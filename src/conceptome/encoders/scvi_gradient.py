"""Gradients of scVI's posterior mean, by hand and in float64."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from conceptome.core import map_blocks
from conceptome.encoders.scvi_network import Posterior, Stack, layer_normalised

PRODUCT_ROWS = 64
"""Rows in a block of the product with all genes; small, because that product is the longest."""


def mean_and_gradient(
    posterior: Posterior,
    first: Float[np.ndarray, "rows hidden"],
    codes: Float[np.ndarray, "rows codes"],
    cotangent: Float[np.ndarray, " latent"],
) -> tuple[Float[np.ndarray, "rows latent"], Float[np.ndarray, "rows model_genes"]]:
    """Compute the posterior mean and the derivative of its product with a vector by every gene's input.

    Parameters
    ----------
    posterior
        The network.
    first
        First pre-activation.
    codes
        Covariates of each row.
    cotangent
        What the mean is multiplied with.

    Returns
    -------
    mean
        What ``posterior.mean`` gives.
    gradient
        Derivative of ``cotangent @ mean`` by the transformed counts.
    """
    stack, head = posterior.stack, posterior.head
    back = head.weight @ cotangent
    n_codes = codes.shape[1]

    def block(rows: Float[np.ndarray, "block columns"]) -> Float[np.ndarray, "block outputs"]:
        inputs = _inputs(stack, rows[:, n_codes:], rows[:, :n_codes])
        mean = head(stack.activate(inputs[-1]))
        slope = np.broadcast_to(back, inputs[-1].shape)
        for layer, hidden in zip(reversed(stack.layers[1:]), reversed(inputs[1:]), strict=True):
            slope = _back_through(stack, hidden, slope) @ layer.weight.T
        return np.hstack([mean, _back_through(stack, inputs[0], slope)])

    result = map_blocks(block, np.hstack([codes, first]))
    mean, slope = np.split(result, [len(cotangent)], axis=1)
    by_gene = posterior.by_gene.T
    return mean, map_blocks(lambda rows: rows @ by_gene, slope, block_rows=PRODUCT_ROWS)


def _inputs(
    stack: Stack, first: Float[np.ndarray, "rows hidden"], codes: Float[np.ndarray, "rows codes"]
) -> list[Float[np.ndarray, "rows hidden"]]:
    """Return the pre-activation of every layer."""
    inputs = [first]
    for layer in stack.layers[1:]:
        inputs.append(stack.activate(inputs[-1]) @ layer.weight + codes @ layer.codes + layer.bias)
    return inputs


def _back_through(
    stack: Stack, hidden: Float[np.ndarray, "rows hidden"], slope: Float[np.ndarray, "rows hidden"]
) -> Float[np.ndarray, "rows hidden"]:
    """Turn the derivative by what `Stack.activate` returns into that by what it reads."""
    if not stack.layer_norm:
        return np.where(hidden > 0, slope, 0.0)
    normalised, deviation = layer_normalised(hidden)
    slope = np.where(normalised > 0, slope, 0.0)
    along_row = (slope * normalised).mean(axis=1, keepdims=True)
    centred = slope - slope.mean(axis=1, keepdims=True) - normalised * along_row
    return np.asarray(centred / deviation)
