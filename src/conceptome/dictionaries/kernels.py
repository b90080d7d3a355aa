"""Compiled loops of sparse training: of a cell's n concepts only the k active ones are touched.

All release the interpreter's lock and work on a range of rows, so that threads share a batch; no result
depends on how the range was cut. Arrays are written in place.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from numba import njit

Array: TypeAlias = np.ndarray
Arrays: TypeAlias = tuple[np.ndarray, ...]
Rates: TypeAlias = tuple[np.float32, ...]

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile; sums may be reordered, which lets the processor add several numbers at once."""
    flags = {"reassoc", "contract", "nsz"}
    plain = unwrap(function)  # without the checks of types that tests add
    return cast("F", njit(nogil=True, cache=True, error_model="numpy", fastmath=flags)(plain))


@compiled
def dot(one: Array, other: Array) -> np.float32:
    """Compute the inner product of two vectors."""
    along = np.float32(0)
    for d in range(len(one)):
        along += one[d] * other[d]
    return along


@compiled
def reconstruct(
    cells: Array, active: Arrays, decoder: Arrays, factor: np.float32, found: Arrays
) -> np.float64:
    """Subtract cells from their reconstruction, and carry the difference back to active concepts.

    Both for one cell after the other, while the directions of its concepts are in the cache.

    Parameters
    ----------
    cells
        ``(n_rows, d_embed)``.
    active
        ``indices, values``: active concepts and their activations, ``(n_rows, k)``.
    decoder
        ``directions, b_dec``.
    factor
        Gradient by the reconstruction = factor * residual.
    found
        ``residual, gradient``, written: reconstruction minus cell, ``(n_rows, d_embed)``; the loss's gradient
        by the pre-activations of active concepts, ``(n_rows, k)``, 0 where the ReLU cut.

    Returns
    -------
    Sum of squares of the residual.
    """
    (indices, values), (directions, b_dec), (residual, gradient) = active, decoder, found
    n_rows, k = indices.shape
    total = np.float64(0)
    for i in range(n_rows):
        own, cell = residual[i], cells[i]
        for d in range(len(own)):
            own[d] = b_dec[d] - cell[d]
        for at in range(k):
            direction, value = directions[indices[i, at]], values[i, at]
            for d in range(len(own)):
                own[d] += value * direction[d]
        for at in range(k):
            gradient[i, at] = 0
            if values[i, at] > 0:
                gradient[i, at] = factor * dot(own, directions[indices[i, at]])
        total += dot(own, own)
    return total


@compiled
def group_by_concept(active: Arrays, starts: Array, entries: Array) -> None:
    """Sort the active entries by concept, keeping the order of cells.

    Parameters
    ----------
    active
        ``indices, values``: active concepts and their activations, ``(n_rows, k)``; entries of value 0
        are left out.
    starts
        ``(n_concepts + 1,)``, written: where the entries of a concept begin.
    entries
        ``(n_rows * k,)``, written: positions in the flattened arrays.
    """
    indices, values = active
    n_rows, k = indices.shape
    starts[:] = 0
    for i in range(n_rows):
        for at in range(k):
            if values[i, at] != 0:
                starts[indices[i, at] + 1] += 1
    for j in range(1, len(starts)):
        starts[j] += starts[j - 1]
    place = starts[:-1].copy()
    for i in range(n_rows):
        for at in range(k):
            if values[i, at] != 0:
                j = indices[i, at]
                entries[place[j]] = i * k + at
                place[j] += 1


@compiled
def adam(parameter: Array, gradient: Array, mean: Array, square: Array, rates: Rates) -> None:
    """Move a vector by Adam, in place.

    Parameters
    ----------
    parameter, gradient, mean, square
        Vectors of one length; the moments are written too.
    rates
        ``beta1, beta2, epsilon, lr / (1 - beta1^t), 1 / sqrt(1 - beta2^t)``.
    """
    beta1, beta2, epsilon, step, correction = rates
    for d in range(len(parameter)):
        mean[d] += (gradient[d] - mean[d]) * (1 - beta1)
        square[d] = square[d] * beta2 + gradient[d] * gradient[d] * (1 - beta2)
        parameter[d] -= step * mean[d] / (np.sqrt(square[d]) * correction + epsilon)


@compiled
def update_concepts(
    concepts: tuple[int, int],
    sums: tuple[Arrays, Arrays, Arrays],
    moved: tuple[Arrays, ...],
    rates: Rates,
    to_b_dec: Array,
) -> None:
    """Collect the gradient of each concept's rows and move them by Adam, while they are in the cache.

    The decoder's gradient loses its part along the direction, which is given unit length again.

    Parameters
    ----------
    concepts
        The first of a range, and the one after the last.
    sums
        What gradients are made of. ``shifted, residual, values, gradient``: cells minus b_dec, reconstruction
        minus cell, activations times the factor of `reconstruct`, and its gradient. ``starts, entries`` of
        `group_by_concept`. ``place, to_directions, to_w_enc, to_b_enc``: further gradients; `place` says for
        each concept in which row of the others it stands, -1 = none.
    moved
        Of the decoder, the encoder and the encoder's bias: each the parameter and its two moments.
    rates
        See `adam`.
    to_b_dec
        ``(d_embed,)``; the encoder's share of the gradient by b_dec is added.
    """
    (shifted, residual, values, gradient), (starts, entries), extra = sums
    extra_row, extra_directions, extra_w_enc, extra_b_enc = extra
    decoder, encoder, bias = moved
    k, d_embed = values.shape[1], shifted.shape[1]
    to_direction, to_encoder = np.empty(d_embed, np.float32), np.empty(d_embed, np.float32)
    to_bias = np.empty(1, np.float32)
    for j in range(concepts[0], concepts[1]):
        direction, w_enc = decoder[0][j], encoder[0][j]
        to_direction[:] = 0
        to_encoder[:] = 0
        to_bias[:] = 0
        for place in range(starts[j], starts[j + 1]):
            i, at = entries[place] // k, entries[place] % k
            value, slope = values[i, at], gradient[i, at]
            error, cell = residual[i], shifted[i]
            for d in range(d_embed):
                to_direction[d] += value * error[d]
                to_encoder[d] += slope * cell[d]
            to_bias[0] += slope
        for d in range(d_embed):
            to_b_dec[d] -= to_bias[0] * w_enc[d]
        at = extra_row[j]
        if at >= 0:
            to_direction += extra_directions[at]
            to_encoder += extra_w_enc[at]
            to_bias[0] += extra_b_enc[at]
        along = dot(to_direction, direction)
        for d in range(d_embed):
            to_direction[d] -= along * direction[d]
        adam(direction, to_direction, decoder[1][j], decoder[2][j], rates)
        adam(w_enc, to_encoder, encoder[1][j], encoder[2][j], rates)
        adam(bias[0][j : j + 1], to_bias, bias[1][j : j + 1], bias[2][j : j + 1], rates)
        length = np.sqrt(dot(direction, direction))
        for d in range(d_embed):
            direction[d] /= length
