"""How much of an embedding a reconstruction keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from conceptome.dictionaries.sources import LARGEST_BLOCK, Source

if TYPE_CHECKING:
    from conceptome.dictionaries.affine import AffineDictionary


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
    return _r2(*_squared_errors(z, z_hat, mean))


def _squared_errors(z: np.ndarray, z_hat: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum what is left and what there was over cells, per dimension."""
    residual: np.ndarray = np.square(z - z_hat, dtype=np.float64).sum(axis=0)
    total: np.ndarray = np.square(z - mean, dtype=np.float64).sum(axis=0)
    return residual, total


def _r2(residual: np.ndarray, total: np.ndarray) -> tuple[float, np.ndarray]:
    per_dimension = 1 - residual / np.where(total > 0, total, np.nan)
    return float(1 - residual.sum() / total.sum()), per_dimension


def measure_fidelity(
    dictionary: AffineDictionary, source: Source, heldout: Bool[np.ndarray, " cells"]
) -> dict[str, float]:
    """Measure a trained dictionary, block by block.

    Parameters
    ----------
    dictionary
        The dictionary.
    source
        All cells.
    heldout
        Those that training has not seen.

    Returns
    -------
    ``r2_heldout``; ``l0``, active concepts per cell of all cells; ``dead``, share of concepts never active;
    ``inactive_heldout``, the same on held-out cells.
    """
    n_active, errors = 0, np.zeros((2, source.d_embed))
    fires = np.zeros((2, dictionary.n_concepts), dtype=bool)
    for rows, block in source.blocks(LARGEST_BLOCK):
        unseen = heldout[rows]
        activations = dictionary.encode(block)
        n_active += activations.nnz
        fires[0, activations.indices] = True
        z, own = block[unseen], activations[unseen]
        fires[1, own.indices] = True
        errors += _squared_errors(z, dictionary.decode(own), dictionary.weights.mean)
    dead, inactive_heldout = 1 - fires.mean(axis=1)
    return {
        "r2_heldout": _r2(*errors)[0],
        "l0": n_active / source.n_cells,
        "dead": float(dead),
        "inactive_heldout": float(inactive_heldout),
    }
