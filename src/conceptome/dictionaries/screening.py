"""A product in bfloat16 that says for certain which concepts may be the strongest, and which cannot.

The rounded product differs from the exact one by at most ``|x - x'| |w| + |x'| |w - w'|`` (Cauchy and
Schwarz; x' and w' are rounded), by what its own sums and the bias are rounded, and by the rounding of the
result. What lies below the k-th largest by more than twice that is not among the k strongest.
"""

from __future__ import annotations

import numpy as np
import torch

from conceptome.dictionaries.kernels import Array, compiled
from conceptome.dictionaries.strongest import ROUNDING

EXPONENT_AND_SIGN = np.uint32(0xFFFF0000)


def has_bfloat16() -> bool:
    """Tell whether the processor multiplies in bfloat16; without that it is slower than float32."""
    if not hasattr(torch.cpu, "get_capabilities"):  # older versions of PyTorch cannot tell
        return False
    found = torch.cpu.get_capabilities()
    return any(bool(found.get(name)) for name in ("amx_bf16", "avx512_bf16"))


def round_rows(rows: Array, bits: Array) -> Array:
    """Round rows to bfloat16.

    Parameters
    ----------
    rows
        float32, ``(n_rows, d_embed)``.
    bits
        Of the same shape, int16, written: bfloat16, to the nearest.

    Returns
    -------
    Squared length of each row, and of what rounding took from it, ``(n_rows, 2)``.
    """
    squares = np.empty((len(rows), 2), np.float32)
    _round(rows, rows.view(np.uint32), bits, squares)
    return squares


def error_bound(of_cells: Array, of_weights: Array, bias: Array, d_embed: int) -> Array:
    """Bound the error of a rounded product before its result is rounded.

    Parameters
    ----------
    of_cells
        What `round_rows` returns of cells.
    of_weights
        The largest of what it returns of the encoder's weights, ``(2,)``.
    bias
        The encoder's.
    d_embed
        Terms of each sum.

    Returns
    -------
    One bound per cell, for all concepts.
    """
    x, dx = np.sqrt(of_cells.T)
    w, dw = np.sqrt(of_weights)
    summed = 2 * d_embed * 2.0**-24 * (x + dx) * (w + dw)  # of the product's sums, and of the score's
    biased = 2 * ROUNDING * np.abs(bias).max()
    bound: Array = 1.001 * (dx * w + (x + dx) * dw + summed + biased)  # the squares are rounded too
    return bound


@compiled
def _round(rows: Array, words: Array, bits: Array, squares: Array) -> None:
    for i in range(len(rows)):
        length, lost = np.float32(0), np.float32(0)
        for d in range(rows.shape[1]):
            word = words[i, d]
            up = np.uint32(0x7FFF) + ((word >> np.uint32(16)) & np.uint32(1))
            rounded = np.uint32(np.uint32(word + up) & EXPONENT_AND_SIGN)
            difference = rows[i, d] - rounded.view(np.float32)
            bits[i, d] = np.int16(rounded >> np.uint32(16))
            length += rows[i, d] * rows[i, d]
            lost += difference * difference
        squares[i, 0], squares[i, 1] = length, lost
