"""Which cells may not be a concept's counterfactual."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from conceptome.core import Activations, Dictionary, DictionaryMismatchError, map_blocks

CELL_BLOCK = 8192


def barred_cells(
    activations: Activations, values: Float[np.ndarray, "cells d_embed"], dictionary: Dictionary | None
) -> Bool[np.ndarray, "cells concepts"]:
    """Mark the cells that activate a concept and, given the dictionary, those that still express it.

    TopK silences a concept in a cell where k others are stronger. Such a cell is inactive by rank and yet,
    by its pre-activation, of the kind that activates the concept. Absent means a pre-activation of at most 0.

    Parameters
    ----------
    activations
        Activations of all cells.
    values
        Embeddings of the same cells.
    dictionary
        The dictionary, for pre-activations; None bars active cells only.

    Returns
    -------
    True where a cell may not serve; the cells of one concept stand together in memory.

    Raises
    ------
    DictionaryMismatchError
        If the activations are of another dictionary.
    """
    if dictionary is not None and dictionary.dictionary_id != activations.dictionary_id:
        found = f"the activations belong to dictionary {activations.dictionary_id}"
        msg = f"{found}, not to {dictionary.dictionary_id}. Pass the dictionary that encoded them."
        raise DictionaryMismatchError(msg)
    barred = np.empty(activations.values.shape[::-1], dtype=bool).T
    for start in range(0, len(values), CELL_BLOCK):
        rows = slice(start, start + CELL_BLOCK)
        barred[rows] = activations.values[rows].toarray() > 0
        if dictionary is not None:
            barred[rows] |= map_blocks(dictionary.preactivations, values[rows]) > 0
    return barred
