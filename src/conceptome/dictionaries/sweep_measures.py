"""What a sweep measures of dictionaries that differ in nothing but the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, get_args

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from conceptome.dictionaries.affine import AffineDictionary
from conceptome.dictionaries.comparison import By, Matching, match_concepts
from conceptome.dictionaries.fidelity import explained_variance
from conceptome.dictionaries.heldout import HeldoutSplit
from conceptome.dictionaries.random_sae import RandomSaeDictionary
from conceptome.dictionaries.recurrence import same_concepts

N_NULL = 20
PER_DICTIONARY = [
    "r2",
    "l0",
    "dead",
    "inactive_heldout",
    "recurring_directions",
    "recurring_activations",
    "r2_recurring",
]

Matchings = Mapping[tuple[int, int], Matching]


def measure_setting(
    dictionaries: Sequence[AffineDictionary],
    z: Float[np.ndarray, "cells d_embed"],
    *,
    names: Sequence[str],
    seed: int,
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Measure fidelity and stability of one setting.

    Parameters
    ----------
    dictionaries
        Two or more, one for each seed.
    z
        Cells, in original units.
    names
        Name of each cell, or its group, as the held-out splits were drawn by.
    seed
        Decides the draws of chance and the random encoders.

    Returns
    -------
    setting
        Means over seeds and, with ``_sd``, standard deviations of the measures of each dictionary; mean
        similarity over pairs by ``directions`` and by ``activations``, each with ``_sd``, ``_null`` and
        ``_random`` (what chance and a random encoder [Sanity26] reach); ``excess`` of activations above the
        higher of these two.
    trained
        The measures of each dictionary.
    """
    frozen = [_frozen(each, z, seed=seed + at) for at, each in enumerate(dictionaries)]
    setting: dict[str, float] = {}
    trained = [_fidelity(each) for each in dictionaries]
    for by in get_args(By):
        found = _match(dictionaries, z, by=by, n_null=N_NULL, seed=seed)
        random = _match(frozen, z, by=by, n_null=1, seed=seed)
        similarity = np.array([each.similarity.mean() for each in found.values()])
        setting[by] = float(similarity.mean())
        setting[f"{by}_sd"] = float(similarity.std(ddof=1)) if len(similarity) > 1 else float("nan")
        setting[f"{by}_null"] = float(np.mean([each.null.mean() for each in found.values()]))
        setting[f"{by}_random"] = float(np.mean([each.similarity.mean() for each in random.values()]))
        for at, (row, each) in enumerate(zip(trained, dictionaries, strict=True)):
            recurring = _recurring(found, at, n_concepts=each.n_concepts)
            row[f"recurring_{by}"] = int(recurring.sum())
            if by == "activations":
                row["r2_recurring"] = _kept(each, z, names, recurring)
    setting["excess"] = setting["activations"] - max(
        setting["activations_null"], setting["activations_random"]
    )
    table = pd.DataFrame(trained)[PER_DICTIONARY]
    for measure in PER_DICTIONARY:
        setting |= {measure: float(table[measure].mean()), f"{measure}_sd": float(table[measure].std(ddof=1))}
    return setting, trained


def _frozen(dictionary: AffineDictionary, z: np.ndarray, *, seed: int) -> RandomSaeDictionary:
    """Make an autoencoder with a random encoder, of the same size and as many active concepts."""
    n_concepts, l0 = dictionary.n_concepts, dictionary.training["fidelity"]["l0"]
    return RandomSaeDictionary.fit(
        z, n_concepts=n_concepts, k=int(np.clip(round(l0), 1, n_concepts)), seed=seed
    )


def _fidelity(dictionary: AffineDictionary) -> dict[str, Any]:
    training = dictionary.training
    fidelity = dict(training["fidelity"])
    return {
        "seed": training["seed"],
        "dictionary_id": dictionary.dictionary_id,
        "n_epochs": training["progress"][-1]["epoch"],
        "r2": fidelity.pop("r2_heldout"),
        **fidelity,
    }


def _match(
    dictionaries: Sequence[AffineDictionary], z: np.ndarray, *, by: By, n_null: int, seed: int
) -> Matchings:
    return {
        (i, j): match_concepts(
            dictionaries[i], dictionaries[j], by=by, embeddings=z, n_null=n_null, seed=seed
        )
        for i, j in combinations(range(len(dictionaries)), 2)
    }


def _recurring(matchings: Matchings, at: int, *, n_concepts: int) -> Bool[np.ndarray, " concepts"]:
    """Tell which concepts of one dictionary have the same concept in all others."""
    everywhere = np.ones(n_concepts, dtype=bool)
    for pair, found in matchings.items():
        if at in pair:
            own = found.concept_a if pair[0] == at else found.concept_b
            same = np.zeros(n_concepts, dtype=bool)
            same[own[same_concepts(found)]] = True
            everywhere &= same
    return everywhere


def _kept(
    dictionary: AffineDictionary, z: np.ndarray, names: Sequence[str], concepts: Bool[np.ndarray, " concepts"]
) -> float:
    """Compute the R2 of held-out cells with the activations of the other concepts set to 0."""
    heldout = z[HeldoutSplit(**dictionary.training["split"]).mask(names)]
    activations = dictionary.encode(heldout)
    activations.data[~concepts[activations.indices]] = 0
    return explained_variance(heldout, dictionary.decode(activations), mean=dictionary.weights.mean)[0]
