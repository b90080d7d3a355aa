"""Fidelity of a dictionary: what the reconstruction keeps, and how many concepts it uses."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from conceptome.core import Csr, Dictionary
from conceptome.dictionaries import explained_variance


def measure_fidelity(
    dictionary: Dictionary,
    z: Float[np.ndarray, "cells d_embed"],
    *,
    activations: Csr,
    heldout: Bool[np.ndarray, " cells"],
) -> dict[str, float]:
    """Measure R2, L0 and silent concepts.

    Parameters
    ----------
    dictionary
        The dictionary.
    z
        Embedding of every cell, original units.
    activations
        Of the same cells.
    heldout
        Cells that the dictionary was not trained on; R2 is measured on these, against the mean of the others.

    Returns
    -------
    ``r2``, ``r2_dimension_min`` and ``r2_dimension_median`` over the dimensions of the embedding, ``l0``
    (mean number of active units per cell), ``dead`` (share of units never active), ``inactive_heldout`` (the
    same on held-out cells) and ``n_units``.
    """
    mean = z[~heldout].mean(axis=0, dtype=np.float64)
    held = activations[np.flatnonzero(heldout)]
    r2, per_dimension = explained_variance(z[heldout], dictionary.decode(held), mean=mean)
    return {
        "r2": r2,
        "r2_dimension_min": float(np.nanmin(per_dimension)),
        "r2_dimension_median": float(np.nanmedian(per_dimension)),
        "l0": float((activations.data > 0).sum() / activations.shape[0]),
        "dead": _silent(activations),
        "inactive_heldout": _silent(held),
        "n_units": float(activations.shape[1]),
    }


def _silent(activations: Csr) -> float:
    fired = np.bincount(activations.indices[activations.data > 0], minlength=activations.shape[1]) > 0
    return float(1 - fired.mean())
