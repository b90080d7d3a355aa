"""Which cells may not be a concept's counterfactual."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from conceptome.core import Activations, Dictionary, DictionaryMismatchError, map_blocks

QUANTILE = 0.5
THRESHOLD_CELLS = 20_000


def barred_cells(
    activations: Activations,
    values: Float[np.ndarray, "cells d_embed"],
    dictionary: Dictionary | None,
    by_id: Int[np.ndarray, " cells"],
) -> Bool[np.ndarray, "cells concepts"]:
    """Mark the cells that activate a concept and, given the dictionary, those that still express it.

    TopK silences a concept in a cell where k others are stronger. Such a cell is inactive by rank and yet,
    by its pre-activation, of the kind that activates the concept. A concept is absent where its pre-activation
    is at most 0, and at most the median of the inactive cells.

    Parameters
    ----------
    activations
        Activations of all cells.
    values
        Embeddings of the same cells.
    dictionary
        The dictionary, for pre-activations; None bars active cells only.
    by_id
        Positions of the cells in the order of their ids: a sample must not depend on the order of cells.

    Returns
    -------
    True where a cell may not serve.

    Raises
    ------
    DictionaryMismatchError
        If the activations are of another dictionary.
    """
    if dictionary is None:
        return np.asarray((activations.values > 0).toarray(), dtype=bool)
    if dictionary.dictionary_id != activations.dictionary_id:
        found = f"the activations belong to dictionary {activations.dictionary_id}"
        msg = f"{found}, not to {dictionary.dictionary_id}. Pass the dictionary that encoded them."
        raise DictionaryMismatchError(msg)
    threshold = _thresholds(activations, values, dictionary, by_id[:: 1 + len(by_id) // THRESHOLD_CELLS])
    barred = np.empty((len(values), dictionary.n_concepts), dtype=bool)
    for start in range(0, len(values), THRESHOLD_CELLS):
        rows = slice(start, start + THRESHOLD_CELLS)
        active = (activations.values[rows] > 0).toarray()
        barred[rows] = active | (map_blocks(dictionary.preactivations, values[rows]) > threshold)
    return barred


def _thresholds(
    activations: Activations,
    values: Float[np.ndarray, "cells d_embed"],
    dictionary: Dictionary,
    sample: Int[np.ndarray, " sample"],
) -> Float[np.ndarray, " concepts"]:
    pre = map_blocks(dictionary.preactivations, values[sample]).astype(np.float64)
    pre[(activations.values[sample] > 0).toarray()] = np.nan
    anywhere = ~np.isnan(pre).all(axis=0)
    threshold = np.zeros(pre.shape[1])
    threshold[anywhere] = np.minimum(0.0, np.nanquantile(pre[:, anywhere], QUANTILE, axis=0))
    return threshold
