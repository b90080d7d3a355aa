"""Matched pairs: factuals that activate a concept, counterfactuals that do not."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from conceptome.core import Activations, Dictionary, Embeddings, Pairs, require_at_least, require_choice
from conceptome.counterfactuals.absence import barred_cells
from conceptome.counterfactuals.assignment import assign_distinct
from conceptome.counterfactuals.description import Describer, random_distances
from conceptome.counterfactuals.inputs import (
    cell_pool,
    check_columns,
    check_counts,
    chosen_concepts,
    embedded_values,
    obs_codes,
)
from conceptome.counterfactuals.null_pairs import PARTNERS, draw_null_pairs
from conceptome.counterfactuals.sampling import Sampling, draw_factuals
from conceptome.counterfactuals.search import CellPool, nearest_admissible

logger = logging.getLogger(__name__)

Pairing: TypeAlias = Literal["distinct", "nearest"]
ActiveCells: TypeAlias = "tuple[Int[np.ndarray, ' active'], Float[np.ndarray, ' active']]"


def match(  # noqa: PLR0913 (the face fixed in api.md)
    activations: Activations,
    embeddings: Embeddings | Shaped[np.ndarray, "cells d_embed"],
    *,
    dictionary: Dictionary | None = None,
    obs: pd.DataFrame | None = None,
    library_size: Shaped[np.ndarray, " cells"] | pd.Series | None = None,
    n_pairs: int = 64,
    n_counterfactuals: int = 1,
    match_on: Sequence[str] = (),
    describe: Sequence[str] = (),
    caliper: float | None = None,
    sampling: Sampling = "stratified",
    pairing: Pairing = "distinct",
    min_pairs: int = 8,
    concepts: Sequence[int] | None = None,
    seed: int = 0,
) -> Pairs:
    """Pair cells that activate a concept with near cells that do not.

    Distances are exact, over all cells in which the concept is inactive and which satisfy `match_on` and
    `caliper`. Given the `dictionary`, a counterfactual must also lack the concept in its pre-activation: TopK
    alone silences a concept in cells of the very kind that activates it, wherever k others are stronger, and
    such near twins differ from their factuals by noise. [Claye25] takes any inactive cell, and the nearest
    one for each factual; ``dictionary=None, pairing="nearest"`` does the same.

    Null pairs come along as ``Pairs.null``: for every factual two other active
    cells at the distance and |log library ratio| of its counterfactual, in random orientation. Null pairs
    with an even ``pair`` and those with an odd ``pair`` are the two disjoint halves: the first sets the floor
    of an attribution, the second measures how often a gene would be called a driver.

    Parameters
    ----------
    activations
        Activations of all cells.
    embeddings
        Embeddings of the same cells, in the encoder's units.
    dictionary
        The dictionary of `activations`: counterfactuals then have a pre-activation of at most 0.
    obs
        Annotation of the same cells; needed for `match_on` and `describe`.
    library_size
        Total count of each cell, > 0; needed for `caliper`. A Series is indexed by the same cells.
    n_pairs
        Factuals per concept; all cells that activate the concept when there are fewer.
    n_counterfactuals
        Counterfactuals per factual, the nearest first; none gets a second before all have their first.
    match_on
        Columns of `obs` on which both cells of a pair must agree, such as donor or cell type.
    describe
        Further columns of `obs` whose agreement is only reported, in ``Pairs.matched``.
    caliper
        Largest allowed |difference of natural log library size|.
    sampling
        ``"stratified"`` draws equally from five strata of equal total activation, ``"top"`` takes the
        strongest cells.
    pairing
        ``"distinct"``: every counterfactual serves one factual, at the least total distance, so that one odd
        cell cannot decide a concept. ``"nearest"``: each factual takes its nearest.
    min_pairs
        A concept with fewer factuals that found a counterfactual is not attributable.
    concepts
        Which concepts to pair; all by default. The pairs of a concept do not depend on the others.
    seed
        Seed of all draws. They do not depend on the order of the cells.

    Returns
    -------
    Pairs ordered by concept and factual. Distances are Euclidean in the dictionary's scaled embedding;
    `distance_percentile` places them among 10,000 random pairs of cells.

    Raises
    ------
    InputError
        If the parts do not belong to the same cells, are not finite, or an option does not fit them.
    DictionaryMismatchError
        If a concept is not in the dictionary, or the dictionary was trained on another encoder.
    """
    require_choice("sampling", sampling, get_args(Sampling))
    require_choice("pairing", pairing, get_args(Pairing))
    require_at_least("seed", seed, 0)
    check_counts(n_pairs=n_pairs, n_counterfactuals=n_counterfactuals, min_pairs=min_pairs)
    check_columns(match_on=match_on, describe=describe)
    chosen = chosen_concepts(activations, concepts)
    codes = obs_codes(obs, activations, [*match_on, *describe])
    match_codes = {name: codes[name] for name in match_on}
    by_id = np.asarray(activations.cell_ids.argsort(), dtype=np.int64)
    values = embedded_values(activations, embeddings, dictionary)
    pool = cell_pool(
        activations,
        values,
        barred=barred_cells(activations, values, dictionary),
        match_codes=match_codes,
        library_size=library_size,
        caliper=caliper,
    )
    describer = Describer(
        activations, pool, codes, random_distances(pool, activations.scale, by_id, seed=seed)
    )
    active = _active_cells(activations, by_id, chosen)
    reasons = {k: reason for k in chosen if (reason := _shortage(len(active[k][0]), len(by_id), min_pairs))}
    drawn = {
        k: draw_factuals(
            *active[k],
            n_cells=n_pairs,
            sampling=sampling,
            rng=np.random.default_rng([seed, k]),
        )
        for k in chosen
        if k not in reasons
    }
    concept, factual = _flatten(drawn)
    neighbours = _counterfactuals(pool, factual, concept, n_counterfactuals, pairing)
    found = neighbours[:, 0] >= 0
    dropped = {k: int((~found[concept == k]).sum()) for k in drawn}
    rules = _rules(match_on, caliper=caliper, pairing=pairing, absent=dictionary is not None)
    for k, cells in drawn.items():
        if len(cells) - dropped[k] < min_pairs:
            which = f"{dropped[k]} of {len(cells)} factuals{rules}"
            reasons[k] = f"no admissible counterfactual for {which}"
    usable = found & ~np.isin(concept, list(reasons))
    real = _real_pairs(describer, concept[usable], factual[usable], neighbours[usable])
    null = _null_pairs(describer, real, active, min_pairs=min_pairs, seed=seed)
    logger.debug(
        "paired %d concepts (%d pairs, %d null pairs); %d concepts are not attributable",
        len(drawn) - len(reasons.keys() & drawn.keys()),
        len(real),
        len(null),
        len(reasons),
    )
    return replace(
        real,
        not_attributable=dict(sorted(reasons.items())),
        n_dropped={k: n for k, n in dropped.items() if n},
        null=null,
    )


def _counterfactuals(
    pool: CellPool,
    factual: Int[np.ndarray, " factuals"],
    concept: Int[np.ndarray, " factuals"],
    n_counterfactuals: int,
    pairing: Pairing,
) -> Int[np.ndarray, "factuals n_counterfactuals"]:
    if pairing == "nearest":
        return nearest_admissible(pool, factual, concept, n_neighbours=n_counterfactuals)
    most = int(np.bincount(concept).max(initial=0)) * n_counterfactuals
    candidates = nearest_admissible(pool, factual, concept, n_neighbours=max(most, 1))
    chosen = np.full((len(factual), n_counterfactuals), -1, dtype=np.int64)
    for k in np.unique(concept):
        rows = np.flatnonzero(concept == k)
        chosen[rows] = assign_distinct(
            pool, factual[rows], candidates[rows], n_counterfactuals=n_counterfactuals
        )
    return chosen


def _active_cells(
    activations: Activations, by_id: Int[np.ndarray, " cells"], concepts: Sequence[int]
) -> dict[int, ActiveCells]:
    """List the cells that activate each concept, in the order of their ids, and how strongly they do."""
    columns = activations.values[by_id].tocsc()
    columns.eliminate_zeros()
    columns.sort_indices()
    spans = {k: slice(columns.indptr[k], columns.indptr[k + 1]) for k in concepts}
    return {k: (by_id[columns.indices[span]], columns.data[span]) for k, span in spans.items()}


def _shortage(n_active: int, n_cells: int, min_pairs: int) -> str:
    """Say why a concept cannot have pairs; empty if it can."""
    if n_active == n_cells:
        return "active in every cell"
    if n_active < min_pairs:
        return f"active in {n_active} cells, needs {min_pairs}"
    return ""


def _rules(match_on: Sequence[str], *, caliper: float | None, pairing: Pairing, absent: bool) -> str:
    """Name the rules that a counterfactual may have failed."""
    rules = [f"pairing={pairing}"] if pairing == "distinct" else []
    rules += ["pre-activation at most 0"] if absent else []
    rules += [f"match_on={','.join(match_on)}"] if match_on else []
    rules += [f"caliper={caliper:g}"] if caliper is not None else []
    return f" ({', '.join(rules)})" if rules else ""


def _flatten(
    cells: Mapping[int, Int[np.ndarray, " some"]],
) -> tuple[Int[np.ndarray, " all"], Int[np.ndarray, " all"]]:
    """Turn cells per concept into two parallel arrays, concept and cell."""
    concepts = np.repeat(np.array(list(cells), dtype=np.int64), [len(part) for part in cells.values()])
    return concepts, np.concatenate([np.zeros(0, dtype=np.int64), *cells.values()])


def _count_within(concept: Int[np.ndarray, " sorted"]) -> Int[np.ndarray, " sorted"]:
    """Give each entry its number within its concept, from zero."""
    return np.arange(len(concept)) - np.searchsorted(concept, concept)


def _real_pairs(
    describer: Describer,
    concept: Int[np.ndarray, " factuals"],
    factual: Int[np.ndarray, " factuals"],
    neighbours: Int[np.ndarray, "factuals n_neighbours"],
) -> Pairs:
    row, column = np.nonzero(neighbours >= 0)
    return describer.describe(
        concept[row],
        _count_within(concept)[row],
        factual=factual[row],
        counterfactual=neighbours[row, column],
    )


def _null_pairs(
    describer: Describer,
    real: Pairs,
    active: Mapping[int, ActiveCells],
    *,
    min_pairs: int,
    seed: int,
) -> Pairs:
    """Draw the null pairs of every concept; none for a concept whose halves would have too few."""
    edited, lent = {}, {}
    for k in np.unique(real.concept).tolist():
        first = np.unique(real.pair[real.concept == k], return_index=True)[1]
        edited[k], lent[k] = draw_null_pairs(
            describer.pool,
            active[k][0],
            factual=real.factual[real.concept == k][first],
            counterfactual=real.counterfactual[real.concept == k][first],
            rng=np.random.default_rng([seed, k, 1]),
        )
        if len(edited[k]) < PARTNERS * min_pairs:
            edited[k], lent[k] = edited[k][:0], lent[k][:0]
    concept, factual = _flatten(edited)
    return describer.describe(
        concept, _count_within(concept), factual=factual, counterfactual=_flatten(lent)[1]
    )
