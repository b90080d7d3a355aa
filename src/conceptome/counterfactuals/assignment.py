"""Pairing without replacement: every counterfactual serves one factual."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from scipy.optimize import linear_sum_assignment

from conceptome.counterfactuals.search import CellPool


def assign_distinct(
    pool: CellPool,
    factual: Int[np.ndarray, " factuals"],
    neighbours: Int[np.ndarray, "factuals candidates"],
    *,
    n_counterfactuals: int,
) -> Int[np.ndarray, "factuals n_counterfactuals"]:
    """Choose distinct counterfactuals for the factuals of one concept, of least total distance.

    Every factual is given its first before any is given a second, from the candidates left, and so on. Each
    round is optimal among all cells left when each factual brings as many of its nearest candidates as there
    are counterfactuals to give out: a farther one is never needed.

    Parameters
    ----------
    pool
        All cells.
    factual
        Row positions of the factuals.
    neighbours
        Their nearest admissible cells; -1 where there are no more.
    n_counterfactuals
        Counterfactuals per factual.

    Returns
    -------
    Row positions, nearest first; -1 where the candidates did not suffice.
    """
    candidates = np.unique(neighbours[neighbours >= 0])
    chosen = np.full((len(factual), n_counterfactuals), -1, dtype=np.int64)
    if not len(candidates):
        return chosen
    row, column = np.nonzero(neighbours >= 0)
    where = np.searchsorted(candidates, neighbours[row, column])
    distance = pool.distance(factual[row], neighbours[row, column])
    forbidden = (distance.max() + 1.0) * (len(factual) + 1)
    cost = np.full((len(factual), len(candidates)), forbidden)
    cost[row, where] = distance
    for place in range(n_counterfactuals):
        owner, taken = linear_sum_assignment(cost)
        allowed = cost[owner, taken] < forbidden
        chosen[owner[allowed], place] = candidates[taken[allowed]]
        cost[:, taken] = forbidden
    return chosen
