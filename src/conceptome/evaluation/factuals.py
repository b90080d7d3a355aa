"""Monosemanticity: how far the cells that a unit picks out are of one kind."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from conceptome.core import Csr
from conceptome.counterfactuals.sampling import Sampling, draw_factuals

N_FACTUALS = 64
MIN_FACTUALS = 8


def factual_purity(
    activations: Csr, labels: np.ndarray, *, sampling: Sampling, seed: int
) -> Float[np.ndarray, " units"]:
    """Compute how far the factuals of each unit share a label, above chance.

    Purity is the probability that two different factuals have the same label (an unbiased estimate of
    Simpson's index, in which no label is chosen, so that nothing is fitted); it is set in proportion to what
    two random cells reach, as a kappa.

    Parameters
    ----------
    activations
        CSR, ``(n_cells, n_units)``.
    labels
        Label of each cell, strings.
    sampling
        How the at most 64 factuals are drawn from the cells that activate a unit: the strongest, or evenly
        over strata of equal total activation, as for counterfactual pairs.
    seed
        Decides the draws.

    Returns
    -------
    (purity - chance) / (1 - chance) of each unit: 1 = factuals of one label, 0 = those of random cells. NaN
    for a unit with fewer than 8 active cells.
    """
    names, codes = np.unique(labels, return_inverse=True)
    chance = _simpson(np.bincount(codes))
    columns = sp.csc_array(activations)
    found = np.full(columns.shape[1], np.nan)
    if chance == 1:
        return found
    for unit, (start, stop) in enumerate(zip(columns.indptr[:-1], columns.indptr[1:], strict=True)):
        active = columns.data[start:stop] > 0
        if active.sum() < MIN_FACTUALS:
            continue
        drawn = draw_factuals(
            columns.indices[start:stop][active].astype(np.int64),
            columns.data[start:stop][active].astype(np.float64),
            n_cells=N_FACTUALS,
            sampling=sampling,
            rng=np.random.default_rng([seed, unit]),
        )
        purity = _simpson(np.bincount(codes[drawn], minlength=len(names)))
        found[unit] = (purity - chance) / (1 - chance)
    return found


def _simpson(counts: np.ndarray) -> float:
    """Estimate the probability that two draws without replacement agree."""
    n = int(counts.sum())
    return float((counts * (counts - 1)).sum() / (n * (n - 1)))
