"""Rank dictionaries by one number with its parts: a summary of their fidelity and of their concept cards."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from conceptome.core import Evaluation, InputError
from conceptome.evaluation.cards import PARTS

MEASURES = ("n_units", "l0", "dead", "r2")
CARD_PARTS = PARTS[1:]
"""At the level of a dictionary fidelity is R2."""


def rank_dictionaries(
    cards: Mapping[str, pd.DataFrame], evaluations: Mapping[str, Evaluation]
) -> pd.DataFrame:
    """Rank dictionaries of the same cells, such as those of a sweep over size and sparsity.

    The summary is the mean of R2 on held-out cells (0 if it is below) and of the means of the other four
    parts of `card_scores`. In these each concept weighs as much as the variance it carries
    (``variance_lost``): in a plain mean the faint concepts of a large dictionary count as much as those that
    make up the cells, so that the smallest dictionary wins. Only parts that were measured in every one of the
    dictionaries count, so that all summaries are made of the same. Fidelity is R2, because what leaving out a
    single concept costs depends on how many there are.

    Parameters
    ----------
    cards
        What `card_scores` returned, by a name for each dictionary.
    evaluations
        What `evaluate` or ``evaluation.json`` says of the same dictionaries, by the same names.

    Returns
    -------
    One row per dictionary, the highest summary first, with ``rank, dictionary, summary, n_parts`` (in the
    summary), ``n_units, l0, dead, r2`` and the means
    ``part_stability, part_faithfulness, part_annotation, part_label``, NaN where not measured.

    Raises
    ------
    InputError
        If there are no dictionaries, the names differ, or an evaluation lacks a measure.
    """
    if not cards or set(cards) != set(evaluations):
        msg = (
            f"There are cards of {sorted(cards)} and evaluations of {sorted(evaluations)}, expected both of "
            "the same dictionaries, at least one."
        )
        raise InputError(msg)
    rows = []
    for name, table in cards.items():
        active = table[table["card_score"].notna()]
        means = {part: _mean(active[part], active["variance_lost"].clip(lower=0)) for part in CARD_PARTS}
        rows.append({"dictionary": name, **_measures(name, evaluations[name]), **means})
    found = pd.DataFrame(rows)
    parts = found[["r2", *CARD_PARTS]].clip(lower=0).dropna(axis=1)
    found.insert(1, "summary", parts.mean(axis=1))
    found.insert(2, "n_parts", parts.shape[1])
    found = found.sort_values(["summary", "dictionary"], ascending=[False, True], ignore_index=True)
    found.insert(0, "rank", found["summary"].rank(method="min", ascending=False).astype(np.int64))
    return found


def _mean(values: pd.Series, weights: pd.Series) -> float:
    """Average what was measured, weighted; NaN where nothing was."""
    known = (values.notna() & weights.notna()).to_numpy()
    total = float(weights[known].sum())
    return float((values * weights)[known].sum()) / total if total > 0 else float("nan")


def _measures(name: str, evaluation: Evaluation) -> dict[str, float]:
    """Read what was measured of the dictionary under study, which comes first."""
    table = evaluation.measures
    own = table[(table["dictionary"] == table["dictionary"].iloc[0]) & (table["label"] == "")]
    values = own.set_index("metric")["value"]
    missing = [metric for metric in MEASURES if metric not in values]
    if missing:
        msg = (
            f"The evaluation of {name!r} lacks {', '.join(missing)} of its first dictionary, "
            f"{own['dictionary'].iloc[0]!r}. Make it with cm.evaluation.evaluate."
        )
        raise InputError(msg)
    return {metric: float(values[metric]) for metric in MEASURES}
