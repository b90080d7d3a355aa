"""Concepts that are active together, as a map ordered by module."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from conceptome.dictionaries import Modules
from conceptome.plotting import style

NAMED_F1 = 0.3
STRONG = 98  # percentile of correlations between concepts from which on colours are full


def modules(record: Modules, *, ax: Axes | None = None) -> Axes:
    """Draw how concepts come together: a square for each two, ordered by module, the strongest first.

    Parameters
    ----------
    record
        Modules of concepts.
    ax
        Axes to draw into; None makes a figure of 4.4 x 4 inches.

    Returns
    -------
    The axes, with the module and its best label, if known, beside the rows. Blue pairs are active together
    more often than by chance, brown ones less often; concepts that are never active are left out.
    """
    with style.styled():
        ax = style.axes_or_new(ax, size=(4.4, 4.0))
        draw_matrix(ax, record)
        sizes = record.modules["n_concepts"].to_numpy()
        ends = np.cumsum(sizes)
        ax.set_yticks(ends - sizes / 2 - 0.5, module_names(record))
        ax.tick_params(axis="y", length=0, labelcolor=style.INK)
        ax.set_xlabel("concepts in the same order")
    return ax


def module_names(record: Modules) -> list[str]:
    """Name each module by its number and, where one fits, its best label."""
    table = record.modules
    fits = table["label_f1"] >= NAMED_F1
    return [
        f"{module} · {style.shorten(str(label))}" if named else str(module)
        for module, label, named in zip(table["module"], table["label"], fits, strict=True)
    ]


def draw_matrix(ax: Axes, record: Modules) -> None:
    """Draw the correlations between concepts that are ever active, with lines between modules.

    Parameters
    ----------
    ax
        Axes to draw into; they lose their ticks.
    record
        Modules of concepts.
    """
    order = record.shown
    values = record.correlation[np.ix_(order, order)]
    between = np.abs(values[~np.eye(len(order), dtype=bool)])
    strong = max(float(np.percentile(between, STRONG)) if between.size else 0.0, 1e-6)
    colours = style.signed_colours()
    ax.imshow(values, cmap=colours, vmin=-strong, vmax=strong, interpolation="nearest", aspect="auto")
    for end in np.cumsum(record.modules["n_concepts"]):
        if end < len(order):
            ax.axhline(end - 0.5, color=style.MUTED, lw=0.5)
            ax.axvline(end - 0.5, color=style.MUTED, lw=0.5)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
