"""From ES and its null to NES and p."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln

TAIL_SHARE = 0.25  # largest share of the same-sign null that the tail is fitted to
FEW_EXCEEDANCES = 10  # p is counted where at least as many null scores are as extreme, and fitted beyond
MIN_TAIL = 20  # null scores a tail needs; with fewer of the same sign p stays the counted one


@dataclass(frozen=True, eq=False)
class Significance:
    """NES and p of sets of one size; arrays are sets x concepts."""

    nes: Float[np.ndarray, "sets concepts"]
    """ES / mean |null ES of the same sign|; 0 where ES is 0, NaN where no null score has the sign."""
    p: Float[np.ndarray, "sets concepts"]
    p_empirical: Float[np.ndarray, "sets concepts"]


def significance(
    es: Float[np.ndarray, "sets concepts"],
    null: Float[np.ndarray, "permutations concepts"],
    *,
    log_smallest_p: float,
) -> Significance:
    """Compare scores with the null scores of the same sign.

    Parameters
    ----------
    es
        ES of sets of one size.
    null
        ES of random sets of that size.
    log_smallest_p
        Natural logarithm of the smallest p that gene permutation can give, the floor of the fitted p.

    Returns
    -------
    NES, ``p_empirical = (b + 1) / (m + 1)`` with b of the m same-sign null scores at least as extreme, and
    `p`, equal to it where b >= 10 and tail-fitted beyond.
    """
    nes, p, p_empirical = np.zeros_like(es), np.ones_like(es), np.ones_like(es)
    for sign in (1.0, -1.0):
        meant = es * sign > 0
        if meant.any():
            tail = _Tail.of(null * sign)
            at = np.abs(es)
            beyond = tail.count_beyond(at)
            counted = (beyond + 1) / (tail.n_same_sign + 1)
            fitted = np.maximum(tail.p(at), np.exp(max(log_smallest_p, np.log(np.finfo(float).tiny))))
            use_fit = (beyond < FEW_EXCEEDANCES) & (tail.n_tail >= MIN_TAIL)
            nes = np.where(meant, es / tail.mean, nes)
            p_empirical = np.where(meant, counted, p_empirical)
            p = np.where(meant, np.where(use_fit, fitted, counted), p)
    return Significance(nes, p, p_empirical)


def log_smallest_p(n_genes: int, size: int) -> float:
    """Return the natural logarithm of 1 / (number of sets of this size)."""
    return float(gammaln(size + 1) + gammaln(n_genes - size + 1) - gammaln(n_genes + 1))


@dataclass(frozen=True, eq=False)
class _Tail:
    """Null scores of one sign and the exponential tail fitted to the largest."""

    magnitudes: Float[np.ndarray, "permutations concepts"]
    """Descending; -1 stands for scores of the other sign."""
    n_same_sign: Int[np.ndarray, " concepts"]
    n_tail: Int[np.ndarray, " concepts"]
    mean: Float[np.ndarray, " concepts"]
    threshold: Float[np.ndarray, " concepts"]
    excess: Float[np.ndarray, " concepts"]
    """Mean of rate(x) - rate(threshold) over the tail."""

    @classmethod
    def of(cls, null: Float[np.ndarray, "permutations concepts"]) -> _Tail:
        magnitudes = -np.sort(-np.where(null > 0, null, -1.0), axis=0)
        same = magnitudes > 0
        n_same = same.sum(axis=0)
        n_tail = (TAIL_SHARE * n_same).astype(np.int64)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(same, magnitudes, 0.0).sum(axis=0) / n_same
        threshold = np.take_along_axis(magnitudes, n_tail[None, :], axis=0)[0]
        in_tail = np.arange(len(magnitudes))[:, None] < n_tail
        over = np.where(in_tail, _rate(magnitudes) - _rate(threshold), 0.0).sum(axis=0)
        return cls(magnitudes, n_same, n_tail, mean, threshold, over / np.maximum(n_tail, 1))

    def count_beyond(self, at: Float[np.ndarray, "sets concepts"]) -> Int[np.ndarray, "sets concepts"]:
        return (self.magnitudes[:, None, :] >= at[None]).sum(axis=0)

    def p(self, at: Float[np.ndarray, "sets concepts"]) -> Float[np.ndarray, "sets concepts"]:
        share = self.n_tail / np.maximum(self.n_same_sign, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.minimum(share * np.exp(-(_rate(at) - _rate(self.threshold)) / self.excess), 1.0)


def _rate(x: np.ndarray) -> np.ndarray:
    return x**2
