"""How far units depend on the seed: dictionaries of several seeds, matched with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import get_args

import numpy as np

from conceptome.core import Dictionary, Embeddings
from conceptome.dictionaries import match_concepts
from conceptome.dictionaries.comparison import By
from conceptome.evaluation.rows import Row, measured

N_NULL = 5


def measure_repeats(
    seeds: Sequence[Mapping[str, Dictionary]], embeddings: Embeddings, *, seed: int
) -> list[Row]:
    """Match the units of every two dictionaries of one name, by directions and by activations.

    Parameters
    ----------
    seeds
        Dictionaries by name, one mapping per seed; all of one name are of one encoder.
    embeddings
        The cells, as this encoder embeds them.
    seed
        Decides the draws of chance.

    Returns
    -------
    Mean similarity of matched units, ``stability_directions`` and ``stability_activations``, and what chance
    reaches (``..._chance``; see ``dictionaries.match_concepts``); one number per two seeds, so that
    deviations are over pairs of seeds.
    """
    rows = []
    for name in seeds[0]:
        own = [each[name] for each in seeds if name in each]
        for by in get_args(By):
            matchings = [
                match_concepts(a, b, by=by, embeddings=embeddings, n_null=N_NULL, seed=seed)
                for a, b in combinations(own, 2)
            ]
            found = [float(matching.similarity.mean()) for matching in matchings]
            chance = [float(np.mean(matching.null)) for matching in matchings]
            rows += [
                measured(name, f"stability_{by}", found),
                measured(name, f"stability_{by}_chance", chance),
            ]
    return rows
