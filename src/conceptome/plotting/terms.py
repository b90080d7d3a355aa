"""A gene set along the ranking of a concept, and whether the tests that use it are calibrated."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from conceptome import enrichment as enrichment_
from conceptome.core import Enrichment, InputError
from conceptome.plotting import style


def running_sum(
    scores: pd.Series, genes: Collection[str], *, title: str = "", ax: Axes | None = None
) -> Axes:
    """Draw the running sum of a gene set with the ranks of its genes; the leading edge is coloured.

    Parameters
    ----------
    scores
        Scores of one concept, indexed by gene; NaN is outside the universe.
    genes
        Genes of the term.
    title
        Title, such as the name of the term.
    ax
        Axes to draw into; None makes a figure of 4 x 3 inches.

    Returns
    -------
    The axes.
    """
    curve = enrichment_.running_sum(scores, genes)
    colour = style.SUPPORTS if curve.es >= 0 else style.OPPOSES
    with style.styled():
        ax = style.axes_or_new(ax)
        ax.axhline(0, color=style.RULE, lw=0.7, zorder=0)
        ax.plot(*_thin(curve.rank, curve.value), color=colour, lw=1.3, solid_joinstyle="round")
        ax.plot(curve.rank[curve.peak], curve.es, "o", ms=4, color=colour, mew=0)
        passed = curve.rank[curve.peak]
        edge = curve.hits < passed if curve.es >= 0 else curve.hits >= passed
        low, high = min(curve.value.min(), 0.0), max(curve.value.max(), 0.0)
        top = low - 0.04 * (high - low or 1.0)
        bottom = top - 0.12 * (high - low or 1.0)
        ax.vlines(
            curve.hits, bottom, top, colors=list(np.where(edge, colour, style.MUTED)), lw=0.6, rasterized=True
        )
        ax.set(xlim=(0, len(curve.scores)), xlabel="genes, strongest support first", ylabel="running sum")
        ax.set_title(style.shorten(title, 46))
        ax.spines["bottom"].set_visible(False)
    return ax


def calibration(enrichment: Enrichment, *, ax: Axes | None = None) -> Axes:
    """Draw how often null controls fall under each level: on the line is calibrated, above is too liberal.

    Rates of flagged terms on their own are left out.

    Parameters
    ----------
    enrichment
        Enrichment with its `calibration` table.
    ax
        Axes to draw into; None makes a figure of 4 x 3 inches.

    Returns
    -------
    The axes.

    Raises
    ------
    InputError
        If the enrichment was run without calibration.
    """
    table = enrichment.calibration
    if table.empty:
        msg = "This enrichment has no calibration table. Run cm.enrichment.gsea with calibrate=True."
        raise InputError(msg)
    table = table[table["flag"] == ""]
    with style.styled():
        ax = style.axes_or_new(ax)
        lowest = float(table["alpha"].min()) / 3
        ax.plot([lowest, 0.5], [lowest, 0.5], color=style.RULE, lw=0.9, zorder=0)
        for position, (control, rates) in enumerate(table.groupby("control", sort=False)):
            rate = np.maximum(rates["rate"], lowest)
            low = rate - np.maximum(rates["ci_low"], lowest)
            high = np.maximum(rates["ci_high"], lowest) - rate
            ax.errorbar(
                rates["alpha"] * 1.05 ** (position - 1),
                rate,
                yerr=[low, high],
                fmt="o-",
                ms=3.5,
                lw=0.9,
                color=style.CATEGORIES[position],
                label=str(control),
            )
        ax.set(xscale="log", yscale="log", xlabel="level α", ylabel="share of null tests with p ≤ α")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(lambda level, _: f"{100 * level:g}%")
        ax.legend(loc="upper left")
    return ax


def _thin(rank: np.ndarray, value: np.ndarray, *, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Keep the extremes of the curve within `n` stretches of the ranking: what a plot can show."""
    if len(rank) <= 2 * n:
        return rank, value
    kept = [0, len(rank) - 1]
    for stretch in np.array_split(np.arange(len(rank)), n):
        kept += [stretch[np.argmin(value[stretch])], stretch[np.argmax(value[stretch])]]
    chosen = np.unique(kept)
    return rank[chosen], value[chosen]
