"""Cells in two dimensions, as the model sees them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from conceptome.core import Embeddings

MAX_LAYOUT_CELLS = 50_000


def umap_layout(embeddings: Embeddings, *, seed: int = 0) -> Float[np.ndarray, "cells 2"]:
    """Compute a UMAP of embeddings; beyond 50,000 cells of a random sample, NaN for the others.

    Parameters
    ----------
    embeddings
        The embeddings.
    seed
        Seed of the sample and of UMAP.

    Returns
    -------
    Coordinates, ``(n_cells, 2)``, float64.
    """
    import torch
    from umap import UMAP

    n_threads = torch.get_num_threads()  # numba resets what OpenMP shares, and other threads round otherwise
    n_cells = len(embeddings.cell_ids)
    shown = np.arange(n_cells)
    if n_cells > MAX_LAYOUT_CELLS:
        shown = np.sort(np.random.default_rng(seed).choice(n_cells, MAX_LAYOUT_CELLS, replace=False))
    coordinates = np.full((n_cells, 2), np.nan)
    model = UMAP(n_neighbors=min(15, len(shown) - 1), min_dist=0.4, random_state=seed, n_jobs=1)
    coordinates[shown] = model.fit_transform(embeddings.values[shown])
    torch.set_num_threads(n_threads)
    return coordinates
