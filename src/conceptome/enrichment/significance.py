"""From ES and its null to NES and p.

Where at least ten null scores are as extreme, p is counted. Beyond, an exponential tail in
``rate(x) = x artanh(x)`` is fitted to the largest tenth of the null scores of the same sign and read at the
observed score. Twice that rate is the large-deviation rate of the largest gap between hits and misses when
all hits weigh the same (the divergence between shares (1 + x) / 2 and (1 - x) / 2): x^2 for small x, but
growing without bound as x nears 1, as a score that cannot exceed 1 demands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.special import gammaln

from conceptome.enrichment import kernels
from conceptome.enrichment.rankings import OwnScores

TAIL_SHARE = 0.1
MIN_TAIL = 30  # null scores a tail is fitted to, at least; with fewer than twice as many p stays counted
FEW_BEYOND = 10


@dataclass(frozen=True, eq=False)
class Significance:
    """NES and p of sets of one size."""

    nes: Float[np.ndarray, "concepts sets"]
    """ES / mean |null ES of the same sign|; 0 where ES is 0, NaN where no null score has the sign."""
    p: Float[np.ndarray, "concepts sets"]
    p_empirical: Float[np.ndarray, "concepts sets"]


def significance(
    own: OwnScores,
    null: Float[np.ndarray, "permutations concepts"],
    *,
    size: int,
    n_genes: int,
    n_zero: Int[np.ndarray, " concepts"],
) -> Significance:
    """Compare scores with the null scores of the same sign.

    Parameters
    ----------
    own
        ES of sets of one size.
    null
        ES of random sets of that size, rounded as `own.single`.
    size
        Genes in each set.
    n_genes
        Genes in the universe.
    n_zero
        Genes with score 0 in each concept.

    Returns
    -------
    NES, ``p_empirical = (b + 1) / (m + 1)`` with b of the m same-sign null scores at least as extreme, and
    `p`, equal to it where b >= 10 or m < 60, tail-fitted elsewhere and never 0.
    """
    at = np.abs(own.es)
    smallest = np.exp(_log_smallest_p(at, size=size, n_genes=n_genes, n_zero=n_zero))
    nes, p, p_empirical = np.zeros_like(at), np.ones_like(at), np.ones_like(at)
    # one row per concept: sums along rows round alike however many concepts there are
    ordered = np.sort(np.ascontiguousarray(null.T), axis=1)
    for sign, ascending in ((-1, ordered), (1, -ordered[:, ::-1])):
        meant = own.es * sign > 0
        if meant.any():
            tail = _Tail.of(ascending)
            beyond = tail.count_beyond(np.abs(own.single))
            counted = (beyond + 1) / (tail.n_same_sign + 1)[:, None]
            use_fit = (beyond < FEW_BEYOND) & (tail.n_same_sign >= 2 * MIN_TAIL)[:, None]
            nes = np.where(meant, own.es / tail.mean[:, None], nes)
            p_empirical = np.where(meant, counted, p_empirical)
            p = np.where(meant, np.where(use_fit, np.maximum(tail.p(at), smallest), counted), p)
    return Significance(nes, p, p_empirical)


def _log_smallest_p(
    at: Float[np.ndarray, "concepts sets"], *, size: int, n_genes: int, n_zero: Int[np.ndarray, " concepts"]
) -> Float[np.ndarray, "concepts sets"]:
    """Bound p from below, exactly: by one set of all, and by the sets with one gene that is not zero.

    Such a set reaches 1 - r / misses when its one gene stands at rank r, a jump that no tail foresees.
    """
    log_sets = _log_choose(n_genes, size)
    ranks = np.floor((1 - at) * (n_genes - size) + 1e-6) + 1
    log_lonely = np.log(ranks) + _log_choose(n_zero, size - 1)[:, None]
    bound = np.maximum(np.maximum(log_lonely, 0.0) - log_sets, np.log(np.finfo(np.float64).tiny))
    return np.asarray(bound)


def _log_choose(n: int | Int[np.ndarray, " concepts"], k: int) -> Float[np.ndarray, ...]:
    count = np.asarray(n, dtype=np.float64)
    chosen = gammaln(count + 1) - gammaln(k + 1) - gammaln(np.maximum(count - k, 0) + 1)
    return np.where(count >= k, chosen, -np.inf)


@dataclass(frozen=True, eq=False)
class _Tail:
    """Null scores of one sign and the exponential tail fitted to the largest."""

    ascending: Float[np.ndarray, "concepts permutations"]
    """Minus the magnitudes; 0 or more stands for scores of the other sign."""
    n_same_sign: Int[np.ndarray, " concepts"]
    mean: Float[np.ndarray, " concepts"]
    share: Float[np.ndarray, " concepts"]
    """Share of the same-sign scores in the tail."""
    threshold: Float[np.ndarray, " concepts"]
    """Rate at which the tail begins."""
    excess: Float[np.ndarray, " concepts"]
    """Mean rate in the tail above the threshold."""

    @classmethod
    def of(cls, ascending: Float[np.ndarray, "concepts permutations"]) -> _Tail:
        same = ascending < 0
        n_same = same.sum(axis=1)
        n_tail = np.minimum(np.maximum((TAIL_SHARE * n_same).astype(np.int64), MIN_TAIL), n_same // 2)
        mean = _mean(-np.where(same, ascending, 0.0).sum(axis=1, dtype=np.float64), n_same)
        widest = max(
            int(TAIL_SHARE * ascending.shape[1]), MIN_TAIL
        )  # fixed: so sums round alike beside any concepts
        rates = _rate(np.maximum(-ascending[:, : widest + 1].astype(np.float64), 0.0))
        threshold = np.take_along_axis(rates, n_tail[:, None], axis=1)
        in_tail = np.arange(rates.shape[1]) < n_tail[:, None]
        excess = _mean(np.where(in_tail, rates - threshold, 0.0).sum(axis=1), n_tail)
        return cls(ascending, n_same, mean, _mean(n_tail, n_same), threshold[:, 0], excess)

    def count_beyond(self, at: Float[np.ndarray, "concepts sets"]) -> Int[np.ndarray, "concepts sets"]:
        counts = np.empty(at.shape, dtype=np.int64)
        kernels.count_up_to(self.ascending, -at, counts)
        return counts

    def p(self, at: Float[np.ndarray, "concepts sets"]) -> Float[np.ndarray, "concepts sets"]:
        """Return the fitted p; 0 where the null scores of the tail do not differ."""
        threshold, excess = self.threshold[:, None], self.excess[:, None]
        steps = np.divide(_rate(at) - threshold, excess, out=np.full_like(at, np.inf), where=excess > 0)
        return np.asarray(self.share[:, None] * np.exp(-np.maximum(steps, 0.0)))


def _rate(x: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    return np.asarray(x * np.arctanh(np.minimum(x, 1 - 1e-12)))


def _mean(
    total: Shaped[np.ndarray, " concepts"], count: Int[np.ndarray, " concepts"]
) -> Float[np.ndarray, " concepts"]:
    return np.asarray(np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0))
