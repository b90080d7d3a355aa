"""Concepts beside their baselines: the measures of trust."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from conceptome.core import Evaluation, InputError
from conceptome.plotting import style


@dataclass(frozen=True)
class Measure:
    """How a metric is called and drawn."""

    metric: str
    title: str
    bounded: bool = True
    """Whether it lies between 0 and 1."""


DRAWN = (
    Measure("r2", "R² of the embedding"),
    Measure("l0", "active units per cell", bounded=False),
    Measure("labels_covered", "labels with a unit"),
    Measure("mean_best_f1", "best F1 per label"),
    Measure("probe_macro_f1_activations", "labels read off, F1"),
    Measure("stability_activations", "alike with another seed"),
    Measure("with_drivers", "units with driving genes"),
    Measure("faithfulness", "faithfulness of genes", bounded=False),
    Measure("annotated", "units with a gene set"),
    Measure("annotated_excess", "… beyond null pairs"),
)
PANELS_PER_ROW = 5


def fidelity(evaluation: Evaluation, *, figure: Figure | None = None) -> Figure:
    """Draw what concepts and their baselines keep of the embedding and say of the labels.

    Parameters
    ----------
    evaluation
        Measures of the dictionaries; the first dictionary is the one under study.
    figure
        Empty figure to draw into; None makes one that is 9 inches wide.

    Returns
    -------
    The figure, one panel per measure, at most five of them in a row, one line per dictionary.

    Raises
    ------
    InputError
        If the evaluation holds none of the measures that are drawn.
    """
    measures = evaluation.measures
    shown = [measure for measure in DRAWN if (measures["metric"] == measure.metric).any()]
    if not shown:
        msg = (
            f"The evaluation holds {sorted(set(measures['metric']))}, none of which is drawn. "
            "Run cm.evaluation.evaluate on the whole dictionary."
        )
        raise InputError(msg)
    drawn = measures["metric"].isin([measure.metric for measure in shown])
    names = list(dict.fromkeys(measures.loc[drawn, "dictionary"]))
    with style.styled():
        n_rows = n_panel_rows(evaluation)
        if figure is None:
            height = n_rows * (0.7 + 0.35 * len(names))
            figure = plt.figure(figsize=(9.0, height), layout="constrained")
        grid = figure.subplots(n_rows, -(-len(shown) // n_rows), sharey=True, squeeze=False)
        panels = grid.ravel()
        for ax, measure in zip(panels, shown, strict=False):
            _panel(ax, measures[measures["metric"] == measure.metric], measure, names)
        for ax in panels[len(shown) :]:
            ax.remove()
        panels[0].set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
        panels[0].set_ylim(len(names) - 0.5, -0.5)
    return figure


def n_panel_rows(evaluation: Evaluation) -> int:
    """Count the rows of panels that `fidelity` draws.

    Parameters
    ----------
    evaluation
        Measures of the dictionaries.
    """
    n_shown = len({measure.metric for measure in DRAWN} & set(evaluation.measures["metric"]))
    return -(-n_shown // PANELS_PER_ROW)


def _panel(ax: Axes, table: pd.DataFrame, measure: Measure, names: list[str]) -> None:
    """Draw one point per dictionary; over several label columns, their mean."""
    value = table.groupby("dictionary")["value"].mean().reindex(names)
    for position, name in enumerate(names):
        if np.isnan(value[name]):
            continue
        colour = style.SUPPORTS if position == 0 else style.MUTED
        ax.hlines(position, 0, value[name], color=style.RULE, lw=1.0, zorder=1)
        ax.plot(
            value[name],
            position,
            "o",
            ms=5.5,
            color=colour,
            mfc=colour if position == 0 else "white",
            zorder=2,
            clip_on=False,
        )
        ax.text(value[name], position - 0.22, f"{value[name]:.3g}", ha="center", va="bottom", fontsize=6.5)
    ax.set_title(measure.title)
    known = value[value.notna()].to_list() or [1.0]
    top, bottom = max(*known, 1e-9), min(*known, 0.0)
    ax.set_xlim(bottom, 1.12 if measure.bounded else 1.2 * top)
    ax.set_xticks([0, 0.5, 1] if measure.bounded else [0, float(f"{top:.1g}")])
    ax.tick_params(axis="y", length=0, labelcolor=style.INK)
    ax.spines["left"].set_visible(False)
