"""How findings fade as annotations are thinned."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from conceptome.core import InputError
from conceptome.plotting import style

RANDOM = "random"


def completeness(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the share of findings that survive against the share of annotations that is kept.

    Parameters
    ----------
    table
        What `conceptome.enrichment.completeness` returns.
    ax
        Axes to draw into; None makes a figure of 4 x 3 inches.

    Returns
    -------
    The axes: a thin line for each concept with findings (mean over repeats), a thick one for all findings
    together with the range of its repeats, and a named point for each subset, such as of some evidence.

    Raises
    ------
    InputError
        If no concept had a finding.
    """
    known = table[table["n_findings"] > 0]
    if known.empty:
        msg = "No concept has a finding with all annotations; there is nothing that could survive thinning."
        raise InputError(msg)
    drawn = known[known["thinning"] == RANDOM].assign(share=lambda rows: rows["share"].round(2))
    with style.styled():
        ax = style.axes_or_new(ax)
        for _, rows in drawn.groupby("concept"):
            curve = _closed(rows.groupby("share")["survival"].mean())
            ax.plot(curve.index, curve, color=style.RULE, lw=0.7, zorder=1)
        pooled = _pooled(drawn, ["share", "repeat"]).groupby("share")
        mean, low, high = (_closed(found) for found in (pooled.mean(), pooled.min(), pooled.max()))
        ax.fill_between(mean.index, low, high, color=style.SUPPORTS, alpha=0.2, lw=0, zorder=2)
        ax.plot(mean.index, mean, "o-", color=style.SUPPORTS, lw=1.6, ms=4, zorder=3)
        for name, rows in known[known["thinning"] != RANDOM].groupby("thinning", sort=False):
            at = float(rows["share"].iloc[0]), float(_pooled(rows, ["repeat"]).iloc[0])
            ax.plot(*at, "D", color=style.OPPOSES, ms=4.5, zorder=4)
            ax.annotate(str(name), at, xytext=(5, -3), textcoords="offset points", fontsize="small")
        ax.set(xlim=(1.03, 0), ylim=(0, 1.04), xlabel="annotations kept", ylabel="findings that survive")
        ax.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    return ax


def _pooled(rows: pd.DataFrame, keys: list[str]) -> pd.Series:
    summed = rows.groupby(keys)[["n_survived", "n_findings"]].sum()
    survival: pd.Series = summed["n_survived"] / summed["n_findings"]
    return survival


def _closed(curve: pd.Series) -> pd.Series:
    """Start the curve where nothing is thinned."""
    shares = np.append(curve.index.to_numpy(), 1.0)
    return pd.Series(np.append(curve.to_numpy(), 1.0), index=shares).groupby(level=0).first()
