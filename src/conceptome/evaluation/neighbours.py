"""Neighbours of a cell: how far labels, and the neighbourhood itself, survive in a representation."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

N_NEIGHBOURS = 15


def nearest(
    reference: Float[np.ndarray, "cells features"],
    queries: Float[np.ndarray, "queries features"],
    *,
    n_neighbours: int,
) -> tuple[Float[np.ndarray, "queries neighbours"], Int[np.ndarray, "queries neighbours"]]:
    """Find the nearest cells, exactly.

    Parameters
    ----------
    reference
        Cells that may be neighbours.
    queries
        Cells whose neighbours are asked for.
    n_neighbours
        How many; all where there are fewer.

    Returns
    -------
    distances
        Euclidean, ascending.
    rows
        Of `reference`.
    """
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=min(n_neighbours, len(reference)), algorithm="brute").fit(reference)
    distances, rows = model.kneighbors(queries)
    return np.asarray(distances, dtype=np.float64), rows


def label_neighbours(
    features: Float[np.ndarray, "cells features"],
    labels: np.ndarray,
    *,
    test: Bool[np.ndarray, " cells"],
    n_neighbours: int = N_NEIGHBOURS,
) -> tuple[float, float]:
    """Tell the labels of test cells by their nearest other cells, all of which are training cells.

    Parameters
    ----------
    features
        Representation of each cell.
    labels
        Label of each cell, strings.
    test
        True for test cells. With whole donors among them, neighbours are of other donors.
    n_neighbours
        Neighbours of a cell.

    Returns
    -------
    accuracy
        Share of test cells whose label is the most frequent one among their neighbours (of equally frequent
        ones the first by name).
    purity
        Mean share of neighbours with the label of the test cell.
    """
    names, codes = np.unique(labels, return_inverse=True)
    _, rows = nearest(features[~test], features[test], n_neighbours=n_neighbours)
    found, true = codes[~test][rows], codes[test]
    votes = (found[:, :, None] == np.arange(len(names))).sum(axis=1)
    accuracy = (votes.argmax(axis=1) == true).mean()
    return float(accuracy), float((found == true[:, None]).mean())


def neighbours_kept(
    z: Float[np.ndarray, "cells d_embed"],
    features: Float[np.ndarray, "cells features"],
    *,
    n_neighbours: int = N_NEIGHBOURS,
) -> float:
    """Compute the share of each cell's nearest neighbours that are its nearest in another representation too.

    Parameters
    ----------
    z
        Embedding.
    features
        Another representation of the same cells.
    n_neighbours
        Neighbours of a cell.

    Returns
    -------
    The mean over cells; two unrelated representations reach n_neighbours / (n_cells - 1).
    """
    first, second = others(z, n_neighbours=n_neighbours)[1], others(features, n_neighbours=n_neighbours)[1]
    shared = (first[:, :, None] == second[:, None, :]).any(axis=2)
    return float(shared.mean())


def others(
    features: Float[np.ndarray, "cells features"], *, n_neighbours: int
) -> tuple[Float[np.ndarray, "cells neighbours"], Int[np.ndarray, "cells neighbours"]]:
    """Find the nearest cells of every cell, without the cell itself.

    Parameters
    ----------
    features
        Representation of each cell.
    n_neighbours
        How many.

    Returns
    -------
    distances, rows
        As `nearest`.
    """
    distances, rows = nearest(features, features, n_neighbours=n_neighbours + 1)
    own = rows == np.arange(len(rows))[:, None]
    own[~own.any(axis=1), -1] = True  # among identical cells it may not be in its own list
    keep = (len(rows), rows.shape[1] - 1)
    return distances[~own].reshape(keep), rows[~own].reshape(keep)
