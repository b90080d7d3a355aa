"""The table of measures: concepts beside their baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from conceptome.pipeline.report.contents import ReportContents
from conceptome.pipeline.report.figures import Picture, svg_picture
from conceptome.pipeline.report.words import number
from conceptome.plotting import measures as drawing

NAMES = {
    "r2": "Variance of the embedding kept (R², held-out cells)",
    "r2_dimension_median": "… in the median coordinate",
    "r2_dimension_min": "… in the worst coordinate",
    "n_units": "Units",
    "l0": "Active units per cell (L0)",
    "dead": "Share of units never active",
    "inactive_heldout": "Share of units inactive on held-out cells",
    "mean_best_f1": "Best F1 of a single unit, mean over labels",
    "labels_covered": "Share of labels with a unit of F1 ≥ 0.5",
    "units_matching": "Share of units that match a label",
    "probe_macro_f1_embedding": "Labels read off the embedding (macro-F1)",
    "probe_macro_f1_activations": "Labels read off the activations (macro-F1)",
    "probe_macro_f1_reconstruction": "Labels read off the reconstruction (macro-F1)",
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
        written = {str(record["dictionary"]): _written(record) for record in group.to_dict("records")}
        values = tuple(written.get(name, "–") for name in columns)
        lines.append(MeasureLine(NAMES.get(str(metric), str(metric).replace("_", " ")), str(key), values))
    return MeasureTable(columns, tuple(lines))


def _written(record: Mapping[Any, Any]) -> str:
    spread = record.get("sd", np.nan)
    return number(record["value"]) + (f" ± {spread:.2g}" if np.isfinite(spread) else "")


def fidelity_picture(contents: ReportContents) -> Picture | None:
    """Draw the measures; None when nothing was measured."""
    if contents.evaluation is None:
        return None
    n_dictionaries = contents.evaluation.measures["dictionary"].nunique()
    figure = Figure(figsize=(9.0, 0.95 + 0.35 * n_dictionaries), layout="constrained")
    return svg_picture(
        drawing.fidelity(contents.evaluation, figure=figure),
        alt="Measures of concepts and baselines, as in the table above.",
    )
