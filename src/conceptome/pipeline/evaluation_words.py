"""An evaluation in words, for the command line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from conceptome.core import Evaluation
from conceptome.evaluation import judge
from conceptome.evaluation.metrics import whole_title
from conceptome.evaluation.verdicts import CONTROLS

SHOWN = (
    *("r2", "loss_recovered", "mean_best_f1", "mean_f1_excess", "probe_macro_f1_activations"),
    *("stability_activations", "with_drivers", "faithfulness", "annotated", "annotated_null_pairs"),
)
BESIDE = ("neurons", *CONTROLS)


def describe_evaluation(evaluation: Evaluation, *, sides: Sequence[str] = ()) -> str:
    """Say what was measured, what is evidence of understanding, and what is not.

    Parameters
    ----------
    evaluation
        The record.
    sides
        Label columns that name batches or donors.

    Returns
    -------
    A few lines.
    """
    table = evaluation.measures[evaluation.measures["label"] == ""]
    kind = table["dictionary"].iloc[0]
    own = table[(table["dictionary"] == kind) & ~table["label_key"].isin(list(sides))]
    lines = [f"{kind}, {len(evaluation.seeds)} seeds:"]
    for row in own[own["metric"].isin(SHOWN)].to_dict("records"):
        spread = f" ± {row['sd']:.2g}" if np.isfinite(row["sd"]) else ""
        said = f"  {_name(row['metric'], row['label_key'])}: {row['value']:.3f}{spread}"
        lines.append(said + _beside(table, row["metric"], row["label_key"]))
    verdicts = judge(evaluation, sides=sides)
    if len(verdicts) and (verdicts["evidence"] == "not judged").all():
        lines.append(f"What is evidence of understanding is not judged: {verdicts['reason'].iloc[0]}")
    for evidence, words in (("yes", "Evidence of understanding"), ("no", "No evidence of understanding")):
        chosen = verdicts[verdicts["evidence"] == evidence].to_dict("records")
        if chosen:
            lines.append(f"{words}:")
            lines += [f"  {_name(row['metric'], row['label_key'])}" for row in chosen]
    lines += [f"Not measured, {name}: {reason}" for name, reason in evaluation.missing.items()]
    return "\n".join(lines)


def _name(metric: str, key: str) -> str:
    title = whole_title(metric)
    return f"{title} ({key})" if key else title


def _beside(table: pd.DataFrame, metric: str, key: str) -> str:
    """Say what neurons and the controls reach."""
    rows = table[(table["metric"] == metric) & (table["label_key"] == key)].set_index("dictionary")["value"]
    said = [
        f"{name.replace('_', ' ')} {rows[name]:.3f}" for name in BESIDE if np.isfinite(rows.get(name, np.nan))
    ]
    return f" ({', '.join(said)})" if said else ""
