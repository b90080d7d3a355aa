"""How well batches mix: the inverse Simpson index of a cell's neighbourhood."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from conceptome.evaluation.neighbours import others

N_NEIGHBOURS = 90
PERPLEXITY = 30.0
TOLERANCE = 1e-5
MAX_HALVINGS = 50


def ilisi(features: Float[np.ndarray, "cells features"], batches: np.ndarray) -> float:
    """Compute the integration LISI [Korsunsky19]_, scaled as in [Luecken22]_.

    Parameters
    ----------
    features
        Representation of each cell.
    batches
        Batch of each cell, strings.

    Returns
    -------
    (median LISI - 1) / (number of batches - 1) over 90 nearest neighbours at a perplexity of 30: 0 = each
    cell is among its own batch, 1 = all batches are equally frequent around it (which batches of unequal size
    cannot reach). NaN for one batch.

    References
    ----------
    .. [Korsunsky19] Fast, sensitive and accurate integration of single-cell data with Harmony,
       Nature Methods 16:1289.
    .. [Luecken22] Benchmarking atlas-level data integration in single-cell genomics, Nature Methods 19:41.
    """
    names, codes = np.unique(batches, return_inverse=True)
    if len(names) < 2:
        return float("nan")
    distances, rows = others(features, n_neighbours=min(N_NEIGHBOURS, len(features) - 1))
    perplexity = min(PERPLEXITY, distances.shape[1] / 3)
    found = lisi(distances, codes[rows], n_labels=len(names), perplexity=perplexity)
    return float((np.median(found) - 1) / (len(names) - 1))


def lisi(
    distances: Float[np.ndarray, "cells neighbours"],
    labels: Int[np.ndarray, "cells neighbours"],
    *,
    n_labels: int,
    perplexity: float,
) -> Float[np.ndarray, " cells"]:
    """Compute the local inverse Simpson index: the effective number of labels around each cell.

    Neighbours weigh exp(-distance * b), b of each cell so that the perplexity is as given.

    Parameters
    ----------
    distances
        To the neighbours.
    labels
        Code of each neighbour's label, from 0.
    n_labels
        Number of labels.
    perplexity
        Effective number of neighbours.

    Returns
    -------
    Between 1 and `n_labels`.
    """
    weights = _weights(distances, perplexity)
    shares = np.stack([(weights * (labels == label)).sum(axis=1) for label in range(n_labels)], axis=1)
    return np.asarray(1 / (shares**2).sum(axis=1))


def _weights(distances: np.ndarray, perplexity: float) -> np.ndarray:
    """Search the width of each cell's kernel by doubling and halving, all cells at once."""
    n_cells = len(distances)
    b, least, most = np.ones(n_cells), np.zeros(n_cells), np.full(n_cells, np.inf)
    near = distances - distances[:, :1]  # a constant factor of the weights, so that none are all zero
    for _ in range(MAX_HALVINGS):
        weights = np.exp(-near * b[:, None])
        total = weights.sum(axis=1)
        excess = np.log(total) + b * (near * weights).sum(axis=1) / total - np.log(perplexity)
        if (np.abs(excess) < TOLERANCE).all():
            break
        open_ = np.abs(excess) >= TOLERANCE
        least = np.where(open_ & (excess > 0), b, least)
        most = np.where(open_ & (excess <= 0), b, most)
        b = np.where(open_, np.where(np.isinf(most), 2 * b, (least + most) / 2), b)
    return np.asarray(weights / total[:, None])
