"""Which metrics are evidence of understanding: those on which controls score clearly lower."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from conceptome.core import Evaluation
from conceptome.evaluation.comparands import RANDOM_ENCODER
from conceptome.evaluation.metrics import METRICS

Evidence: TypeAlias = Literal["yes", "no", "not judged"]

MIN_SEEDS = 3
MARGIN = 0.02
"""Least difference of the means that counts."""
CONTROLS = {"random_sae": "a frozen random SAE", RANDOM_ENCODER: "a random-weight encoder"}
COLUMNS = ["metric", "label_key", "evidence", "reason"]


def judge(evaluation: Evaluation, *, sides: Sequence[str] = ()) -> pd.DataFrame:
    """Say for every metric whether it is evidence that something was understood.

    It is where the dictionary is clearly better than a frozen random SAE and than a dictionary of a
    random-weight encoder: each of its seeds better than each seed of the control (with three seeds each,
    chance does this once in twenty), and the means at least 0.02 apart. A control that is missing, or on
    which the metric could not be measured, is not compared.

    Parameters
    ----------
    evaluation
        Measures over at least 3 seeds; with fewer nothing is judged.
    sides
        Label columns that name batches or donors: what is told of them is no understanding.

    Returns
    -------
    ``metric, label_key, evidence`` (``"yes"``, ``"no"`` or ``"not judged"``) and ``reason``, a sentence.
    """
    table = evaluation.measures[evaluation.measures["label"] == ""]
    kind, rows = str(table["dictionary"].iloc[0]), []
    for (metric, key), group in table.groupby(["metric", "label_key"], sort=False):
        known = METRICS.get(str(metric))
        named = {str(row["dictionary"]): row for row in group.to_dict("records")}
        if known is None or not known.better or key in sides or kind not in named:
            continue
        if len(evaluation.seeds) < MIN_SEEDS:
            reason = f"{MIN_SEEDS} seeds are needed, {len(evaluation.seeds)} measured."
            rows.append((metric, key, "not judged", reason))
            continue
        own = named[kind]
        if not np.isfinite(own["value"]):
            rows.append((metric, key, "not judged", "It could not be measured."))
            continue
        found = {
            name: named[name]
            for name in CONTROLS
            if name in named and name != kind and np.isfinite(named[name]["value"])
        }
        level = [CONTROLS[name] for name, row in found.items() if not _clearly(own, row, known.better)]
        rows.append((metric, key, *_sentence(level, found)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _clearly(own: Mapping[Hashable, Any], control: Mapping[Hashable, Any], better: str) -> bool:
    if better == "higher":
        apart, difference = own["low"] > control["high"], own["value"] - control["value"]
    else:
        apart, difference = own["high"] < control["low"], control["value"] - own["value"]
    return bool(apart and difference >= MARGIN)


def _sentence(level: Sequence[str], found: Collection[str]) -> tuple[Evidence, str]:
    if not found:
        return "not judged", "There is no control to compare with."
    if level:
        verb = "does" if len(level) == 1 else "do"
        return (
            "no",
            f"This metric is no evidence of understanding here: {' and '.join(level)} {verb} as well.",
        )
    beaten = " and ".join(CONTROLS[name] for name in found)
    left = [CONTROLS[name] for name in CONTROLS if name not in found]
    return "yes", f"Clearly better than {beaten}." + (f" Not compared with {left[0]}." if left else "")
