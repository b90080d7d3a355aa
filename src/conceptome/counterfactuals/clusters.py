"""Which pairs are not independent of each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Int
from scipy.sparse.csgraph import connected_components


def cluster_labels(
    factual: Int[np.ndarray, " pairs"], counterfactual: Int[np.ndarray, " pairs"]
) -> Int[np.ndarray, " pairs"]:
    """Label pairs so that those which share a factual or a counterfactual, directly or by a chain, agree.

    Parameters
    ----------
    factual
        Cell that each pair edits.
    counterfactual
        Cell that lends its values.

    Returns
    -------
    Labels from 0, in the order of the pairs, whatever the order of the cells.
    """
    if len(np.unique(factual)) == len(np.unique(counterfactual)) == len(factual):
        return np.arange(len(factual))  # nothing is shared
    one = pd.factorize(factual)[0]
    other = pd.factorize(counterfactual)[0] + one.max(initial=-1) + 1
    size = int(other.max(initial=-1)) + 1
    graph = sp.coo_array((np.ones(len(one)), (one, other)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][one], dtype=np.int64)
