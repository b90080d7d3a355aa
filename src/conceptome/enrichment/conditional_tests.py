"""Tests of one concept's sets that lost genes, or to which genes belong in part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int, UInt32
from scipy.stats import hypergeom

from conceptome.enrichment.engine import run_tests
from conceptome.enrichment.null import random_ranks
from conceptome.enrichment.rankings import OwnScores, Rankings
from conceptome.enrichment.significance import significance

ROUNDING = 1e-9  # sums of shares that are whole but for rounding stay whole


@dataclass(frozen=True, eq=False)
class PrerankedTest:
    """The preranked test in one concept."""

    ranking: Rankings
    min_size: int
    n_permutations: int
    seed: int

    def of_sets(
        self, sets: Sequence[Int[np.ndarray, " _hits"]]
    ) -> tuple[Float[np.ndarray, " sets"], Float[np.ndarray, " sets"]]:
        """Return p and NES of sets; NaN where one has fewer than `min_size` genes."""
        p, nes = np.full((2, len(sets)), np.nan)
        large = [at for at, genes in enumerate(sets) if len(genes) >= self.min_size]
        if large:
            found = run_tests(
                [self.ranking],
                [sets[at] for at in large],
                n_permutations=self.n_permutations,
                seed=self.seed,
                progress=False,
            )
            p[large], nes[large] = found.p[0], found.nes[0]
        return p, nes

    def of_shares(
        self, genes: Int[np.ndarray, " hits"], shares: Float[np.ndarray, " hits"]
    ) -> tuple[float, float]:
        """Return p and NES of a set to which genes belong in part.

        A gene that belongs with share w adds w of its weight and w of a hit, and 1 - w of a miss. Null sets
        have the same shares, at random among their genes; NaN where fewer than `min_size` genes belong.
        """
        genes, shares = genes[shares > 0], shares[shares > 0]
        if len(genes) < self.min_size:
            return np.nan, np.nan
        n_genes, size = self.ranking.n_genes, len(genes)
        ranks = self.ranking.ranks[0, genes]
        order = np.argsort(ranks)
        es = self._scores(ranks[order][None], shares[order][None])
        drawn = random_ranks(n_genes, size, n_sets=self.n_permutations, seed=self.seed)
        rng = np.random.default_rng([self.seed, n_genes, size, 1])
        null = self._scores(drawn, rng.permuted(np.tile(shares, (len(drawn), 1)), axis=1))
        own = OwnScores(es[None], es[None], np.zeros((1, 1), dtype=np.int64))
        found = significance(own, null[:, None], size=size, n_genes=n_genes, n_zero=self.ranking.n_zero)
        return float(found.p[0, 0]), float(found.nes[0, 0])

    def _scores(
        self, ranks: UInt32[np.ndarray, "sets hits"], shares: Float[np.ndarray, "sets hits"]
    ) -> Float[np.ndarray, " sets"]:
        """Compute ES; the running sum is counted in misses, at the ends and starts of blocks of ties."""
        weights = self.ranking.weights[0, ranks] * shares
        total = weights.sum(axis=1)
        n_misses = self.ranking.n_genes - shares.sum(axis=1)
        scale = np.divide(n_misses, total, out=np.zeros_like(total), where=total > 0)
        steps = weights * scale[:, None] + shares
        passed = np.cumsum(steps, axis=1)
        highest = (passed - self.ranking.ends[0, ranks]).max(axis=1)
        lowest = (passed - steps - self.ranking.starts[0, ranks]).min(axis=1)
        return np.where(total > 0, np.where(highest > -lowest, highest, lowest) / n_misses, 0.0)


@dataclass(frozen=True, eq=False)
class OverRepresentationTest:
    """Fisher's exact test in one concept, as in [Alexa06]; there is no NES."""

    selected: Bool[np.ndarray, " genes"]
    min_size: int

    def of_sets(
        self, sets: Sequence[Int[np.ndarray, " _hits"]]
    ) -> tuple[Float[np.ndarray, " sets"], Float[np.ndarray, " sets"]]:
        """Return p and NaN of sets; p is NaN where one has fewer than `min_size` genes."""
        size = np.array([len(genes) for genes in sets], dtype=np.int64)
        hits = np.array([self.selected[genes].sum() for genes in sets], dtype=np.int64)
        p = hypergeom.sf(hits - 1, len(self.selected), self.selected.sum(), size)
        return np.where(size >= self.min_size, p, np.nan), np.full(len(sets), np.nan)

    def of_shares(
        self, genes: Int[np.ndarray, " hits"], shares: Float[np.ndarray, " hits"]
    ) -> tuple[float, float]:
        """Return p and NaN of a set to which genes belong in part; sums of shares are rounded up."""
        if (shares > 0).sum() < self.min_size:
            return np.nan, np.nan
        hits = np.ceil(shares[self.selected[genes]].sum() - ROUNDING)
        size = np.ceil(shares.sum() - ROUNDING)
        p = hypergeom.sf(hits - 1, len(self.selected), self.selected.sum(), size)
        return float(p), np.nan


ConditionalTest: TypeAlias = PrerankedTest | OverRepresentationTest
