"""An evaluation in words, for the command line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from conceptome.core import Evaluation
from conceptome.evaluation import METRICS, judge

SHOWN = ("r2", "loss_recovered", "mean_best_f1", "mean_f1_excess", "probe_macro_f1_activations")


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
        lines.append(f"  {_name(row['metric'], row['label_key'])}: {row['value']:.3f}{spread}")
    verdicts = judge(evaluation, sides=sides)
    for evidence, words in (("yes", "Evidence of understanding"), ("no", "No evidence of understanding")):
        chosen = verdicts[verdicts["evidence"] == evidence].to_dict("records")
        if chosen:
            lines.append(f"{words}:")
            lines += [f"  {_name(row['metric'], row['label_key'])}" for row in chosen]
    lines += [f"Not measured, {name}: {reason}" for name, reason in evaluation.missing.items()]
    return "\n".join(lines)


def _name(metric: str, key: str) -> str:
    title = METRICS[metric].title.removeprefix("… ")
    return f"{title} ({key})" if key else title
