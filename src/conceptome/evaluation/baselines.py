"""The dictionaries that one is compared with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from conceptome.core import Dictionary
from conceptome.dictionaries import (
    IcaDictionary,
    KMeansDictionary,
    NeuronDictionary,
    NmfDictionary,
    PcaDictionary,
    RandomSaeDictionary,
)

FIT_CELLS = 20_000  # baselines with few parameters gain little from more


def fit_baselines(
    dictionary: Dictionary,
    z: Float[np.ndarray, "cells d_embed"],
    *,
    heldout: Bool[np.ndarray, " cells"],
    seed: int,
) -> list[Dictionary]:
    """Fit every baseline at the size of a dictionary, on the cells that it was trained on.

    Parameters
    ----------
    dictionary
        The dictionary under study. A baseline of its kind is left out.
    z
        Embedding of every cell, original units.
    heldout
        Cells that no baseline may see; of the others at most 20,000 are drawn for all but neurons and PCA.
    seed
        Decides the draw, and where iterations start.

    Returns
    -------
    Neurons; PCA, ICA and NMF with as many components as the dictionary has active concepts per cell; k-means
    and a random SAE with as many concepts (k-means with no more than a fifth of the cells).
    """
    active = dictionary.encode(z).nnz / len(z)
    n_components = int(np.clip(np.round(active), 1, z.shape[1]))
    k = int(np.clip(np.round(active), 1, dictionary.n_concepts))
    cells = np.flatnonzero(~heldout)
    drawn = z[np.sort(np.random.default_rng(seed).permutation(cells)[:FIT_CELLS])]
    n_clusters = max(2, min(dictionary.n_concepts, len(np.unique(drawn, axis=0)) // 5))
    recipes: dict[str, Callable[[], Dictionary]] = {
        NeuronDictionary.kind: lambda: NeuronDictionary.fit(z[cells]),
        PcaDictionary.kind: lambda: PcaDictionary.fit(z[cells], n_components=n_components),
        IcaDictionary.kind: lambda: IcaDictionary.fit(drawn, n_components=n_components, seed=seed),
        NmfDictionary.kind: lambda: NmfDictionary.fit(drawn, n_components=n_components, seed=seed),
        KMeansDictionary.kind: lambda: KMeansDictionary.fit(drawn, n_clusters=n_clusters, seed=seed),
        RandomSaeDictionary.kind: lambda: RandomSaeDictionary.fit(
            drawn, n_concepts=dictionary.n_concepts, k=k, seed=seed
        ),
    }
    return [fit() for kind, fit in recipes.items() if kind != dictionary.kind]
