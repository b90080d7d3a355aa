"""Rankings of genes and the running sum of a gene set along them, free of the order of tied genes.

The running sum is read at the boundaries of blocks of tied genes only [Subramanian05, with weight 1]. Its
highest value lies at the end of a block that holds a gene of the set and its lowest at the start of one, so
only those are computed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Int, UInt32, UInt64

from conceptome.core import InputError
from conceptome.enrichment import kernels

SHIFT = np.uint64(32)  # puts the number of a set before a rank


@dataclass(frozen=True, eq=False)
class Rankings:
    """Genes of one universe in descending score order, for each concept; rank 0 is the highest score."""

    weights: Float[np.ndarray, "concepts genes"]
    """|score| by rank."""
    single: Float32[np.ndarray, "concepts genes"]
    """The same in single precision, scaled to a largest value of 0.5 to 1."""
    starts: Float32[np.ndarray, "concepts genes"]
    """By rank, the first rank of the block of equal scores."""
    ends: Float32[np.ndarray, "concepts genes"]
    """By rank, one past the last rank of the block of equal scores."""
    order: UInt32[np.ndarray, "concepts genes"]
    """By rank, the gene's position in the universe."""
    ranks: UInt32[np.ndarray, "concepts genes"]
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
        order = np.argsort(-scores, axis=1, kind="stable").astype(np.uint32)
        ordered = np.take_along_axis(scores, order, axis=1)
        ranks = np.empty_like(order)
        rank = np.arange(scores.shape[1], dtype=np.uint32)[None]
        np.put_along_axis(ranks, order, np.broadcast_to(rank, order.shape), axis=1)
        differs = ordered[:, 1:] != ordered[:, :-1]
        first, last = np.ones((2, *ordered.shape), dtype=bool)
        first[:, 1:], last[:, :-1] = differs, differs
        starts = np.maximum.accumulate(np.where(first, rank, 0), axis=1)
        ends = np.minimum.accumulate(np.where(last, rank + 1, rank.size)[:, ::-1], axis=1)[:, ::-1]
        weights = np.abs(ordered)
        single = np.ldexp(weights, -np.frexp(weights.max(axis=1, keepdims=True))[1]).astype(np.float32)
        exact = np.float32  # there are fewer than 2^24 genes
        return cls(weights, single, starts.astype(exact), ends.astype(exact), order, ranks)

    @property
    def n_genes(self) -> int:
        """Number of genes in the universe."""
        return int(self.weights.shape[1])

    @property
    def n_concepts(self) -> int:
        """Number of concepts."""
        return len(self.weights)

    @cached_property
    def n_zero(self) -> Int[np.ndarray, " concepts"]:
        """Number of genes with score 0 in each concept."""
        return np.asarray((self.weights == 0).sum(axis=1))

    @cached_property
    def _side_by_side(self) -> tuple[kernels.Tables, Bool[np.ndarray, " genes"]]:
        """The tables that `kernels.score_shared` reads, concepts side by side, and the ranks with ties."""
        alone = self.ends - self.starts == 1
        tied = np.asarray((~alone & (self.weights != 0)).any(axis=0))
        weights, starts, ends = map(np.ascontiguousarray, (self.single.T, self.starts.T, self.ends.T))
        return (weights, starts, ends), tied

    def scores(self, ranks: UInt32[np.ndarray, "sets hits"]) -> Float32[np.ndarray, "sets concepts"]:
        """Compute ES of sets that stand at the same ranks in every concept, in single precision.

        Parameters
        ----------
        ranks
            Ranks of each set's genes, ascending.

        Returns
        -------
        The point of the running sum that is furthest from 0; 0 for sets that lie wholly among zero scores.
        """
        scores = np.empty((len(ranks), self.n_concepts), dtype=np.float32)
        first, second, third, fourth = (np.empty(self.n_concepts, dtype=np.float32) for _ in range(4))
        tables, tied = self._side_by_side
        kernels.score_shared(tables, tied, ranks, scores, (first, second, third, fourth))
        return scores

    def scores_of(self, sets: Sequence[Int[np.ndarray, " _hits"]]) -> OwnScores:
        """Compute ES of sets of genes, and the hit at which the running sum is furthest from 0.

        Parameters
        ----------
        sets
            Positions of the genes of each set in the universe.
        """
        shape = (self.n_concepts, len(sets))
        es, single, peaks = np.empty(shape), np.empty(shape, np.float32), np.empty(shape, np.int64)
        members = Members.of(sets)
        bounds = np.concatenate([[0], np.cumsum(members.sizes)])
        for concept, tables in enumerate(zip(self.weights, self.single, self.starts, self.ends, strict=True)):
            hits = members.hits(self.ranks[concept])
            kernels.score_own(tables, (hits, bounds), (es[concept], single[concept], peaks[concept]))
        return OwnScores(es, single, peaks)


@dataclass(frozen=True, eq=False)
class Members:
    """The genes of many sets, set by set."""

    genes: Int[np.ndarray, " hits"]
    """Positions in the universe."""
    set_of: UInt64[np.ndarray, " hits"]
    sizes: Int[np.ndarray, " sets"]

    @classmethod
    def of(cls, sets: Sequence[Int[np.ndarray, " _hits"]]) -> Members:
        """Put the genes of sets one after the other."""
        sizes = np.array([len(genes) for genes in sets], dtype=np.int64)
        return cls(np.concatenate(sets), np.repeat(np.arange(len(sets), dtype=np.uint64), sizes), sizes)

    def some(self, chosen: Bool[np.ndarray, " sets"]) -> Members:
        """Leave out sets."""
        kept = np.repeat(chosen, self.sizes)
        return Members(self.genes[kept], self.set_of[kept], self.sizes[chosen])

    def hits(self, ranks: UInt32[np.ndarray, " genes"]) -> UInt32[np.ndarray, " hits"]:
        """Return the ranks of the genes set by set, ascending within each.

        Parameters
        ----------
        ranks
            Rank of each gene of the universe.
        """
        both = (self.set_of << SHIFT) | ranks[self.genes]
        both.sort()
        return np.asarray(both, dtype=np.uint32)  # the lower half


@dataclass(frozen=True, eq=False)
class OwnScores:
    """What sets of genes score in each concept."""

    es: Float[np.ndarray, "concepts sets"]
    single: Float[np.ndarray, "concepts sets"]
    """ES as `Rankings.scores` rounds it: what the null scores are compared with."""
    peak: Int[np.ndarray, "concepts sets"]
    """For ES > 0 the set's last hit in the leading edge, counted from the highest score, else the first."""

    @classmethod
    def joined(cls, parts: Sequence[OwnScores]) -> OwnScores:
        """Put concepts one after the other."""
        es, single, peak = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("es", "single", "peak")
        )
        return cls(es, single, peak)

    def of(self, chosen: Int[np.ndarray, " _sets"]) -> OwnScores:
        """Return the scores of some sets."""
        return OwnScores(self.es[:, chosen], self.single[:, chosen], self.peak[:, chosen])


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
