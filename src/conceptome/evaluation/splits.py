"""Seeded splits of labelled cells: whole groups where there are groups, stratified by label otherwise."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Bool

from conceptome.core import InputError


def seeded_split(
    labels: np.ndarray, *, test_share: float, seed: int, groups: np.ndarray | None = None
) -> Bool[np.ndarray, " cells"]:
    """Choose test cells.

    Cells are drawn by position: give them in an order of their own, such as that of their ids, and the choice
    does not depend on how a file orders them.

    Parameters
    ----------
    labels
        Label of each cell, strings.
    test_share
        Share of each label's cells (or of the groups) that is tested on.
    seed
        Decides the choice.
    groups
        Donor of each cell; given, whole donors are tested on and labels play no part.

    Returns
    -------
    True where tested on.

    Raises
    ------
    InputError
        If there is only one group.
    """
    rng = np.random.default_rng(seed)
    if groups is not None:
        names = np.unique(groups)
        if len(names) < 2:
            msg = f"Testing on held-out groups needs at least two, found {len(names)}. Leave group_key out."
            raise InputError(msg)
        n_test = min(max(round(test_share * len(names)), 1), len(names) - 1)
        return np.isin(groups, rng.permutation(names)[:n_test])
    order = rng.permutation(len(labels))
    shuffled = pd.Series(labels[order])
    rank = shuffled.groupby(shuffled).cumcount().to_numpy()
    size = shuffled.groupby(shuffled).transform("size").to_numpy()
    test = np.empty(len(labels), dtype=bool)
    test[order] = rank < np.round(test_share * size)
    return test
