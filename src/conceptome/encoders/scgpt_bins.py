"""Bins of scGPT: where a value stands among the quantiles of its cell."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from inspect import unwrap
from typing import Any, TypeVar, cast

import numpy as np
from jaxtyping import Float, Int, UInt64
from numba import njit

from conceptome.core import Csr

F = TypeVar("F", bound=Callable[..., Any])

N_EDGES = 50
"""Quantiles that bound the bins; the published pipeline fixes them whatever ``args.json`` says."""


def _compiled(function: F) -> F:
    """Compile as it is written: reordered sums would not equal numpy's quantiles to the bit."""
    plain = unwrap(function)  # without the checks of types that tests add
    return cast("F", njit(nogil=True, cache=True)(plain))


def bin_ranges(
    rows: Csr, among: Csr, of: Int[np.ndarray, " rows"]
) -> tuple[Float[np.ndarray, " stored"], Float[np.ndarray, " stored"]]:
    """Find the bins that values may fall into: 1 to 50, by quantiles of a cell's non-zero values [Cui24]_.

    Many genes share a value, and so many quantiles coincide that a value can span several bins; the original
    draws one of them at random.

    Parameters
    ----------
    rows
        Values to bin, none 0.
    among
        Cells, at least one value in each that is named.
    of
        For each of `rows` the cell whose quantiles bound the bins.

    Returns
    -------
    Lowest and highest bin of each stored value of `rows`.

    References
    ----------
    .. [Cui24] scGPT: toward building a foundation model for single-cell multi-omics using generative AI,
       Nature Methods 21, 1470.
    """
    low, high = np.empty(rows.nnz), np.empty(rows.nnz)
    values, others = (cells.data.astype(np.float32) for cells in (rows, among))
    _bin_ranges((values, rows.indptr), (others, among.indptr), of, np.linspace(0, 1, N_EDGES), low, high)
    return low, high


@_compiled
def _bin_ranges(  # noqa: PLR0917
    rows: tuple[np.ndarray, np.ndarray],
    among: tuple[np.ndarray, np.ndarray],
    of: np.ndarray,
    fractions: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> None:
    (values, starts), (others, cell_starts) = rows, among
    edges, last = np.empty(len(fractions)), -1
    for i in range(len(of)):
        if starts[i] == starts[i + 1]:
            continue
        if of[i] != last:
            last = of[i]
            ascending = np.sort(others[cell_starts[last] : cell_starts[last + 1]])
            top = len(ascending) - 1
            for j in range(len(fractions)):
                place = top * fractions[j]
                below = min(int(np.floor(place)), top)
                share = place - below
                one, other = ascending[below], ascending[min(below + 1, top)]
                step = np.float64(other - one)  # the difference is float32's
                edges[j] = one + step * share if share < 0.5 else other - step * (1 - share)
        for at in range(starts[i], starts[i + 1]):
            upto = np.searchsorted(edges, np.float64(values[at]), side="right")
            before = np.searchsorted(edges, np.float64(values[at]), side="left")
            high[at] = max(upto, 1)
            low[at] = min(before + 1, max(upto, 1))


def drawn_bins(
    low: Float[np.ndarray, " genes"], high: Float[np.ndarray, " genes"], u: Float[np.ndarray, " genes"]
) -> Float[np.ndarray, " genes"]:
    """Choose one of the bins that each value may fall into, as the original does.

    Parameters
    ----------
    low, high
        Lowest and highest bin of each value.
    u
        Uniform draws in [0, 1).

    Returns
    -------
    Bins.
    """
    return np.asarray(np.ceil(high - u * (high - low + 1)))


def draws(seed: int, name: str, tokens: Int[np.ndarray, " genes"]) -> Float[np.ndarray, " genes"]:
    """Draw a number in [0, 1) for each gene of a cell, the same whenever that gene of that cell is asked for.

    Parameters
    ----------
    seed
        Seed.
    name
        Id of the cell.
    tokens
        Tokens of the genes.

    Returns
    -------
    Numbers that depend on seed, cell and gene alone, uniform over genes and cells.
    """
    start = blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    state = np.frombuffer(start, dtype=np.uint64) + tokens.astype(np.uint64)
    return np.asarray((_mix(state) >> np.uint64(11)).astype(np.float64) / 2.0**53)


def _mix(state: UInt64[np.ndarray, " genes"]) -> UInt64[np.ndarray, " genes"]:
    """Scramble bits by the splitmix64 finaliser (Steele 2014, doi 10.1145/2660193.2660195)."""
    state = state * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)))
