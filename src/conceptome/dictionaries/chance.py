"""How many cells would activate two concepts together if cells chose their concepts by frequency alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from conceptome.core import Csr

MAX_ROUNDS, FEW_ROUNDS = 1000, 30
TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Coactivation:
    """Cells in which two concepts are active together, observed and by chance."""

    observed: Float[np.ndarray, "concepts concepts"]
    """Number of cells; on the diagonal those that activate the concept."""
    expected: Float[np.ndarray, "concepts concepts"]
    """Its mean under chance."""
    variance: Float[np.ndarray, "concepts concepts"]
    """Its variance under chance."""
    spread: Float[np.ndarray, " concepts"]
    """Variance of a concept being active, summed over cells; 0 for one that is active in none or in all."""

    def correlation(self) -> Float[np.ndarray, "concepts concepts"]:
        """Return the correlation of being active beyond chance, 0 where a concept does not vary."""
        scale = np.sqrt(np.outer(self.spread, self.spread))
        excess = self.observed - self.expected
        found = np.divide(excess, scale, out=np.zeros_like(excess), where=scale > 0)
        np.fill_diagonal(found, 0)
        return np.asarray(np.clip(found, -1, 1))

    def p(self) -> Float[np.ndarray, "concepts concepts"]:
        """Return how often chance reaches what is observed: tail of a binomial of equal mean and variance."""
        from scipy.special import betainc

        mean = np.maximum(self.expected, TINY)
        share = np.clip(1 - self.variance / mean, TINY, 1 - TINY)
        trials = mean / share
        reached = np.clip(self.observed, TINY, trials)
        tail = betainc(reached, trials - reached + 1, share)
        return np.where(self.observed > 0, tail, 1.0)


def coactivation_by_chance(activations: Csr) -> Coactivation:
    """Compare how often concepts are active together with chance.

    Chance keeps how many cells activate each concept and how many concepts each cell activates; frequency
    alone, or TopK's fixed number, is then no surprise. Concept a is active in a cell of s concepts with
    probability p = x_s y_a / (1 + x_s y_a), with x and y such that both kinds of totals are met in the mean
    [Saracco17]. As a cell has exactly s concepts, two of them get in each other's way: both are active with
    probability p_a p_b - c_a c_b / sum(c), where c - c^2 / sum(c) = p (1 - p) [Deville05].

    Parameters
    ----------
    activations
        CSR, ``(n_cells, n_concepts)``; what is above 0 is active.

    Returns
    -------
    `Coactivation`.

    References
    ----------
    [Saracco17] *Inferring monopartite projections of bipartite networks*, New J. Phys. 19:053022.
    [Deville05] *Variance approximation under balanced sampling*, J. Stat. Plan. Inference 128:569.
    """
    active = (activations > 0).astype(np.float64)
    observed = (active.T @ active).toarray()
    totals = np.diag(observed)
    per_cell = np.asarray(active.sum(axis=1)).ravel().astype(int)
    sizes, n_cells = np.unique(per_cell[per_cell > 0], return_counts=True)
    expected, variance = np.zeros_like(observed), np.zeros_like(observed)
    spread = np.zeros_like(totals)
    for count, p in zip(n_cells, _probabilities(totals, sizes, n_cells), strict=True):
        q = p * (1 - p)
        expected += count * (np.outer(p, p) - _exclusion(q))
        variance += count * np.outer(q, q)
        spread += count * q
    return Coactivation(observed, expected, variance, spread)


def _probabilities(
    totals: Float[np.ndarray, " concepts"],
    sizes: Int[np.ndarray, " sizes"],
    n_cells: Int[np.ndarray, " sizes"],
) -> Float[np.ndarray, "sizes concepts"]:
    """Fit the probability of each concept in cells of each number of active concepts."""
    x = np.ones((len(sizes), 1))
    with np.errstate(divide="ignore"):  # a concept that is active in every cell has infinite odds
        y = totals / (max(n_cells.sum(), TINY) - totals)
        p = 1 / (1 + 1 / (x * y))
        for _ in range(MAX_ROUNDS):
            met = n_cells @ p
            if np.allclose(p.sum(axis=1), sizes, rtol=1e-6) and np.allclose(met, totals, rtol=1e-6):
                break
            y = y * np.divide(totals, met, out=np.ones_like(totals), where=met > 0)
            p = 1 / (1 + 1 / (x * y))
            x = x * (sizes / p.sum(axis=1))[:, None]
            p = 1 / (1 + 1 / (x * y))
    return np.asarray(p)


def _exclusion(q: Float[np.ndarray, " concepts"]) -> Float[np.ndarray, "concepts concepts"]:
    """Compute by how much a fixed number of active concepts keeps two of them apart."""
    c = q
    for _ in range(FEW_ROUNDS):
        c = q + c**2 / max(c.sum(), TINY)
    return np.asarray(np.outer(c, c) / max(c.sum(), TINY))
