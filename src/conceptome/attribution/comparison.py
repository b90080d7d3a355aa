"""Attributors beside each other, and dictionaries beside each other, on the same cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias, cast, get_args

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import spearmanr
from tqdm.auto import tqdm

from conceptome.attribution.baselines import BASELINES, baseline_scores
from conceptome.attribution.curves import RANDOM, faithfulness
from conceptome.attribution.estimate import AttributionMethod, attribute
from conceptome.attribution.trial import OURS, try_attribution
from conceptome.core import (
    Activations,
    Attributions,
    Dictionary,
    Embeddings,
    Encoder,
    Faithfulness,
    Pairs,
    require_choice,
)
from conceptome.counterfactuals import hold_out, match
from conceptome.data import library_size

Attributor: TypeAlias = Literal["substitute", "insert", "mask", "mean", "integrated_gradients", "gradient"]

ATTRIBUTORS = get_args(Attributor)
DEFAULT_METHODS = (
    *("substitute", "integrated_gradients", "gradient"),
    *("wilcoxon", "logistic", "random"),
)
MIN_GENES = 3  # to correlate


@dataclass(frozen=True, eq=False)
class Comparison:
    """Gene scores of several methods, and what each is worth."""

    scores: Mapping[str, pd.DataFrame]
    """By method, concepts x genes, from the factuals that were not held out."""
    faithfulness: Faithfulness
    """Of every method, on the factuals that were held out."""
    agreement: pd.DataFrame
    """One row per two methods: ``method, other, spearman`` (mean over concepts, each over the genes whose
    score by the first of all methods is not 0), ``se``, ``n_concepts``."""


def compare(  # noqa: PLR0913 (what it compares with needs)
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    pairs: Pairs,
    activations: Activations,
    *,
    methods: Sequence[str] = DEFAULT_METHODS,
    n_genes: int = 100,
    every: int = 1,
    share: float = 0.5,
    batch_size: int = 4096,
    device: str = "cpu",
    seed: int = 0,
) -> Comparison:
    """Score genes by several methods on some of the factuals, and measure all on the others.

    Parameters
    ----------
    adata
        The cells that `pairs` was made from.
    encoder
        The encoder whose embeddings the dictionary was trained on.
    dictionary
        The dictionary.
    pairs
        The pairs.
    activations
        Activations of the cells.
    methods
        Interventions and gradients as in `attribute`, baselines as in `baseline_scores`.
    n_genes, every
        Length of the curves, and how densely they are evaluated, as in `faithfulness`.
    share
        Share of each concept's factuals that is held out.
    batch_size
        Edited cells per forward pass; changes no result.
    device
        Where the encoder runs.
    seed
        Seed of the split and of all else that is drawn.

    Returns
    -------
    Scores, faithfulness and agreement.

    Raises
    ------
    InputError
        If the parts do not belong together, or there is no such method.
    DictionaryMismatchError
        If `pairs`, `activations` or `encoder` belong to another dictionary.
    """
    for method in methods:
        require_choice("methods", method, (*ATTRIBUTORS, *BASELINES))
    kept, held_out = hold_out(pairs, share=share, seed=seed)
    concepts = np.unique(kept.concept).tolist()
    scores: dict[str, pd.DataFrame] = {}
    for method in methods:
        if method in ATTRIBUTORS:
            found = attribute(
                adata,
                encoder,
                dictionary,
                kept,
                intervention=cast("AttributionMethod", method),
                activations=activations,
                batch_size=batch_size,
                device=device,
                seed=seed,
            )
            scores[method] = found.scores("attribution").loc[concepts]
    baselines = tuple(method for method in BASELINES if method in methods)
    scores |= baseline_scores(adata, activations, methods=baselines, concepts=concepts, seed=seed)
    ordered = {str(method): scores[method] for method in methods}
    drawn = {name: table for name, table in ordered.items() if name != RANDOM}
    measured = faithfulness(
        adata,
        encoder,
        dictionary,
        held_out,
        drawn,
        n_genes=n_genes,
        n_random=None if RANDOM in methods else 0,
        every=every,
        seed=seed,
        batch_size=batch_size,
        device=device,
    )
    return Comparison(ordered, measured, _agreement(ordered))


def compare_dictionaries(  # noqa: PLR0913
    adata: AnnData,
    encoder: Encoder,
    dictionaries: Mapping[str, Dictionary],
    embeddings: Embeddings,
    *,
    n_units: int | None = 32,
    n_pairs: int = 64,
    n_genes: int = 100,
    every: int = 1,
    match_on: Sequence[str] = (),
    batch_size: int = 4096,
    device: str = "cpu",
    seed: int = 0,
) -> pd.DataFrame:
    """Count drivers and measure their faithfulness, for concepts beside neurons, PCA and other dictionaries.

    Each dictionary goes through the same steps: match pairs, hold half of the factuals out, attribute by
    substitution with the rest, delete and insert genes in those held out.

    Parameters
    ----------
    adata
        The cells.
    encoder
        The encoder.
    dictionaries
        Dictionaries of its embedding, by name.
    embeddings
        Embeddings of the cells.
    n_units
        Units of each dictionary that are measured, drawn at random; None = all.
    n_pairs, match_on
        As in ``counterfactuals.match``.
    n_genes, every
        As in `faithfulness`.
    batch_size
        Edited cells per forward pass; changes no result.
    device
        Where the encoder runs.
    seed
        Seed of all that is drawn.

    Returns
    -------
    One row per dictionary: ``dictionary, n_units`` (drawn), ``n_attributable``, ``with_drivers`` (share of
    the attributable), ``drivers`` (median), ``null_driver_rate`` (mean); the areas ``deletion`` and
    ``insertion`` of substitution with their ``_se`` over units, those of random orders, and ``gap``, how much
    farther insertion lies above deletion than at random.

    Raises
    ------
    InputError
        If the parts do not belong together.
    DictionaryMismatchError
        If a dictionary was trained on another encoder.
    """
    rows = []
    for name, dictionary in tqdm(dictionaries.items(), "dictionaries", disable=None):
        rng = np.random.default_rng(seed)
        chosen = np.arange(dictionary.n_concepts)
        if n_units is not None and n_units < len(chosen):
            chosen = np.sort(rng.choice(chosen, n_units, replace=False))
        pairs = match(
            dictionary.encode(embeddings),
            embeddings,
            dictionary=dictionary,
            obs=adata.obs,
            library_size=library_size(adata),
            n_pairs=n_pairs,
            match_on=match_on,
            concepts=chosen.tolist(),
            seed=seed,
        )
        trial = try_attribution(
            adata,
            encoder,
            dictionary,
            pairs,
            n_genes=n_genes,
            every=every,
            batch_size=batch_size,
            device=device,
            seed=seed,
        )
        row = {"dictionary": name, "n_units": len(chosen), **_drivers(trial.attributions)}
        if trial.faithfulness is not None:
            row |= _areas(trial.faithfulness)
        rows.append(row)
    return pd.DataFrame(rows)


def _drivers(found: Attributions) -> dict[str, float]:
    attributable = found.n_pairs > 0
    n_drivers = found.drives[attributable].sum(axis=1)
    some = bool(attributable.any())
    return {
        "n_attributable": float(attributable.sum()),
        "with_drivers": float((n_drivers > 0).mean()) if some else np.nan,
        "drivers": float(np.median(n_drivers)) if some else np.nan,
        "null_driver_rate": float(np.nanmean(found.null_driver_rate)) if some else np.nan,
    }


def _areas(measured: Faithfulness) -> dict[str, float]:
    summary = measured.summary()
    columns = ("deletion", "deletion_se", "insertion", "insertion_se")
    ours, chance = (
        {name: float(rows[name].to_numpy()[0]) for name in columns}
        for rows in (summary[summary["method"] == name] for name in (OURS, RANDOM))
    )
    gap = ours["insertion"] - ours["deletion"] - chance["insertion"] + chance["deletion"]
    random = {f"{name}_random": chance[name] for name in ("deletion", "insertion")}
    return ours | random | {"gap": gap}


def _agreement(scores: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Correlate the methods, concept by concept, over genes whose score by the first of them is not 0."""
    reference = next(iter(scores.values()))
    rows = []
    for one, other in combinations(scores, 2):
        found = []
        for concept in reference.index:
            pair = np.stack([scores[name].loc[concept].to_numpy() for name in (one, other)])
            used = np.isfinite(pair).all(axis=0) & (reference.loc[concept].to_numpy() != 0)
            if used.sum() >= MIN_GENES and (np.ptp(pair[:, used], axis=1) > 0).all():
                found.append(spearmanr(pair[0, used], pair[1, used]).statistic)
        error = float(np.std(found, ddof=1) / len(found) ** 0.5) if len(found) > 1 else np.nan
        mean = float(np.mean(found)) if found else np.nan
        rows.append({"method": one, "other": other, "spearman": mean, "se": error, "n_concepts": len(found)})
    return pd.DataFrame(rows, columns=["method", "other", "spearman", "se", "n_concepts"])
