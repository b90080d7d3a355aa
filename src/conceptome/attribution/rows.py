"""One concept's row of an attribution: scores, uncertainty, test and null control from its effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import get_args

import numpy as np
from jaxtyping import Bool, Float, Int
from threadpoolctl import threadpool_limits

from conceptome.attribution.edit_effects import Probe
from conceptome.attribution.gradients import GradientProbe
from conceptome.attribution.summary import (
    Aggregate,
    attribution,
    bootstrap,
    first_of_each,
    numerator,
    per_factual,
    sign_consistency,
    sign_test,
    standard_error,
)
from conceptome.core import (
    Effects,
    InputError,
    Names,
    PairEffects,
    Pairs,
    require_at_least,
    require_choice,
)

FLOOR_PERCENTILE = 95
MIN_FLIPS = 1000


@dataclass(frozen=True)
class Settings:
    """How effects are summarised and tested."""

    aggregate: Aggregate
    n_bootstrap: int
    n_flips: int
    alpha: float
    seed: int

    def __post_init__(self) -> None:
        require_choice("aggregate", self.aggregate, get_args(Aggregate))
        for name, least in (("n_bootstrap", 2), ("n_flips", MIN_FLIPS), ("seed", 0)):
            require_at_least(name, getattr(self, name), least)
        if not 0 < self.alpha < 1:
            msg = f"alpha is {self.alpha}, expected a false discovery rate between 0 and 1."
            raise InputError(msg)


@dataclass(frozen=True, eq=False)
class Row:
    """One concept's row in every array of `Attributions`."""

    attribution: Float[np.ndarray, " genes"]
    se: Float[np.ndarray, " genes"]
    ci_low: Float[np.ndarray, " genes"]
    ci_high: Float[np.ndarray, " genes"]
    effect_act: Float[np.ndarray, " genes"]
    effect_pre: Float[np.ndarray, " genes"]
    n_differing: Int[np.ndarray, " genes"]
    sign_consistency: Float[np.ndarray, " genes"]
    p: Float[np.ndarray, " genes"]
    q: Float[np.ndarray, " genes"]
    drives: Bool[np.ndarray, " genes"]
    exact: Float[np.ndarray, " genes"]
    recall: Float[np.ndarray, " 3"]
    null_attribution: Float[np.ndarray, " genes"]
    null_se: Float[np.ndarray, " genes"]
    floor: float
    null_driver_rate: float
    n_pairs: int
    status: str
    n_edits: int
    """Edited cells that were measured."""
    effects: PairEffects | None
    """Effects in the single pairs; None where there are no pairs."""


@dataclass(frozen=True, eq=False)
class RowMaker:
    """Makes the row of any concept that was paired; all that a worker needs to know."""

    probe: Probe | GradientProbe
    pairs: Pairs
    settings: Settings

    def __call__(self, concept: int) -> Row:
        """Make the row of a concept."""
        with threadpool_limits(1, user_api="blas"):  # the same sums whatever the number of threads
            pairs = self.pairs.of(concept)
            return self._row(concept, [pairs, *self._null_halves(concept)])

    def _null_halves(self, concept: int) -> list[Pairs]:
        """Return the half that sets the floor and the half that checks it; nothing where there are none."""
        null = self.pairs.null
        if null is None or not self.probe.compares:
            return []
        mine = null.concept == concept
        halves = [null.take(mine & (null.pair % 2 == parity)) for parity in (0, 1)]
        return halves if len(halves[0]) else []

    def _row(self, concept: int, parts: list[Pairs]) -> Row:
        settings = self.settings
        rng = np.random.default_rng([settings.seed, concept])
        by_pair, *null = self.probe.effects(parts, concept)
        effects = per_factual(by_pair)
        score = attribution(effects, settings.aggregate)
        se, low, high = bootstrap(effects, settings.aggregate, n_bootstrap=settings.n_bootstrap, rng=rng)
        test = sign_test(first_of_each(by_pair), n_flips=settings.n_flips, alpha=settings.alpha, rng=rng)
        exact = _share_exact(by_pair)
        floor, null_score, null_se, null_rate = _null_control(null, settings, rng, n_units=len(score))
        return Row(
            attribution=score,
            se=se,
            ci_low=low,
            ci_high=high,
            effect_act=effects.act.mean(axis=0),
            effect_pre=effects.pre.mean(axis=0),
            n_differing=effects.differs.sum(axis=0),
            sign_consistency=sign_consistency(numerator(effects, settings.aggregate), score),
            p=test.p,
            q=test.q,
            drives=(test.q <= settings.alpha) & (np.abs(score) > floor) & (exact == 1),
            exact=exact,
            recall=np.full(3, np.nan) if by_pair.recall is None else by_pair.recall,
            null_attribution=null_score,
            null_se=null_se,
            floor=floor,
            null_driver_rate=null_rate,
            n_pairs=len(effects.factual),
            status="underpowered" if test.underpowered else "ok",
            n_edits=sum(_n_measured(part) for part in (by_pair, *null)),
            effects=_sparse(by_pair, self.probe.units),
        )


def _null_control(
    null: list[Effects], settings: Settings, rng: np.random.Generator, *, n_units: int
) -> tuple[float, Float[np.ndarray, " genes"], Float[np.ndarray, " genes"], float]:
    """Return the floor from one half of the null pairs; score, its error and driver rate of the other."""
    if not null:
        return np.nan, np.full(n_units, np.nan), np.full(n_units, np.nan), np.nan
    first, second = (attribution(half, settings.aggregate) for half in null)
    differing = null[0].differs.any(axis=0)
    floor = float(np.percentile(np.abs(first[differing]), FLOOR_PERCENTILE)) if differing.any() else np.nan
    test = sign_test(null[1], n_flips=settings.n_flips, alpha=settings.alpha, rng=rng)
    called = (test.q <= settings.alpha) & (np.abs(second) > floor) & (_share_exact(null[1]) == 1)
    n_tested = int((~np.isnan(test.q)).sum())
    rate = float(called.sum() / n_tested) if n_tested and np.isfinite(floor) else np.nan
    error = standard_error(null[1], settings.aggregate, n_bootstrap=settings.n_bootstrap, rng=rng)
    return floor, second, error, rate


def _n_measured(effects: Effects) -> int:
    return int((effects.differs if effects.exact is None else effects.differs & effects.exact).sum())


def _share_exact(effects: Effects) -> Float[np.ndarray, " genes"]:
    """Return the share of the pairs in which a gene differs whose effect was measured; 1 if it never does."""
    if effects.exact is None:
        return np.ones(effects.differs.shape[1])
    estimated = (effects.differs & ~effects.exact).sum(axis=0)
    return np.asarray(1 - estimated / np.maximum(effects.differs.sum(axis=0), 1))


def _sparse(effects: Effects, genes: Names) -> PairEffects:
    row, gene = np.nonzero(effects.differs)
    return PairEffects(
        concept=np.full(len(effects.factual), effects.concept),
        pair=effects.factual,
        activation=effects.activation,
        indptr=np.concatenate([[0], np.cumsum(effects.differs.sum(axis=1))]),
        gene=gene,
        act=effects.act[row, gene].astype(np.float32),
        pre=effects.pre[row, gene].astype(np.float32),
        genes=genes,
    )


def not_attributable(n_units: int, reason: str) -> Row:
    """Make the row of a concept without enough pairs.

    Parameters
    ----------
    n_units
        Genes, or sets of them.
    reason
        Why there are not enough.

    Returns
    -------
    A row of NaN.
    """
    unmeasured = np.full(n_units, np.nan)
    return Row(
        **dict.fromkeys(("attribution", "se", "ci_low", "ci_high", "effect_act", "effect_pre"), unmeasured),
        n_differing=np.zeros(n_units, dtype=np.int64),
        sign_consistency=unmeasured,
        p=unmeasured,
        q=unmeasured,
        drives=np.zeros(n_units, dtype=bool),
        exact=unmeasured,
        recall=np.full(3, np.nan),
        null_attribution=unmeasured,
        null_se=unmeasured,
        floor=np.nan,
        null_driver_rate=np.nan,
        n_pairs=0,
        status=f"not attributable: {reason}",
        n_edits=0,
        effects=None,
    )


def stack(rows: Mapping[int, Row]) -> dict[str, np.ndarray]:
    """Turn one row per concept into the arrays of `Attributions`, ordered by concept."""
    concepts = sorted(rows)
    arrays = {
        field.name: np.array([getattr(rows[concept], field.name) for concept in concepts])
        for field in fields(Row)
        if field.name not in {"n_edits", "effects"}
    }
    arrays["status"] = arrays["status"].astype(object)
    return arrays | {"concepts": np.array(concepts, dtype=np.int64)}
