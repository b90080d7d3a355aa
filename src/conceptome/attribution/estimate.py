"""Attribution: from matched pairs to one score per concept and gene, with its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import get_args

import numpy as np
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from tqdm.auto import tqdm

from conceptome.attribution.edit_effects import Intervention, Probe, open_probe, select
from conceptome.attribution.summary import (
    Aggregate,
    attribution,
    bootstrap,
    numerator,
    per_factual,
    sign_consistency,
    sign_test,
)
from conceptome.core import (
    Attributions,
    Dictionary,
    Effects,
    Encoder,
    InputError,
    Pairs,
    require_at_least,
    require_choice,
)

FLOOR_PERCENTILE = 95
MIN_FLIPS = 1000


@dataclass(frozen=True)
class _Settings:
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
class _Row:
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
    null_attribution: Float[np.ndarray, " genes"]
    null_se: Float[np.ndarray, " genes"]
    floor: float
    null_driver_rate: float
    n_pairs: int
    status: str


def attribute(  # noqa: PLR0913 (the face fixed in api.md)
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    pairs: Pairs,
    *,
    intervention: Intervention = "substitute",
    aggregate: Aggregate = "relative",
    n_bootstrap: int = 1000,
    n_flips: int = 10_000,
    alpha: float = 0.05,
    batch_size: int = 4096,
    device: str = "cpu",
    seed: int = 0,
) -> Attributions:
    """Score every gene for every concept by what its counterfactual edit does to the activation.

    A gene drives a concept when q <= `alpha` and its |attribution| exceeds the concept's floor, the 95th
    percentile of |attribution| on the first half of the null pairs, over the genes that differ there. The
    second half, put to the same two conditions, gives `null_driver_rate`, the share of its tested genes that
    would be called drivers. All statistics are over factuals, with effects averaged over the counterfactuals
    of each.

    Parameters
    ----------
    adata
        The cells that `pairs` was made from.
    encoder
        The encoder whose embeddings the dictionary was trained on; it must be able to embed edited cells.
    dictionary
        The dictionary.
    pairs
        Matched pairs and their null pairs, from ``counterfactuals.match``.
    intervention
        ``"substitute"`` gives the factual the counterfactual's value. ``"mask"`` sets it to 0; it compares
        with no other cell, so that null pairs say nothing about it: floor and null driver rate are NaN and no
        gene is called a driver.
    aggregate
        ``"relative"``: sum of effects on the activation / sum of activations, 1 = switched off. ``"pre"``:
        mean effect on the pre-activation, which TopK eviction does not touch. p always tests the activation.
    n_bootstrap
        Resamples of the factuals for standard error and 95% interval.
    n_flips
        Random sign flips where exact enumeration is too long, at least 1000.
    alpha
        Level of the false discovery rate.
    batch_size
        Edited cells per forward pass; changes no result.
    device
        Where the encoder runs.
    seed
        Seed of bootstrap and flips, drawn for each concept on its own.

    Returns
    -------
    One row per concept that was asked of ``match``; rows of concepts that are not attributable are NaN and
    their status says why. Genes the encoder does not know are NaN.

    Raises
    ------
    InputError
        If the parts or options do not fit together, or the encoder cannot embed edited cells.
    DictionaryMismatchError
        If `pairs` or `encoder` belong to another dictionary.
    """
    settings = _Settings(aggregate, n_bootstrap, n_flips, alpha, seed)
    probe = open_probe(
        adata, encoder, dictionary, pairs, intervention=intervention, batch_size=batch_size, device=device
    )
    rows = {k: _not_attributable(adata.n_vars, reason) for k, reason in pairs.not_attributable.items()}
    concepts = np.unique(pairs.concept).tolist()
    noise = probe.noise(pairs) if concepts else np.nan
    if not concepts and not rows:
        msg = "pairs holds no concept at all. Match at least one concept."
        raise InputError(msg)
    for concept in tqdm(concepts, desc="attribution", unit="concept", disable=None):
        own = select(pairs, pairs.concept == concept)
        rows[concept] = _row(probe, own, _null_halves(pairs, concept, intervention), settings)
    return Attributions(
        **_stack(rows),
        genes=adata.var_names,
        dictionary_id=dictionary.dictionary_id,
        encoder_id=encoder.encoder_id,
        intervention=intervention,
        aggregate=aggregate,
        noise_floor=noise,
    )


def _null_halves(pairs: Pairs, concept: int, intervention: Intervention) -> list[Pairs]:
    """Return the half that sets the floor and the half that checks it; nothing where there are none."""
    if intervention == "mask" or pairs.null is None:
        return []
    mine = pairs.null.concept == concept
    halves = [select(pairs.null, mine & (pairs.null.pair % 2 == parity)) for parity in (0, 1)]
    return halves if len(halves[0]) else []


def _row(probe: Probe, pairs: Pairs, null_halves: list[Pairs], settings: _Settings) -> _Row:
    concept = int(pairs.concept[0])
    rng = np.random.default_rng([settings.seed, concept])
    effects = per_factual(probe.effects(pairs, concept))
    score = attribution(effects, settings.aggregate)
    se, low, high = bootstrap(effects, settings.aggregate, n_bootstrap=settings.n_bootstrap, rng=rng)
    test = sign_test(effects, n_flips=settings.n_flips, alpha=settings.alpha, rng=rng)
    null = [probe.effects(half, concept) for half in null_halves]
    floor, null_score, null_se, null_rate = _null_control(null, settings, rng, n_genes=len(score))
    return _Row(
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
        drives=(test.q <= settings.alpha) & (np.abs(score) > floor),
        null_attribution=null_score,
        null_se=null_se,
        floor=floor,
        null_driver_rate=null_rate,
        n_pairs=len(effects.factual),
        status="underpowered" if test.underpowered else "ok",
    )


def _null_control(
    null: list[Effects], settings: _Settings, rng: np.random.Generator, *, n_genes: int
) -> tuple[float, Float[np.ndarray, " genes"], Float[np.ndarray, " genes"], float]:
    """Return the floor from one half of the null pairs; score, its error and driver rate of the other."""
    if not null:
        return np.nan, np.full(n_genes, np.nan), np.full(n_genes, np.nan), np.nan
    first, second = (attribution(half, settings.aggregate) for half in null)
    differing = null[0].differs.any(axis=0)
    floor = float(np.percentile(np.abs(first[differing]), FLOOR_PERCENTILE)) if differing.any() else np.nan
    test = sign_test(null[1], n_flips=settings.n_flips, alpha=settings.alpha, rng=rng)
    called = (test.q <= settings.alpha) & (np.abs(second) > floor)
    n_tested = int((~np.isnan(test.q)).sum())
    rate = float(called.sum() / n_tested) if n_tested else np.nan
    error, _, _ = bootstrap(null[1], settings.aggregate, n_bootstrap=settings.n_bootstrap, rng=rng)
    return floor, second, error, rate


def _not_attributable(n_genes: int, reason: str) -> _Row:
    unmeasured = np.full(n_genes, np.nan)
    return _Row(
        **dict.fromkeys(("attribution", "se", "ci_low", "ci_high", "effect_act", "effect_pre"), unmeasured),
        n_differing=np.zeros(n_genes, dtype=np.int64),
        sign_consistency=unmeasured,
        p=unmeasured,
        q=unmeasured,
        drives=np.zeros(n_genes, dtype=bool),
        null_attribution=unmeasured,
        null_se=unmeasured,
        floor=np.nan,
        null_driver_rate=np.nan,
        n_pairs=0,
        status=f"not attributable: {reason}",
    )


def _stack(rows: Mapping[int, _Row]) -> dict[str, np.ndarray]:
    """Turn one row per concept into the arrays of `Attributions`, ordered by concept."""
    concepts = sorted(rows)
    arrays = {
        field.name: np.array([getattr(rows[concept], field.name) for concept in concepts])
        for field in fields(_Row)
    }
    arrays["status"] = arrays["status"].astype(object)
    return arrays | {"concepts": np.array(concepts, dtype=np.int64)}
