"""Settings of a sweep side by side: what they keep, with how many concepts, and how stable these are."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from conceptome.dictionaries import Sweep
from conceptome.plotting import style

DODGE = 1.025  # between sizes with equal L0
BARS: dict[str, Any] = {"elinewidth": 0.8, "capsize": 0, "ms": 4.5, "mew": 1.0}


def sweep(record: Sweep, *, figure: Figure | None = None) -> Figure:
    """Draw fidelity against active concepts and against stability, and mark the recommended setting.

    Parameters
    ----------
    record
        The sweep.
    figure
        Empty figure to draw into; None makes one of 3.5 x 5.4 inches, the width of a printed column.

    Returns
    -------
    The figure. Above, R2 on held-out cells against L0: circles of all concepts, triangles of those that come
    back with every seed. Below, R2 against the similarity of activations between seeds, above chance and
    random encoders (0). One colour per number of concepts; filled where the setting is on the front; bars
    are standard deviations over seeds (of similarity: over pairs of seeds); the ring is the recommendation.
    """
    table = record.settings.sort_values(["n_concepts", "l0"])
    sizes = sorted(set(table["n_concepts"].tolist()))
    colours = dict(zip(sizes, plt.get_cmap("viridis_r")(np.linspace(0.12, 0.95, len(sizes))), strict=True))
    with style.styled():
        figure = figure or plt.figure(figsize=(3.5, 5.4), layout="constrained")
        above, below = figure.subplots(2, 1)
        for at, (size, rows) in enumerate(table.groupby("n_concepts")):
            shifted = rows["l0"] * DODGE ** (at - (len(sizes) - 1) / 2)
            for y, marker, line in (("r2", "o", "-"), ("r2_recurring", "^", ":")):
                _points(above, rows.assign(x=shifted, x_sd=0.0), y, (marker, line, colours[size]))
            excess = rows.assign(x=rows["excess"], x_sd=rows["activations_sd"].fillna(0))
            _points(below, excess, "r2", ("o", "-", colours[size]))
        _name_axes(above, below, table)
        spacing = {"handletextpad": 0.2, "columnspacing": 1.0, "alignment": "left"}
        figure.legend(
            handles=_size_keys(colours), title="concepts", ncols=6, loc="outside upper left", **spacing
        )
        figure.legend(handles=_marker_keys(), ncols=2, loc="outside lower left", **spacing)
    return figure


def _points(ax: Axes, rows: pd.DataFrame, y: str, look: tuple[str, str, Any]) -> None:
    marker, line, colour = look
    ax.plot(rows["x"], rows[y], line, color=colour, lw=0.9, alpha=0.6, zorder=2)
    for row in rows.to_dict("records"):
        face = colour if row["on_front"] else "white"
        spread = {"xerr": row["x_sd"], "yerr": row[f"{y}_sd"]}
        ax.errorbar(row["x"], row[y], fmt=marker, color=colour, mfc=face, zorder=3, **spread, **BARS)
        if row["recommended"]:
            ax.plot(row["x"], row[y], "o", ms=11, mfc="none", mec=style.OPPOSES, mew=1.3, zorder=4)


def _name_axes(above: Axes, below: Axes, table: pd.DataFrame) -> None:
    active = sorted({float(f"{value:.2g}") for value in table["l0"]})
    above.set_xscale("log", base=2)
    above.set_xticks(active, [f"{value:g}" for value in active])
    above.minorticks_off()
    above.set_xlabel("active concepts per cell (L0)")
    below.set_xlabel("similarity of activations between seeds,\nabove chance and random encoders")
    below.axvline(0, color=style.RULE, lw=0.8, zorder=1)
    for ax in (above, below):
        ax.set_ylabel("R² on held-out cells")
    if above.get_ylim()[0] < 0:
        above.axhline(0, color=style.RULE, lw=0.8, zorder=1)


def _size_keys(colours: dict[int, Any]) -> list[Line2D]:
    return [
        Line2D([], [], marker="s", ms=5, lw=0, color=colour, label=str(size))
        for size, colour in colours.items()
    ]


def _marker_keys() -> list[Line2D]:
    ink: dict[str, Any] = {"color": style.MUTED, "ms": 4.5, "lw": 0}
    return [
        Line2D([], [], marker="o", label="all concepts", **ink),
        Line2D([], [], marker="^", label="only those that come back", **ink),
        Line2D([], [], marker="o", mfc="white", label="not on the front", **ink),
        Line2D([], [], marker="o", mfc="none", mec=style.OPPOSES, ms=9, lw=0, label="recommended"),
    ]
