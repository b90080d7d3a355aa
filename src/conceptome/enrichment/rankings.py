"""Rankings of genes and the running sum of a gene set along them, free of the order of tied genes.

The running sum is read at the boundaries of blocks of tied genes only [Subramanian05, with weight 1]. Its
highest value lies at the end of a block that holds a gene of the set and its lowest at the start of one, so
only those are computed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
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

    @property
    def n_zero(self) -> Int[np.ndarray, " concepts"]:
        """Number of genes with score 0 in each concept."""
        return np.asarray((self.weights == 0).sum(axis=0))

    def ranks_of(self, genes: Int[np.ndarray, "hits sets"]) -> Int[np.ndarray, "hits sets concepts"]:
        """Return the ranks of sets of genes in each concept, ascending along the first axis."""
        return np.sort(self.ranks[genes], axis=0)

    def scores(
        self, ranks: Int[np.ndarray, "hits sets"] | Int[np.ndarray, "hits sets concepts"]
    ) -> Float[np.ndarray, "sets concepts"]:
        """Compute ES, the point of the running sum that is furthest from 0.

        Parameters
        ----------
        ranks
            Ranks of each set's genes, ascending along the first axis; the same for every concept or one set
            of ranks for each.

        Returns
        -------
        ES; 0 for sets that lie wholly among zero scores.
        """
        walk = _Walk.of(self, ranks)
        highest, lowest = np.full((2, *walk.total.shape), [[[-np.inf]], [[np.inf]]])
        for above, below in walk:
            np.maximum(highest, above, out=highest)
            np.minimum(lowest, below, out=lowest)
        return walk.furthest(highest, lowest)

    def scores_and_peaks(
        self, ranks: Int[np.ndarray, "hits sets concepts"]
    ) -> tuple[Float[np.ndarray, "sets concepts"], Int[np.ndarray, "sets concepts"]]:
        """Compute ES and the hit at which the running sum is furthest from 0.

        Parameters
        ----------
        ranks
            As for `scores`.

        Returns
        -------
        ES, and for ES > 0 the last hit of the leading edge, for ES < 0 the first.
        """
        walk = _Walk.of(self, ranks)
        highest, lowest = np.full((2, *walk.total.shape), [[[-np.inf]], [[np.inf]]])
        top, bottom = np.zeros((2, *walk.total.shape), dtype=np.int64)
        for hit, (above, below) in enumerate(walk):
            top[above > highest] = hit
            bottom[below < lowest] = hit
            np.maximum(highest, above, out=highest)
            np.minimum(lowest, below, out=lowest)
        es = walk.furthest(highest, lowest)
        return es, np.where(es > 0, top, bottom)


@dataclass(frozen=True, eq=False)
class _Walk:
    """The running sums of many sets, hit by hit, in units of one miss.

    Yields the value at the end and at the start of each hit's block. With several hits in one block, the last
    has the true value at the block's end and the others a lower one, the first has the true value at its
    start and the others a higher one; so maxima of the former and minima of the latter are true.
    """

    rankings: Rankings
    ranks: Int[np.ndarray, "hits sets ..."]
    total: Float[np.ndarray, "sets concepts"]
    """Sum of the hits' weights; 0 where a set lies wholly among zero scores."""

    @classmethod
    def of(cls, rankings: Rankings, ranks: Int[np.ndarray, "hits sets ..."]) -> _Walk:
        n_concepts = rankings.weights.shape[1]
        if ranks.ndim == 3:
            ranks = ranks * n_concepts + np.arange(n_concepts)  # positions in the flat tables
        total = np.zeros((ranks.shape[1], n_concepts))
        weights = np.empty_like(total)
        for hit in ranks:
            total += _take(rankings.weights, hit, out=weights)
        return cls(rankings, ranks, total)

    @property
    def n_misses(self) -> int:
        return self.rankings.n_genes - len(self.ranks)

    def __iter__(
        self,
    ) -> Iterator[tuple[Float[np.ndarray, "sets concepts"], Float[np.ndarray, "sets concepts"]]]:
        misses_per_weight = np.divide(
            self.n_misses, self.total, out=np.zeros_like(self.total), where=self.total > 0
        )
        hits_and_weight = np.zeros_like(self.total)  # hits passed + their weight, both in misses
        weights, above, below = np.empty((3, *self.total.shape))
        for hit in self.ranks:
            _take(self.rankings.starts, hit, out=below)
            np.subtract(hits_and_weight, below, out=below)
            _take(self.rankings.weights, hit, out=weights)
            weights *= misses_per_weight
            hits_and_weight += weights
            hits_and_weight += 1
            _take(self.rankings.ends, hit, out=above)
            np.subtract(hits_and_weight, above, out=above)
            yield above, below

    def furthest(
        self, highest: Float[np.ndarray, "sets concepts"], lowest: Float[np.ndarray, "sets concepts"]
    ) -> Float[np.ndarray, "sets concepts"]:
        return np.where(self.total > 0, np.where(highest > -lowest, highest, lowest) / self.n_misses, 0.0)


def _take(
    table: Float[np.ndarray, "genes concepts"],
    hit: Int[np.ndarray, ...],
    *,
    out: Float[np.ndarray, "sets concepts"],
) -> Float[np.ndarray, "sets concepts"]:
    # mode "clip" spares a copy of `out`; no rank is out of range
    if hit.ndim == 1:
        return np.take(table, hit, axis=0, out=out, mode="clip")
    return np.take(table.ravel(), hit, out=out, mode="clip")


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
            f"{member.sum()} of the {len(member)} scored genes belong to the set; the running sum needs at "
            "least one gene inside and one outside. Check that set and scores name genes alike."
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
