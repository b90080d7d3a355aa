"""The table of measures: concepts beside their baselines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from conceptome.pipeline.report_contents import ReportContents
from conceptome.pipeline.report_figures import Picture, svg_picture
from conceptome.plotting import measures as drawing

NAMES = {
    "r2": "Variance of the embedding kept (R², held-out cells)",
    "l0": "Active units per cell (L0)",
    "dead": "Units never active",
    "inactive_heldout": "Units inactive on held-out cells",
}


@dataclass(frozen=True)
class MeasureLine:
    """One measure for every dictionary."""

    name: str
    note: str
    """The label column it refers to."""
    values: tuple[str, ...]


@dataclass(frozen=True)
class MeasureTable:
    """Measures by dictionary, the one under study first."""

    columns: tuple[str, ...]
    lines: tuple[MeasureLine, ...]


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
    if contents.evaluation is None:
        return MeasureTable((), ())
    measures = contents.evaluation.measures
    overall = measures[measures["label"] == ""]
    columns = tuple(dict.fromkeys(overall["dictionary"]))
    lines = []
    for (metric, key), group in overall.groupby(["metric", "label_key"], sort=False):
        by_name = group.set_index("dictionary")
        values = tuple(_written(by_name, name) for name in columns)
        lines.append(MeasureLine(NAMES.get(str(metric), str(metric).replace("_", " ")), str(key), values))
    return MeasureTable(columns, tuple(lines))


def _written(by_name: pd.DataFrame, name: str) -> str:
    if name not in by_name.index or np.isnan(by_name.at[name, "value"]):
        return "–"
    value = f"{by_name.at[name, 'value']:.3g}"
    if "sd" in by_name and np.isfinite(by_name.at[name, "sd"]):
        return f"{value} ± {by_name.at[name, 'sd']:.2g}"
    return value


def fidelity_picture(contents: ReportContents) -> Picture | None:
    """Draw the measures; None when nothing was measured."""
    if contents.evaluation is None:
        return None
    figure = Figure(figsize=(9.0, 2.0), layout="constrained")
    return svg_picture(
        drawing.fidelity(contents.evaluation, figure=figure),
        alt="Measures of concepts and baselines, as in the table above.",
    )
