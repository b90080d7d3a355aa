"""How the concepts of one dictionary lie to each other: by direction, and by the cells that activate them."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pandas as pd
from jaxtyping import Float

from conceptome.core import (
    Activations,
    Csr,
    Dictionary,
    DictionaryMismatchError,
    require_at_least,
    require_choice,
)
from conceptome.dictionaries.comparison import By, correlations


def nearest_concepts(
    dictionary: Dictionary,
    activations: Activations | Csr,
    *,
    by: By = "directions",
    n_neighbours: int = 5,
) -> pd.DataFrame:
    """List for each concept those that are most like it, with the cells that both activate.

    A dictionary may split one thing into concepts of nearly the same direction that exclude each other, since
    few are active in a cell. The table shows it: a high cosine with fewer shared cells than expected.

    Parameters
    ----------
    dictionary
        The dictionary.
    activations
        Its activations of some cells.
    by
        Order by the cosine of decoder directions, or by the correlation of activations over cells.
    n_neighbours
        Neighbours per concept; at most all others are listed.

    Returns
    -------
    ``concept, rank`` (from 1), ``neighbour, similarity, shared`` (share of cells that activate both) and
    ``expected`` (the product of the two shares: what independent concepts would have). Of equally similar
    concepts the first comes first.

    Raises
    ------
    InputError
        If `by` or `n_neighbours` is out of range.
    DictionaryMismatchError
        If the activations are of another dictionary.
    """
    require_choice("by", by, get_args(By))
    require_at_least("n_neighbours", n_neighbours, 1)
    values = _values(dictionary, activations)
    similarity = cosines(dictionary) if by == "directions" else correlations(values, values)
    np.fill_diagonal(similarity, -np.inf)
    n_concepts = dictionary.n_concepts
    n_listed = min(n_neighbours, n_concepts - 1)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :n_listed]
    concept, neighbour = np.repeat(np.arange(n_concepts), n_listed), order.ravel()
    shared, frequency = coactivation(values)
    return pd.DataFrame(
        {
            "concept": concept,
            "rank": np.tile(np.arange(1, n_listed + 1), n_concepts),
            "neighbour": neighbour,
            "similarity": similarity[concept, neighbour],
            "shared": shared[concept, neighbour],
            "expected": frequency[concept] * frequency[neighbour],
        }
    )


def coactivation(
    activations: Csr,
) -> tuple[Float[np.ndarray, "concepts concepts"], Float[np.ndarray, " concepts"]]:
    """Count in which share of cells two concepts are active together.

    Parameters
    ----------
    activations
        CSR, ``(n_cells, n_concepts)``.

    Returns
    -------
    shared
        Share of cells that activate both; on the diagonal, one of them.
    frequency
        Share of cells that activate each.
    """
    active = (activations > 0).astype(np.float64)
    shared = (active.T @ active).toarray() / max(active.shape[0], 1)
    return shared, np.diag(shared).copy()


def _values(dictionary: Dictionary, activations: Activations | Csr) -> Csr:
    if isinstance(activations, Activations):
        if activations.dictionary_id != dictionary.dictionary_id:
            msg = (
                f"These activations come from dictionary {activations.dictionary_id}, not from "
                f"{dictionary.dictionary_id}. Give those of the same dictionary."
            )
            raise DictionaryMismatchError(msg)
        return activations.values
    if activations.shape[1] != dictionary.n_concepts:
        msg = (
            f"The activations have {activations.shape[1]} concepts, dictionary {dictionary.dictionary_id} "
            f"has {dictionary.n_concepts}. Give those of the same dictionary."
        )
        raise DictionaryMismatchError(msg)
    return activations


def cosines(dictionary: Dictionary) -> Float[np.ndarray, "concepts concepts"]:
    """Compare the decoder directions of a dictionary with each other: cosines, 1 on the diagonal."""
    directions = dictionary.directions.astype(np.float64)
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return np.asarray(np.clip(directions @ directions.T, -1, 1))
