"""The table of measures: concepts beside their baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from conceptome.evaluation import METRICS, judge
from conceptome.evaluation.metrics import whole_title
from conceptome.evaluation.verdicts import CONTROLS
from conceptome.pipeline.report.contents import ReportContents
from conceptome.pipeline.report.figures import Picture, svg_picture
from conceptome.pipeline.report.words import number
from conceptome.plotting import measures as drawing

SMALLEST_SPREAD = 5e-4


@dataclass(frozen=True)
class MeasureLine:
    """One measure for every dictionary."""

    name: str
    title: str
    """The same, where it stands alone."""
    note: str
    """The label column it refers to."""
    values: tuple[str, ...]
    evidence: str
    """``"yes"``, ``"no"``, ``"not judged"``, or empty where neither end of the scale is better."""
    reason: str
    """A sentence."""


@dataclass(frozen=True)
class MeasureTable:
    """Measures by dictionary, the one under study first."""

    columns: tuple[str, ...]
    groups: Mapping[str, tuple[MeasureLine, ...]]
    """Lines by family of metrics."""
    spread: str
    """What standard deviations are over."""
    missing: Mapping[str, str]
    """Why a control or a measure is not there, by its name."""
    judged: bool
    """Whether there were seeds enough to tell what is evidence."""


def fidelity_table(contents: ReportContents) -> MeasureTable:
    """Arrange the measures that stand for whole dictionaries; those of single labels are on the cards.

    Parameters
    ----------
    contents
        What the report shows.

    Returns
    -------
    The table; without lines when nothing was measured.
    """
    record = contents.evaluation
    if record is None:
        return MeasureTable((), {}, "", {}, judged=False)
    overall = record.measures[record.measures["label"] == ""]
    names = list(dict.fromkeys(overall["dictionary"]))
    columns = tuple(dict.fromkeys([names[0], *(name for name in CONTROLS if name in names), *names]))
    settings = contents.manifest.get("settings", {})
    sides = [str(settings[key]) for key in ("batch_key", "donor_key") if settings.get(key)]
    verdicts = judge(record, sides=sides)
    said = {(row["metric"], row["label_key"]): row for row in verdicts.to_dict("records")}
    groups: dict[str, list[MeasureLine]] = {}
    by_metric = dict(iter(overall.groupby("metric", sort=False)))
    for metric, known in METRICS.items():
        for key, group in by_metric.get(metric, overall.iloc[:0]).groupby("label_key", sort=False):
            written = {str(row["dictionary"]): _written(row) for row in group.to_dict("records")}
            values = tuple(written.get(name, "–") for name in columns)
            verdict = said.get((metric, key), {"evidence": "", "reason": ""})
            line = MeasureLine(
                known.title, whole_title(metric), str(key), values, verdict["evidence"], verdict["reason"]
            )
            groups.setdefault(known.family, []).append(line)
    n_seeds = len(record.seeds)
    return MeasureTable(
        columns,
        {family: tuple(lines) for family, lines in groups.items()},
        f"{n_seeds} seeds of the dictionary" if n_seeds > 1 else "splits of the cells",
        record.missing,
        judged=bool((verdicts["evidence"] != "not judged").any()),
    )


def _written(record: Mapping[Any, Any]) -> str:
    """Write a value, with its standard deviation where that is not next to nothing."""
    spread = record.get("sd", np.nan)
    shown = np.isfinite(spread) and spread >= SMALLEST_SPREAD
    return number(record["value"]) + (
        f" ± {number(spread, digits=2 if spread < 100 else 3)}" if shown else ""
    )


def fidelity_picture(contents: ReportContents) -> Picture | None:
    """Draw the measures; None when nothing was measured."""
    if contents.evaluation is None:
        return None
    n_dictionaries = contents.evaluation.measures["dictionary"].nunique()
    height = drawing.n_panel_rows(contents.evaluation) * (0.95 + 0.35 * n_dictionaries)
    figure = Figure(figsize=(9.0, height), layout="constrained")
    return svg_picture(
        drawing.fidelity(contents.evaluation, figure=figure),
        alt="Measures of concepts and baselines, as in the table above.",
    )
