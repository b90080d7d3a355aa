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
    """Compile; sums may be reordered, which lets the processor add several numbers at once.

    Whatever calls a compiled function takes its code in: left apart, it would be compiled once more for the
    cache, in another order of sums, and two processes would not round alike.
    """
    flags = {"reassoc", "contract", "nsz"}
    plain = unwrap(function)  # without the checks of types that tests add
    decorate = njit(nogil=True, cache=True, forceinline=True, error_model="numpy", fastmath=flags)
    return cast("F", decorate(plain))


@compiled
def dot(one: Array, other: Array) -> np.float32:
    """Compute the inner product of two vectors."""
    along = np.float32(0)
    for d in range(len(one)):
        along += one[d] * other[d]
    return along


@compiled
def reconstruct(cells: Array, active: Arrays, decoder: Arrays, residual: Array) -> np.float64:
    """Subtract cells from their reconstruction.

    Parameters
    ----------
    cells
        ``(n_rows, d_embed)``.
    active
        ``indices, values``: active concepts and their activations, ``(n_rows, k)``.
    decoder
        ``directions, b_dec``.
    residual
        ``(n_rows, d_embed)``, written: reconstruction minus cell.

    Returns
    -------
    Sum of squares of the residual.
    """
    (indices, values), (directions, b_dec) = active, decoder
    n_rows, k = indices.shape
    total = np.float64(0)
    for i in range(n_rows):
        own, cell, which, value = residual[i], cells[i], indices[i], values[i]
        for d in range(len(own)):
            own[d] = b_dec[d] - cell[d]
        in_fours = k - k % 4
        for at in range(0, in_fours, 4):  # a sum is loaded and stored once for four
            a, b = directions[which[at]], directions[which[at + 1]]
            c, e = directions[which[at + 2]], directions[which[at + 3]]
            for d in range(len(own)):
                first = value[at] * a[d] + value[at + 1] * b[d]
                own[d] += first + (value[at + 2] * c[d] + value[at + 3] * e[d])
        for at in range(in_fours, k):
            direction = directions[which[at]]
            for d in range(len(own)):
                own[d] += value[at] * direction[d]
        total += dot(own, own)
    return total


@compiled
def group_by_concept(concepts: Array, kept: Array, starts: Array, entries: Array) -> None:
    """Sort entries by concept, keeping their order within each.

    Parameters
    ----------
    concepts
        ``(n_entries,)``.
    kept
        ``(n_entries,)``; the others are left out.
    starts
        ``(n_concepts + 1,)``, written: where the entries of a concept begin.
    entries
        ``(n_entries,)``, written: positions in `concepts`.
    """
    starts[:] = 0
    for at in range(len(concepts)):
        starts[concepts[at] + 1] += kept[at]
    for j in range(1, len(starts)):
        starts[j] += starts[j - 1]
    place = starts[:-1].copy()
    for at in range(len(concepts)):
        if kept[at]:
            entries[place[concepts[at]]] = at
            place[concepts[at]] += 1


@compiled
def adam(parameter: Array, gradient: Array, mean: Array, square: Array, rates: Rates) -> np.float32:
    """Move a vector by Adam, in place.

    Parameters
    ----------
    parameter, gradient, mean, square
        Vectors of one length; the moments are written too.
    rates
        ``beta1, beta2, epsilon, lr / (1 - beta1^t), 1 / sqrt(1 - beta2^t)``.

    Returns
    -------
    Sum of squares of the vector after the move.
    """
    beta1, beta2, epsilon, step, correction = rates
    new1, new2 = np.float32(1) - beta1, np.float32(1) - beta2
    length = np.float32(0)
    for d in range(len(parameter)):
        average = mean[d] + (gradient[d] - mean[d]) * new1
        spread = square[d] * beta2 + gradient[d] * gradient[d] * new2
        moved = parameter[d] - step * average / (np.sqrt(spread) * correction + epsilon)
        mean[d], square[d], parameter[d] = average, spread, moved
        length += moved * moved
    return length


@compiled
def update_concepts(  # noqa: PLR0917
    concepts: tuple[int, int],
    sums: tuple[Arrays, Arrays, Arrays],
    factor: np.float32,
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
        What gradients are made of. ``shifted, residual, values``: cells minus b_dec, reconstruction minus
        cell, activations. ``starts, entries`` of `group_by_concept`. ``place, to_directions, to_w_enc,
        to_b_enc``: further gradients; `place` says for each concept in which row of the others it stands,
        -1 = none.
    factor
        Gradient of the loss by the reconstruction = factor * residual.
    moved
        Of the decoder, the encoder and the encoder's bias: each the parameter and its two moments.
    rates
        See `adam`.
    to_b_dec
        ``(d_embed,)``; the encoder's share of the gradient by b_dec is added.
    """
    batch, (starts, entries), extra = sums
    extra_row, extra_directions, extra_w_enc, extra_b_enc = extra
    decoder, encoder, bias = moved
    d_embed = len(to_b_dec)
    to_direction, to_encoder = np.empty(d_embed, np.float32), np.empty(d_embed, np.float32)
    to_bias = np.empty(1, np.float32)
    for j in range(concepts[0], concepts[1]):
        direction, w_enc = decoder[0][j], encoder[0][j]
        to_direction[:] = 0
        to_encoder[:] = 0
        own = entries[starts[j] : starts[j + 1]]
        to_bias[0] = _collect(own, batch, factor, direction, (to_direction, to_encoder))
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
        length = adam(direction, to_direction, decoder[1][j], decoder[2][j], rates)
        shrink = np.float32(1) / np.sqrt(length)
        for d in range(d_embed):
            direction[d] *= shrink
        adam(w_enc, to_encoder, encoder[1][j], encoder[2][j], rates)
        adam(bias[0][j : j + 1], to_bias, bias[1][j : j + 1], bias[2][j : j + 1], rates)


@compiled
def _collect(
    entries: Array, batch: Arrays, factor: np.float32, direction: Array, to: tuple[Array, Array]
) -> np.float32:
    """Add up a concept's gradient over its entries; return that of its bias."""
    (shifted, residual, values), (to_direction, to_encoder) = batch, to
    k, n_entries = values.shape[1], len(entries)
    in_fours, to_bias = n_entries - n_entries % 4, np.float32(0)
    for at in range(0, in_fours, 4):  # sums are loaded and stored once for four
        p, q, r, s = entries[at], entries[at + 1], entries[at + 2], entries[at + 3]
        value_p, value_q = factor * values[p // k, p % k], factor * values[q // k, q % k]
        value_r, value_s = factor * values[r // k, r % k], factor * values[s // k, s % k]
        error_p, error_q = residual[p // k], residual[q // k]
        error_r, error_s = residual[r // k], residual[s // k]
        cell_p, cell_q, cell_r, cell_s = shifted[p // k], shifted[q // k], shifted[r // k], shifted[s // k]
        slope_p = slope_q = slope_r = slope_s = np.float32(0)
        for d in range(len(direction)):
            slope_p += error_p[d] * direction[d]
            slope_q += error_q[d] * direction[d]
            slope_r += error_r[d] * direction[d]
            slope_s += error_s[d] * direction[d]
        slope_p, slope_q = factor * slope_p, factor * slope_q
        slope_r, slope_s = factor * slope_r, factor * slope_s
        for d in range(len(direction)):
            first = value_p * error_p[d] + value_q * error_q[d]
            to_direction[d] += first + (value_r * error_r[d] + value_s * error_s[d])
        for d in range(len(direction)):
            first = slope_p * cell_p[d] + slope_q * cell_q[d]
            to_encoder[d] += first + (slope_r * cell_r[d] + slope_s * cell_s[d])
        to_bias += (slope_p + slope_q) + (slope_r + slope_s)
    for at in range(in_fours, n_entries):
        i = entries[at] // k
        error, cell, value = residual[i], shifted[i], factor * values[i, entries[at] % k]
        slope = factor * dot(error, direction)
        for d in range(len(direction)):
            to_direction[d] += value * error[d]
            to_encoder[d] += slope * cell[d]
        to_bias += slope
    return to_bias
