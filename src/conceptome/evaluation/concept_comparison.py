"""Concepts of two dictionaries matched by several measures, each beside chance and beside the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import false_discovery_control

from conceptome.core import InputError, require_at_least, require_choice
from conceptome.dictionaries.comparison import assign
from conceptome.evaluation.concept_similarities import ComparedConcepts, Draws, Measure, similarity_draws

MEASURES: tuple[Measure, ...] = get_args(Measure)
PAIR_COLUMNS = ("matched_by", "measure", "concept_a", "concept_b", "similarity", "null", "p", "q")
SUMMARY_COLUMNS = ("matched_by", "measure", "n_pairs", "similarity", "null", "p", "n_above")


@dataclass(frozen=True, eq=False)
class ConceptComparison:
    """Matched concepts of two dictionaries."""

    pairs: pd.DataFrame
    """``matched_by, measure, concept_a, concept_b, similarity, null, p, q``: for each one-to-one matching
    every pair by every measure that says something of it. `null` is the mean of what chance reaches: where
    measure and matching are the same, when the matching is repeated with chance in place of the larger
    dictionary; else with chance in place of the pair's concept in it. q is over the pairs of one matching and
    measure."""
    summary: pd.DataFrame
    """``matched_by, measure, n_pairs, similarity, null, p, n_above``: means over pairs, the share of draws
    whose mean is as high, and the pairs with q <= 0.05."""
    refused: Mapping[str, str]
    """Measures that say nothing of these two, and why."""
    notes: tuple[str, ...]


def compare_concepts(
    a: ComparedConcepts,
    b: ComparedConcepts,
    *,
    measures: Sequence[Measure] = MEASURES,
    n_null: int = 400,
    gene_table: Path | str | None = None,
    seed: int = 0,
) -> ConceptComparison:
    """Match the concepts of two dictionaries one to one by each measure (Hungarian method).

    The matching by one measure is also judged by the others, for which the pairs were not chosen.

    Parameters
    ----------
    a, b
        The dictionaries; they may be of different cells and encoders.
    measures
        See `similarity_draws`.
    n_null
        Draws of chance; the least p is 1 / (n_null + 1).
    gene_table
        See `share_genes`.
    seed
        Decides the draws.

    Returns
    -------
    `ConceptComparison`.

    Raises
    ------
    InputError
        If no measure says anything of these two, or an option is out of range.
    """
    require_at_least("n_null", n_null, 1)
    draws: dict[str, Draws] = {}
    refused: dict[str, str] = {}
    for measure in measures:
        require_choice("measures", measure, MEASURES)
        try:
            draws[measure] = similarity_draws(a, b, measure, gene_table=gene_table, seed=seed)
        except InputError as error:
            refused[measure] = str(error)
    if not draws:
        reasons = "; ".join(f"{measure}: {reason}" for measure, reason in refused.items())
        msg = f"{a.name} and {b.name} cannot be compared. {reasons}."
        raise InputError(msg)
    observed = {by: next(each.matrices) for by, each in draws.items()}
    matched = {by: _matched(each, observed[by]) for by, each in draws.items()}
    pairs, summary = [], []
    for judge, each in draws.items():
        for found in _judge(judge, each, observed[judge], matched, n_null):
            pairs.append(found[0])
            summary.append(found[1])
    notes = tuple(each.note for each in draws.values() if each.note)
    table = pd.concat(pairs, ignore_index=True)[list(PAIR_COLUMNS)]
    means = pd.DataFrame(summary, columns=list(SUMMARY_COLUMNS))
    return ConceptComparison(table, in_order(means, tuple(draws)), refused, notes)


def in_order(summary: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """Sort means by matching; the measure that matched comes first, then the others."""
    place = {measure: at for at, measure in enumerate(measures)}
    by = summary["matched_by"].map(place)
    order = np.lexsort((summary["measure"] != summary["matched_by"], by))
    return summary.iloc[order].reset_index(drop=True)


def _matched(draws: Draws, similarity: Float[np.ndarray, "a b"]) -> Int[np.ndarray, "pairs 2"]:
    rows, columns = _assigned(similarity)[:2]
    return np.stack([draws.concept_a[rows], draws.concept_b[columns]], axis=1)


def _assigned(similarity: Float[np.ndarray, "a b"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match, in the order of the side with fewer concepts."""
    if similarity.shape[0] <= similarity.shape[1]:
        return assign(similarity)
    columns, rows, values = assign(similarity.T)
    return rows, columns, values


def _judge(
    measure: str,
    draws: Draws,
    observed: Float[np.ndarray, "a b"],
    matched: dict[str, Int[np.ndarray, "_ 2"]],
    n_null: int,
) -> list[tuple[pd.DataFrame, dict[str, object]]]:
    """Measure every matching by one measure, beside chance."""
    places = {}
    for by, pairs in matched.items():
        row = pd.Index(draws.concept_a).get_indexer(pd.Index(pairs[:, 0]))
        column = pd.Index(draws.concept_b).get_indexer(pd.Index(pairs[:, 1]))
        there = (row >= 0) & (column >= 0)
        if there.any():
            places[by] = (pairs[there], row[there], column[there])
    null: dict[str, list[np.ndarray]] = {by: [] for by in places}
    for _ in range(n_null):
        drawn = next(draws.matrices)
        for by, (_, row, column) in places.items():
            null[by].append(_assigned(drawn)[2] if by == measure else drawn[row, column])
    return [
        _row(by, measure, pairs, observed[row, column], np.array(null[by]))
        for by, (pairs, row, column) in places.items()
    ]


def _row(
    by: str,
    measure: str,
    pairs: Int[np.ndarray, "pairs 2"],
    similarity: Float[np.ndarray, " pairs"],
    null: Float[np.ndarray, "draws pairs"],
) -> tuple[pd.DataFrame, dict[str, object]]:
    p = (1 + (null >= similarity).sum(axis=0)) / (1 + len(null))
    q = false_discovery_control(p)
    table = pd.DataFrame(
        {
            "matched_by": by,
            "measure": measure,
            "concept_a": pairs[:, 0],
            "concept_b": pairs[:, 1],
            "similarity": similarity,
            "null": null.mean(axis=0),
            "p": p,
            "q": q,
        }
    )
    mean = float(similarity.mean())
    values = (
        *(by, measure, len(pairs), mean, float(null.mean())),
        *((1 + int((null.mean(axis=1) >= mean).sum())) / (1 + len(null)), int((q <= 0.05).sum())),
    )
    return table, dict(zip(SUMMARY_COLUMNS, values, strict=True))
