"""How far attributions depend on the matching of the pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from conceptome.plotting import style

SIDES = (("spearman", "tested genes", style.MUTED), ("spearman_drivers", "drivers", style.SUPPORTS))
OFFSET = 0.16  # of the two kinds of genes from the middle of their row


def sensitivity(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how attributions under each matching correlate with those under the first.

    Parameters
    ----------
    table
        From ``attribution.sensitivity``.
    ax
        Axes to draw into; None makes a figure of 4 x 3 inches.

    Returns
    -------
    The axes: a row per matching with a dot per concept and a bar at their median, above for all tested genes,
    below for those that drive the concept by either matching. At the right, summed over concepts, the number
    of drivers, and how many of the first matching's are lost and others won.
    """
    first = table.loc[table["one"] == table["one"].iloc[0]]
    matchings = first["other"].drop_duplicates().tolist()
    low = min(0.0, float(first[[column for column, *_ in SIDES]].min().min()))
    with style.styled():
        ax = style.axes_or_new(ax)
        for at, matching in enumerate(matchings):
            rows = first.loc[first["other"] == matching]
            for (column, _, colour), side in zip(SIDES, (-OFFSET, OFFSET), strict=True):
                values = rows[column].dropna().to_numpy()
                ax.plot(values, np.full(len(values), at + side), "o", ms=3, color=colour, alpha=0.5, mew=0)
                if len(values):
                    middle = float(np.median(values))
                    ax.vlines(middle, at + side - 0.12, at + side + 0.12, color=colour, lw=1.5)
            drivers = f"{rows['n_drivers_other'].sum()}, −{rows['n_lost'].sum()} +{rows['n_won'].sum()}"
            ax.text(1.03, at, drivers, transform=ax.get_yaxis_transform(), va="center", fontsize=7)
        for (_, name, colour), x, align in zip(SIDES, (0, 1), ("left", "right"), strict=True):
            ax.text(x, 1.02, name, color=colour, transform=ax.transAxes, ha=align, fontsize=7)
        ax.text(1.03, 1.02, "number, − lost + won", transform=ax.transAxes, fontsize=7)
        style.name_rows(ax, [style.shorten(matching) for matching in matchings])
        ax.set_xlim(low, 1.02)
        ax.set_xlabel(f"Spearman correlation with {first['one'].iloc[0]}")
    return ax
