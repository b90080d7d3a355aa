"""Rankings of genes and the running sum of a gene set along them, free of the order of tied genes.

The running sum is read at the boundaries of blocks of tied genes only [Subramanian05, with weight 1]. Its
highest value lies at the end of a block that holds a gene of the set and its lowest at the start of one, so
only those are computed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from conceptome.core import InputError


@dataclass(frozen=True, eq=False)
class Rankings:
    """Genes of one universe in descending score order, for each concept; rank 0 is the highest score."""

    weights: Float[np.ndarray, "genes concepts"]
    """|score| by rank."""
    starts: Float[np.ndarray, "genes concepts"]
    """By rank, the first rank of the block of equal scores."""
    ends: Float[np.ndarray, "genes concepts"]
    """By rank, one past the last rank of the block of equal scores."""
    order: Int[np.ndarray, "genes concepts"]
    """By rank, the gene's position in the universe."""
    ranks: Int[np.ndarray, "genes concepts"]
    """By position in the universe, the gene's rank."""

    @classmethod
    def of(cls, scores: Float[np.ndarray, "concepts genes"]) -> Rankings:
        """Rank genes by descending score; tied genes keep the order they are given in.

        Parameters
        ----------
        scores
            Finite scores, genes in an order of their own (by name), so that ties do not follow the input.

        Returns
        -------
        The rankings.
        """
        order = np.argsort(-scores, axis=1, kind="stable").T
        ordered = np.take_along_axis(scores.T, order, axis=0)
        ranks = np.empty_like(order)
        rank = np.arange(len(order))[:, None]
        np.put_along_axis(ranks, order, np.broadcast_to(rank, order.shape), axis=0)
        differs = ordered[1:] != ordered[:-1]
        first, last = np.ones((2, *ordered.shape), dtype=bool)
        first[1:], last[:-1] = differs, differs
        starts = np.maximum.accumulate(np.where(first, rank, 0), axis=0)
        ends = np.minimum.accumulate(np.where(last, rank + 1, len(order))[::-1], axis=0)[::-1]
        return cls(
            weights=np.ascontiguousarray(np.abs(ordered)),
            starts=np.ascontiguousarray(starts, dtype=np.float64),
            ends=np.ascontiguousarray(ends, dtype=np.float64),
            order=np.ascontiguousarray(order),
            ranks=ranks,
        )

    @property
    def n_genes(self) -> int:
        """Number of genes in the universe."""
        return len(self.weights)

    def deviations(self, ranks: Int[np.ndarray, "hits sets concepts"]) -> Deviations:
        """Follow the running sums of sets, each with ranks of its own in each concept.

        Parameters
        ----------
        ranks
            Ranks of each set's genes, ascending along the first axis.

        Returns
        -------
        The running sums at their candidate extremes.
        """
        flat = ranks.reshape(-1, ranks.shape[2])
        tables = (self.weights, self.starts, self.ends)
        gathered = (np.take_along_axis(table, flat, axis=0).reshape(ranks.shape) for table in tables)
        return Deviations.of(*gathered, n_genes=self.n_genes)

    def shared_deviations(self, ranks: Int[np.ndarray, "hits sets"]) -> Deviations:
        """Follow the running sums of sets that take the same ranks in every concept.

        Parameters
        ----------
        ranks
            Ranks of each set's genes, ascending along the first axis.

        Returns
        -------
        The running sums at their candidate extremes.
        """
        tables = (self.weights, self.starts, self.ends)
        return Deviations.of(*(np.take(table, ranks, axis=0) for table in tables), n_genes=self.n_genes)


@dataclass(frozen=True, eq=False)
class Deviations:
    """Running sums at the block ends (`above`) and block starts (`below`) of the hits, times `total`."""

    above: Float[np.ndarray, "hits sets concepts"]
    below: Float[np.ndarray, "hits sets concepts"]
    total: Float[np.ndarray, "sets concepts"]
    """Sum of the hits' weights; 0 where a set lies wholly among zero scores."""

    @classmethod
    def of(
        cls,
        weights: Float[np.ndarray, "hits sets concepts"],
        starts: Float[np.ndarray, "hits sets concepts"],
        ends: Float[np.ndarray, "hits sets concepts"],
        *,
        n_genes: int,
    ) -> Deviations:
        """Compute the running sums; `starts` and `ends` are overwritten to spare memory.

        With several hits in one block, the last of them has the true value at the block's end and the
        others a lower one, the first has the true value at the start and the others a higher one.
        """
        n_hits = len(weights)
        running = np.zeros((n_hits + 1, *weights.shape[1:]))
        np.cumsum(weights, axis=0, out=running[1:])
        total = running[-1]
        weight_of_miss = total / (n_genes - n_hits)
        hits_before = np.arange(n_hits, dtype=np.float64)[:, None, None]
        ends -= hits_before + 1
        ends *= weight_of_miss
        above = np.subtract(running[1:], ends, out=ends)
        starts -= hits_before
        starts *= weight_of_miss
        below = np.subtract(running[:-1], starts, out=starts)
        return cls(above, below, total.copy())

    def scores(self) -> Float[np.ndarray, "sets concepts"]:
        """Return ES, the running sum's furthest point from 0; 0 without weight."""
        highest, lowest = self.above.max(axis=0), self.below.min(axis=0)
        furthest = np.where(highest > -lowest, highest, lowest)
        return np.divide(furthest, self.total, out=np.zeros_like(furthest), where=self.total > 0)

    def peaks(self) -> Int[np.ndarray, "sets concepts"]:
        """Return the hit at whose block the running sum is highest (ES > 0) or lowest (ES < 0)."""
        return np.where(self.scores() > 0, self.above.argmax(axis=0), self.below.argmin(axis=0))


@dataclass(frozen=True, eq=False)
class RunningSum:
    """One gene set along one ranking, for plots."""

    rank: Int[np.ndarray, " boundaries"]
    """Number of genes passed at each boundary between blocks of tied genes, from 0 to n_genes."""
    value: Float[np.ndarray, " boundaries"]
    """The running sum there, from 0 to 0."""
    hits: Int[np.ndarray, " hits"]
    """Ranks of the set's genes, 0 = highest score."""
    scores: Float[np.ndarray, " genes"]
    """Scores in rank order."""
    es: float
    peak: int
    """The entry of `rank` where the running sum is furthest from 0."""
    leading_edge: tuple[str, ...]
    """Genes up to the peak (ES > 0) or from it on (ES < 0), the most extreme score first."""


def running_sum(scores: pd.Series, genes: Collection[str]) -> RunningSum:
    """Follow the running sum of one gene set along one ranking.

    Parameters
    ----------
    scores
        Scores of one concept, indexed by gene; NaN is outside the universe.
    genes
        Genes of the term; those without a score are left out.

    Returns
    -------
    The curve at every block boundary, the set's ranks and its leading edge.

    Raises
    ------
    InputError
        If none or all of the scored genes belong to the set.
    """
    ranked = scores.dropna().sort_index().sort_values(ascending=False, kind="stable")
    values = ranked.to_numpy(dtype=np.float64)
    member = np.asarray(ranked.index.isin(list(genes)))
    if not 0 < member.sum() < len(member):
        msg = (
            f"{member.sum()} of the {len(member)} scored genes belong to the set; the running sum needs at least one "
            "gene inside and one outside. Check that set and scores name genes alike."
        )
        raise InputError(msg)
    boundary = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1], [True]]))
    value = _curve(np.abs(values), member)[boundary]
    peak = int(np.argmax(value) if value.max() > -value.min() else np.argmin(value))
    es = float(value[peak])
    hits = np.flatnonzero(member)
    edge = hits[hits < boundary[peak]] if es > 0 else hits[hits >= boundary[peak]][::-1]
    leading = tuple(str(gene) for gene in ranked.index[edge]) if es != 0 else ()
    return RunningSum(boundary, value, hits, values, es, peak, leading)


def _curve(
    weights: Float[np.ndarray, " genes"], member: Bool[np.ndarray, " genes"]
) -> Float[np.ndarray, " genes_plus_one"]:
    """Return the running sum before the first and after every gene; all 0 if the set has no weight."""
    total = weights[member].sum()
    if total == 0:
        return np.zeros(len(weights) + 1)
    steps = np.where(member, weights / total, -1 / (len(member) - member.sum()))
    return np.concatenate([[0.0], np.cumsum(steps)])
