"""Stability of concepts over seeds."""

from __future__ import annotations

from typing import get_args

import numpy as np
from matplotlib.axes import Axes

from conceptome.dictionaries.comparison import By
from conceptome.evaluation import SeedStability
from conceptome.plotting import style


def stability(record: SeedStability, *, ax: Axes | None = None) -> Axes:
    """Draw the similarity of concepts to their counterparts of other seeds, beside what chance reaches.

    Parameters
    ----------
    record
        Stability by directions and by activations.
    ax
        Axes to draw into; None makes a figure of 4 x 3 inches.

    Returns
    -------
    The axes: for each measure a box over concepts (quartiles; whiskers to the 5th and 95th percentile), and
    below it, in grey, one over what chance reaches for them. Diamonds mark frozen random autoencoders.
    """
    rows: list[tuple[str, np.ndarray, str, float]] = []
    frozen = record.summary.set_index("by")["random_sae"]
    for by in get_args(By):
        table = record.of(by).dropna()
        rows.append((by, table["stability"].to_numpy(), style.SUPPORTS, float(frozen[by])))
        rows.append((f"{by}, chance", table["null"].to_numpy(), style.MUTED, float("nan")))
    with style.styled():
        ax = style.axes_or_new(ax)
        for at, (_, values, colour, random) in enumerate(rows):
            low, first, middle, third, high = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95))
            ax.hlines(at, low, high, color=colour, lw=0.8)
            ax.hlines(at, first, third, color=colour, lw=7, alpha=0.35)
            ax.plot(middle, at, "o", ms=4, color=colour, mew=0)
            ax.plot(random, at, "D", ms=4.5, mfc="white", mec=style.OPPOSES)
        ax.set_yticks(range(len(rows)), [name for name, *_ in rows])
        ax.set(ylim=(len(rows) - 0.5, -0.5), xlabel="similarity to the counterpart of another seed")
        ax.set_xlim(min(0.0, *(values.min() for _, values, *_ in rows)), 1.0)
        ax.tick_params(axis="y", length=0, labelcolor=style.INK)
        ax.spines["left"].set_visible(False)
    return ax
