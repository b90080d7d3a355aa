"""How attributions change with the matching of the pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Bool, Float, Int, Shaped
from scipy.stats import spearmanr
from tqdm.auto import tqdm

from conceptome.attribution.estimate import attribute
from conceptome.attribution.summary import MIN_DIFFERING
from conceptome.core import Activations, Dictionary, Embeddings, Encoder, InputError, Names
from conceptome.counterfactuals import match
from conceptome.counterfactuals.inputs import check_columns
from conceptome.data import library_size

Matchings = Mapping[str, Mapping[str, Any]]

OPTIONS = (
    "dictionary",
    "n_pairs",
    "n_counterfactuals",
    "match_on",
    "caliper",
    "sampling",
    "pairing",
    "min_pairs",
    "seed",
)
MIN_GENES = 3  # to correlate
DEFAULT_MATCHINGS: Matchings = {  # beside the default one and another draw
    "nearest": {"pairing": "nearest"},
    "5 counterfactuals": {"n_counterfactuals": 5},
    "caliper 0.2": {"caliper": 0.2},
}


@dataclass(frozen=True, eq=False)
class _Scores:
    """What one matching says; rows follow the concepts."""

    attribution: Float[np.ndarray, "concepts genes"]
    drives: Bool[np.ndarray, "concepts genes"]
    tested: Bool[np.ndarray, "concepts genes"]
    n_factuals: Int[np.ndarray, " concepts"]


def sensitivity(  # noqa: PLR0913 (what `match` and `attribute` need)
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    activations: Activations,
    embeddings: Embeddings | Shaped[np.ndarray, "cells d_embed"],
    *,
    matchings: Matchings | None = None,
    match_on: Sequence[str] = (),
    concepts: Sequence[int] | None = None,
    batch_size: int = 4096,
    device: str = "cpu",
    seed: int = 0,
) -> pd.DataFrame:
    """Attribute under several matchings and compare what they say of the genes.

    The factuals are the same in all matchings that have one seed, only their counterfactuals differ. The
    default set compares the default matching with another draw of factuals (``other draw``: how much changes
    by chance, the measure of all other changes), with the nearest cells, five counterfactuals each, a caliper
    of 0.2 and exact matching on each column of `match_on`.

    Parameters
    ----------
    adata
        The cells, with raw counts; its ``obs`` has the columns to match on.
    encoder
        The encoder.
    dictionary
        The dictionary.
    activations
        Activations of the cells.
    embeddings
        Embeddings of the cells.
    matchings
        Options of ``counterfactuals.match`` by name of the matching; the first is what the others are
        compared with. ``{"dictionary": None}`` takes any inactive cell.
    match_on
        Columns of ``adata.obs``; each adds a matching to the default set. Not beside `matchings`.
    concepts
        Which concepts to compare; all by default.
    batch_size
        Edited cells per forward pass; changes no result.
    device
        Where the encoder runs.
    seed
        Seed of the draws, where a matching does not set its own.

    Returns
    -------
    One row per concept and pair of matchings: ``concept``, ``one``, ``other``, ``n_factuals_one``,
    ``n_factuals_other``, ``n_genes`` (which differ in at least 6 factuals of either), ``spearman`` (of the
    attributions of these genes), ``spearman_drivers`` (of those that drive the concept by either),
    ``n_drivers_one``, ``n_drivers_other``, ``n_lost`` and ``lost`` (drivers by `one` alone, the strongest
    first, separated by commas), ``n_won`` and ``won`` (by `other` alone). Correlations are NaN for fewer than
    three genes, and where a matching leaves the concept without enough pairs.

    Raises
    ------
    InputError
        If there are fewer than two matchings, or one sets an option that is none of theirs; and as `match`
        and `attribute` do.
    """
    check_columns(match_on=match_on)
    chosen = _chosen(matchings, match_on, seed)
    common = {"obs": adata.obs, "library_size": library_size(adata), "concepts": concepts}
    defaults = common | {"dictionary": dictionary, "seed": seed}
    scores: dict[str, _Scores] = {}
    for name, options in tqdm(chosen.items(), desc="matchings", unit="matching", disable=None):
        pairs = match(activations, embeddings, **defaults | dict(options))
        record = attribute(adata, encoder, dictionary, pairs, batch_size=batch_size, device=device, seed=seed)
        tested = record.n_differing >= MIN_DIFFERING
        scores[name] = _Scores(record.attribution, record.drives, tested, record.n_pairs)
    rows = [
        {"concept": concept, "one": one, "other": other}
        | _compared(scores[one], scores[other], row, record.genes)
        for row, concept in enumerate(record.concepts.tolist())
        for one, other in combinations(scores, 2)
    ]
    return pd.DataFrame(rows)


def _chosen(matchings: Matchings | None, match_on: Sequence[str], seed: int) -> dict[str, Mapping[str, Any]]:
    if matchings is None:
        matched = {f"match_on {name}": {"match_on": [name]} for name in match_on}
        return {"distinct": {}, "other draw": {"seed": seed + 1}, **DEFAULT_MATCHINGS, **matched}
    if match_on:
        msg = f"match_on is {list(match_on)} beside matchings. Add a matching {{'match_on': [...]}} to them."
        raise InputError(msg)
    if len(matchings) < 2:
        msg = f"matchings has {len(matchings)}, expected at least 2 to compare."
        raise InputError(msg)
    for name, options in matchings.items():
        unknown = [option for option in options if option not in OPTIONS]
        if unknown:
            msg = f"The matching {name!r} sets {', '.join(unknown)}; it can set {', '.join(OPTIONS)}."
            raise InputError(msg)
    return dict(matchings)


def _compared(one: _Scores, other: _Scores, row: int, genes: Names) -> dict[str, Any]:
    """Compare two matchings in one concept."""
    tested, drivers = one.tested[row] | other.tested[row], one.drives[row] | other.drives[row]
    lost, won = (
        genes[_strongest(this.attribution[row], this.drives[row] & ~that.drives[row])]
        for this, that in ((one, other), (other, one))
    )
    return {
        "n_factuals_one": int(one.n_factuals[row]),
        "n_factuals_other": int(other.n_factuals[row]),
        "n_genes": int(tested.sum()),
        "spearman": _correlation(one.attribution[row, tested], other.attribution[row, tested]),
        "spearman_drivers": _correlation(one.attribution[row, drivers], other.attribution[row, drivers]),
        "n_drivers_one": int(one.drives[row].sum()),
        "n_drivers_other": int(other.drives[row].sum()),
        "n_lost": len(lost),
        "lost": ",".join(lost),
        "n_won": len(won),
        "won": ",".join(won),
    }


def _correlation(one: Float[np.ndarray, " some"], other: Float[np.ndarray, " some"]) -> float:
    """Correlate ranks; NaN where there are fewer than three, or a side does not vary or was not measured."""
    if len(one) < MIN_GENES or np.isnan([*one, *other]).any() or not (np.ptp(one) and np.ptp(other)):
        return np.nan
    return float(spearmanr(one, other).statistic)


def _strongest(
    attribution: Float[np.ndarray, " genes"], among: Bool[np.ndarray, " genes"]
) -> Int[np.ndarray, " some"]:
    """Order some genes by the size of their attribution."""
    positions = np.flatnonzero(among)
    return positions[np.argsort(-np.abs(attribution[positions]), kind="stable")]
