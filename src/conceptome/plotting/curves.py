"""Faithfulness of gene scores: what becomes of concepts as their genes are substituted."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import t

from conceptome.core import CURVES, CurveName, Faithfulness
from conceptome.plotting import style

WORDS: dict[CurveName, tuple[str, str]] = {
    "deletion": ("genes substituted in the factual", "area, lower is better"),
    "insertion": ("genes put into the counterfactual", "area, higher is better"),
}


def faithfulness(record: Faithfulness, *, figure: Figure | None = None) -> Figure:
    """Draw deletion and insertion curves of every method, and their areas.

    Parameters
    ----------
    record
        Curves and areas.
    figure
        Empty figure to draw into; None makes one of 7 x 4.4 inches.

    Returns
    -------
    The figure. Above, mean activation over concepts, relative to the factual's, with bands of one standard
    error over concepts. Below, the mean areas with their 95% intervals (t over concepts), and in the same
    colour a dot for each concept. The same concepts are behind every method, so that two methods may differ
    reliably though their intervals overlap: see `Faithfulness.against`.
    """
    import matplotlib.pyplot as plt

    others = [method for method in record.methods if method != "random"]
    colours = dict(zip(others, style.CATEGORIES, strict=False)) | {"random": style.MUTED}
    table = record.by_concept()
    with style.styled():
        figure = figure or plt.figure(figsize=(7.0, 4.4), layout="constrained")
        panels = figure.subplots(2, 2, height_ratios=(3, 0.5 + 0.28 * len(record.methods)), squeeze=False)
        for column, curve in enumerate(CURVES):
            _draw_curves(panels[0, column], record, curve, colours)
            _draw_areas(panels[1, column], table, curve, colours)
            style.name_rows(panels[1, column], record.methods if column == 0 else [""] * len(record.methods))
        panels[0, 0].set_ylabel("activation / factual's")
    return figure


def _draw_curves(ax: Axes, record: Faithfulness, curve: CurveName, colours: dict[str, str]) -> None:
    for method, values in zip(record.methods, getattr(record, curve), strict=True):
        steps, middle = np.arange(values.shape[1]), values.mean(axis=0)
        if len(values) > 1:
            error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
            ax.fill_between(steps, middle - error, middle + error, color=colours[method], alpha=0.18, lw=0)
        ax.plot(steps, middle, color=colours[method], lw=1.2, label=method)
    ax.set(title=curve, xlabel=WORDS[curve][0])
    ax.margins(x=0)
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, 0.0), max(high, 1.0) if curve == "deletion" else high)


def _draw_areas(ax: Axes, table: pd.DataFrame, curve: CurveName, colours: dict[str, str]) -> None:
    for row, (method, areas) in enumerate(table.groupby("method", sort=False, observed=True)[curve]):
        colour, values = colours[str(method)], areas.to_numpy()
        ax.plot(values, np.full(len(values), row), "o", ms=2.5, mew=0, color=colour, alpha=0.35)
        ax.hlines(row, *_interval(values), color=colour, lw=1.4)
        ax.plot(values.mean(), row, "o", ms=4.5, mew=0, color=colour)
    ax.set_xlabel(WORDS[curve][1])


def _interval(values: Float[np.ndarray, " concepts"]) -> tuple[float, float]:
    """Return the 95% interval of the mean; the mean alone where there is one value."""
    mean, n = float(values.mean()), len(values)
    margin = float(t.ppf(0.975, n - 1) * values.std(ddof=1)) / np.sqrt(n) if n > 1 else 0.0
    return mean - margin, mean + margin
