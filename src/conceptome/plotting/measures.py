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
    Measure("probe_macro_f1_activations", "labels read off, macro-F1"),
)


def fidelity(evaluation: Evaluation, *, figure: Figure | None = None) -> Figure:
    """Draw what concepts and their baselines keep of the embedding and say of the labels.

    Parameters
    ----------
    evaluation
        Measures of the dictionaries; the first dictionary is the one under study.
    figure
        Empty figure to draw into; None makes one of 9 x 1.8 inches.

    Returns
    -------
    The figure, one panel per measure, one line per dictionary.

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
        if figure is None:
            figure = plt.figure(figsize=(9.0, 0.7 + 0.35 * len(names)), layout="constrained")
        panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for ax, measure in zip(panels, shown, strict=True):
            _panel(ax, measures[measures["metric"] == measure.metric], measure, names)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.5, -0.5)
    return figure


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
        )
        ax.text(value[name], position - 0.22, f"{value[name]:.3g}", ha="center", va="bottom", fontsize=6.5)
    ax.set_title(measure.title)
    top = float(np.nanmax(value)) if value.notna().any() else 1.0
    ax.set_xlim(0, 1.12 if measure.bounded else 1.2 * max(top, 1e-9))
    ax.set_xticks([0, 0.5, 1] if measure.bounded else [0, round(top)])
    ax.tick_params(axis="y", length=0, labelcolor=style.INK)
    ax.spines["left"].set_visible(False)
