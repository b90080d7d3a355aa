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
from jaxtyping import Bool, Float, Float32, Int, UInt32

from conceptome.core import InputError
from conceptome.enrichment import kernels


@dataclass(frozen=True, eq=False)
class Rankings:
    """Genes of one universe in descending score order, for each concept; rank 0 is the highest score."""

    weights: Float[np.ndarray, "genes concepts"]
    """|score| by rank."""
    starts: Float32[np.ndarray, "genes concepts"]
    """By rank, the first rank of the block of equal scores."""
    ends: Float32[np.ndarray, "genes concepts"]
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
        return cls(
            weights=np.ascontiguousarray(np.abs(ordered).T),
            starts=np.ascontiguousarray(starts.T, dtype=np.float32),  # exact: there are fewer than 2^24 genes
            ends=np.ascontiguousarray(ends.T, dtype=np.float32),
            order=order,
            ranks=ranks,
        )

    @property
    def n_genes(self) -> int:
        """Number of genes in the universe."""
        return len(self.weights)

    @property
    def n_concepts(self) -> int:
        """Number of concepts."""
        return len(self.order)

    @property
    def n_zero(self) -> Int[np.ndarray, " concepts"]:
        """Number of genes with score 0 in each concept."""
        return np.asarray((self.weights == 0).sum(axis=0))

    @property
    def tables(self) -> kernels.Tables:
        """What the compiled running sums read."""
        return self.weights, self.starts, self.ends

    def scores(self, ranks: UInt32[np.ndarray, "sets hits"]) -> Float[np.ndarray, "sets concepts"]:
        """Compute ES of sets that stand at the same ranks in every concept.

        Parameters
        ----------
        ranks
            Ranks of each set's genes, ascending.

        Returns
        -------
        The point of the running sum that is furthest from 0; 0 for sets that lie wholly among zero scores.
        """
        scores = np.empty((len(ranks), self.n_concepts))
        first, second, third, fourth = (np.empty(self.n_concepts) for _ in range(4))
        kernels.score_shared(self.tables, ranks, scores, (first, second, third, fourth))
        return scores

    def scores_and_peaks(
        self, genes: Int[np.ndarray, "sets hits"]
    ) -> tuple[Float[np.ndarray, "sets concepts"], Int[np.ndarray, "sets concepts"]]:
        """Compute ES of sets of genes, and the hit at which the running sum is furthest from 0.

        Parameters
        ----------
        genes
            Positions of each set's genes in the universe.

        Returns
        -------
        ES as of `scores`, and for ES > 0 the last hit of the leading edge, for ES < 0 the first.
        """
        scores = np.empty((self.n_concepts, len(genes)))
        peaks = np.empty(scores.shape, dtype=np.int64)
        for concept in range(self.n_concepts):
            kernels.score_own(
                self.tables, concept, self.ranks_of(genes, concept), scores[concept], peaks[concept]
            )
        return scores.T, peaks.T

    def ranks_of(self, genes: Int[np.ndarray, "sets hits"], concept: int) -> UInt32[np.ndarray, "sets hits"]:
        """Return the ranks of sets of genes in one concept, ascending within each set.

        Parameters
        ----------
        genes
            Positions of each set's genes in the universe.
        concept
            Which of the concepts.
        """
        return np.sort(self.ranks[concept][genes], axis=1)


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
