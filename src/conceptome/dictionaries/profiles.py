"""How alike concepts are by their genes or terms, beside chance among columns that are alike."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from conceptome.dictionaries.comparison import Similarity


def permuted_within(
    strata: Int[np.ndarray, " columns"], rng: np.random.Generator
) -> Int[np.ndarray, " columns"]:
    """Permute columns within strata.

    Parameters
    ----------
    strata
        Group of each column.
    rng
        Decides the order.

    Returns
    -------
    For each column one of its stratum, each once.
    """
    order = np.arange(len(strata))
    for stratum in np.unique(strata):
        inside = np.flatnonzero(strata == stratum)
        order[inside] = rng.permutation(inside)
    return order


def profile_draws(
    few: Float[np.ndarray, "few columns"],
    many: Float[np.ndarray, "many columns"],
    strata: Int[np.ndarray, " columns"],
    rng: np.random.Generator,
) -> Iterator[Similarity]:
    """Yield the correlations of profiles, then those with the columns of the second permuted within strata.

    Parameters
    ----------
    few, many
        Profiles over the same columns, such as gene scores; a profile that does not vary correlates 0.
    strata
        Group of each column, such as genes of like expression.
    rng
        Decides the permutations.

    Yields
    ------
    Pearson correlations.
    """
    rows, columns = _standardised(few), _standardised(many)
    yield np.clip(rows @ columns.T, -1, 1)
    while True:
        yield np.clip(rows @ columns[:, permuted_within(strata, rng)].T, -1, 1)


def _standardised(values: Float[np.ndarray, "concepts columns"]) -> Float[np.ndarray, "concepts columns"]:
    """Centre each profile and give it length 1; one that does not vary becomes 0."""
    centred = values - values.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(np.divide(centred, length, out=np.zeros_like(centred), where=length > 0))


def overlap_draws(
    few: Bool[np.ndarray, "few columns"],
    many: Bool[np.ndarray, "many columns"],
    strata: Int[np.ndarray, " columns"],
    rng: np.random.Generator,
) -> Iterator[Similarity]:
    """Yield the Jaccard indices of sets, then those with the columns of the second permuted within strata.

    Parameters
    ----------
    few, many
        Members of the sets, such as the significant terms of concepts; two empty sets have index 0.
    strata
        Group of each column, such as terms that equally many concepts have.
    rng
        Decides the permutations.

    Yields
    ------
    Shared members / members of either.
    """
    rows, columns = few.astype(np.float64), many.astype(np.float64)
    sizes = rows.sum(axis=1)[:, None] + columns.sum(axis=1)
    order = np.arange(len(strata))
    while True:
        shared = rows @ columns[:, order].T
        either = sizes - shared
        yield np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)
        order = permuted_within(strata, rng)
