"""Areas under ROC curves and shares, beside what chance reaches among genes of like expression."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import binomtest, rankdata

N_STRATA = 5
ROUNDING = 1e-12


def area(score: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> float:
    """Compute the area under the ROC curve, ties counted half; NaN where one side is empty."""
    n, n_positive = len(score), int(positive.sum())
    if not 0 < n_positive < n:
        return float("nan")
    ranks = float(rankdata(score)[positive].sum())
    return (ranks - n_positive * (n_positive + 1) / 2) / (n_positive * (n - n_positive))


def expression_strata(level: Float[np.ndarray, " genes"]) -> Int[np.ndarray, " genes"]:
    """Cut genes into five groups of equal size by their level of expression, 0 the lowest."""
    order = rankdata(level, method="ordinal") - 1
    return np.asarray(order * N_STRATA // max(len(level), 1), dtype=np.int64)


def mean_and_error(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Return mean and standard error over what is measured; NaN where that cannot be said."""
    measured = values[np.isfinite(values)]
    mean = float(measured.mean()) if len(measured) else float("nan")
    error = float(measured.std(ddof=1) / len(measured) ** 0.5) if len(measured) > 1 else float("nan")
    return mean, error


def sign_p(signs: Bool[np.ndarray, " signed"]) -> float:
    """Test one-sided whether more signs than half are right; NaN without any."""
    if not len(signs):
        return float("nan")
    return float(binomtest(int(signs.sum()), len(signs), alternative="greater").pvalue)


def against(name: str, value: float, null: Float[np.ndarray, " draws"]) -> dict[str, float]:
    """Return a value, the mean of its null and the share of draws, itself among them, that reach it."""
    drawn = null[np.isfinite(null)]
    if not np.isfinite(value) or not len(drawn):
        return {name: value, f"{name}_null": float("nan"), f"{name}_p": float("nan")}
    p = (1 + int((drawn >= value - ROUNDING).sum())) / (1 + len(drawn))
    return {name: value, f"{name}_null": float(drawn.mean()), f"{name}_p": p}
