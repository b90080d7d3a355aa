"""What is worth knowing about a pair: distance, its rank, library sizes, shared annotation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from conceptome.core import Activations, Csr, Pairs
from conceptome.counterfactuals.inputs import MISSING
from conceptome.counterfactuals.search import CellPool

N_RANDOM_PAIRS = 10_000
DISTANCE_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Describer:
    """Turns pairs of row positions into a `Pairs` record."""

    activations: Activations
    pool: CellPool
    codes: Mapping[str, Int[np.ndarray, " cells"]]
    """Codes of the obs columns whose agreement is reported; -1 = missing, agrees with nothing."""
    random_distances: Float[np.ndarray, " random"]
    """Sorted scaled distances of random pairs of cells."""

    def describe(
        self,
        concept: Int[np.ndarray, " pairs"],
        pair: Int[np.ndarray, " pairs"],
        *,
        factual: Int[np.ndarray, " pairs"],
        counterfactual: Int[np.ndarray, " pairs"],
    ) -> Pairs:
        """Measure the pairs.

        Parameters
        ----------
        concept
            Concept of each pair.
        pair
            Number of the factual within its concept.
        factual
            Row positions of the factuals.
        counterfactual
            Row positions of the counterfactuals.

        Returns
        -------
        The record, without null pairs and without reasons.
        """
        distance = scaled_distances(self.pool, self.activations.scale, factual, counterfactual)
        below = np.searchsorted(self.random_distances, distance, side="left")
        upto = np.searchsorted(self.random_distances, distance, side="right")
        return Pairs(
            concept=concept,
            pair=pair,
            factual=factual,
            counterfactual=counterfactual,
            activation=_entries(self.activations.values, factual, concept),
            distance=distance,
            distance_percentile=50.0 * (below + upto) / len(self.random_distances),
            library_ratio=np.exp(self.pool.log_library[factual] - self.pool.log_library[counterfactual]),
            matched=self._matched(factual, counterfactual),
            cell_ids=self.activations.cell_ids,
            dictionary_id=self.activations.dictionary_id,
        )

    def _matched(
        self, factual: Int[np.ndarray, " pairs"], counterfactual: Int[np.ndarray, " pairs"]
    ) -> np.ndarray:
        agreed = {
            name: (codes[factual] == codes[counterfactual]) & (codes[factual] != MISSING)
            for name, codes in self.codes.items()
        }
        texts = [",".join(name for name in agreed if agreed[name][row]) for row in range(len(factual))]
        return np.array(texts, dtype=object)


def _entries(
    values: Csr, rows: Int[np.ndarray, " pairs"], columns: Int[np.ndarray, " pairs"]
) -> Float[np.ndarray, " pairs"]:
    chosen = sp.csr_array(
        (np.ones(len(rows)), columns, np.arange(len(rows) + 1)), (len(rows), values.shape[1])
    )
    return np.asarray((values[rows] * chosen).sum(axis=1), dtype=np.float64)


def scaled_distances(
    pool: CellPool, scale: float, one: Int[np.ndarray, " pairs"], other: Int[np.ndarray, " pairs"]
) -> Float[np.ndarray, " pairs"]:
    """Measure distances in the dictionary's scaled embedding, in blocks.

    Parameters
    ----------
    pool
        All cells.
    scale
        The dictionary's scalar.
    one
        Row positions of the first cells.
    other
        Row positions of the second cells.

    Returns
    -------
    Euclidean distances.
    """
    distance = np.empty(len(one))
    for start in range(0, len(one), DISTANCE_ROWS):
        rows = slice(start, start + DISTANCE_ROWS)
        distance[rows] = pool.distance(one[rows], other[rows])
    return distance * scale


def random_distances(
    pool: CellPool, scale: float, cells: Int[np.ndarray, " cells"], *, seed: int
) -> Float[np.ndarray, " random"]:
    """Measure 10,000 random pairs of distinct cells.

    Parameters
    ----------
    pool
        All cells.
    scale
        The dictionary's scalar.
    cells
        All cells, in an order that does not depend on how the data is sorted.
    seed
        Seed of the draw.

    Returns
    -------
    Sorted scaled distances.
    """
    rng = np.random.default_rng(seed)
    one = rng.integers(len(cells), size=N_RANDOM_PAIRS)
    step = 1 + rng.integers(max(len(cells) - 1, 1), size=N_RANDOM_PAIRS)
    return np.sort(scaled_distances(pool, scale, cells[one], cells[(one + step) % len(cells)]))
