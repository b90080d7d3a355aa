"""Stability of a dictionary over seeds, beside chance and beside an autoencoder that learns no concepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd

from conceptome.core import Dictionary, Embeddings
from conceptome.dictionaries import RandomSaeDictionary, explained_variance, stability
from conceptome.dictionaries.comparison import MATCHED_CELLS, By


@dataclass(frozen=True, eq=False)
class SeedStability:
    """How far concepts depend on the seed."""

    concepts: pd.DataFrame
    """``by, concept, stability, null, p, recurrence`` for each concept of the first dictionary; see
    `Stability`."""
    summary: pd.DataFrame
    """``by, mean, sd, null, random_sae``: matched similarity over pairs of dictionaries, what chance reaches,
    and what frozen random autoencoders of the same size reach."""
    r2: tuple[float, ...]
    """Of each dictionary, on the given cells."""

    def of(self, by: By) -> pd.DataFrame:
        """Return ``stability, null, p, recurrence`` of each concept, indexed by concept."""
        return self.concepts[self.concepts["by"] == by].set_index("concept").drop(columns="by")


def measure_seeds(
    dictionaries: Sequence[Dictionary], embeddings: Embeddings, *, seed: int = 0
) -> SeedStability:
    """Measure how stable concepts are over seeds, by directions and by activations.

    A frozen random SAE [Sanity26] per dictionary, of the same size and L0, is compared in the same way: what
    it reaches is due to the embedding and not to what was learned.

    Parameters
    ----------
    dictionaries
        Two or more of one encoder that differ in their seed; the concepts of the first are followed.
    embeddings
        Cells for activations, and for the covariance of the null.
    seed
        Decides the draws, and the random autoencoders.

    Returns
    -------
    `SeedStability`.

    Raises
    ------
    InputError
        If there are fewer than two dictionaries, or one twice.
    DictionaryMismatchError
        If dictionaries or embeddings are of different encoders.
    """
    z = embeddings.values
    z = z[np.sort(np.random.default_rng(seed).permutation(len(z))[:MATCHED_CELLS])]
    active = [each.encode(z).nnz / len(z) for each in dictionaries]
    frozen = [
        RandomSaeDictionary.fit(
            z,
            n_concepts=each.n_concepts,
            k=int(np.clip(np.round(l0), 1, each.n_concepts)),
            seed=seed + at,
        )
        for at, (each, l0) in enumerate(zip(dictionaries, active, strict=True))
    ]
    concepts, summary = [], []
    for by in get_args(By):
        found = stability(dictionaries, by=by, embeddings=embeddings, seed=seed)
        random = stability(frozen, by=by, embeddings=z, n_null=1, seed=seed)
        concepts.append(found.concepts.assign(by=by))
        summary.append((by, found.mean, found.sd, found.null, random.mean))
    r2 = [explained_variance(z, each.decode(each.encode(z)), mean=z.mean(axis=0))[0] for each in dictionaries]
    columns = ["by", "mean", "sd", "null", "random_sae"]
    return SeedStability(
        pd.concat(concepts, ignore_index=True), pd.DataFrame(summary, columns=columns), tuple(r2)
    )
