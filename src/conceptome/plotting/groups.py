"""Where a concept is active, by cell type or any other label, with the denominators."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from conceptome.core import Activations, InputError
from conceptome.plotting import style


def labels(
    activations: Activations, labels: pd.Series, concept: int, *, n: int = 12, ax: Axes | None = None
) -> Axes:
    """Draw the share of cells of each label that activate a concept, with counts.

    Parameters
    ----------
    activations
        Activations of the dictionary.
    labels
        Label of each cell, in the order of ``activations.cell_ids``; cells without one count as "no label".
    concept
        Index of the concept in its dictionary.
    n
        Largest number of labels; the rest is summed up in one line.
    ax
        Axes to draw into; None makes a figure of 4 x 3 inches.

    Returns
    -------
    The axes.

    Raises
    ------
    InputError
        If there is not one label per cell.
    """
    table = label_shares(activations, labels, concept)
    if len(table) > n:
        rest = table.iloc[n - 1 :]
        table = table.iloc[: n - 1]
        other = pd.DataFrame(
            {"active": [rest["active"].sum()], "cells": [rest["cells"].sum()]},
            index=[f"{len(rest)} other labels"],
        )
        table = pd.concat([table, other.assign(share=other["active"] / other["cells"])])
    with style.styled():
        ax = style.axes_or_new(ax)
        y = np.arange(len(table))
        ax.barh(y, np.ones(len(table)), height=0.62, color=style.BAND)
        ax.barh(y, table["share"], height=0.62, color=style.SUPPORTS)
        for position, (active, cells) in enumerate(zip(table["active"], table["cells"], strict=True)):
            counts = f"{active:,} / {cells:,}"
            ax.text(1.02, position, counts, va="center", fontsize=6.5, color=style.MUTED)
        style.name_rows(ax, [style.shorten(str(name), 22) for name in table.index])
        ax.set(xlim=(0, 1), xlabel="share of cells that activate the concept")
        ax.set_xticks([0, 0.5, 1], ["0%", "50%", "100%"])
    return ax


def label_shares(activations: Activations, labels: pd.Series, concept: int) -> pd.DataFrame:
    """Count the active cells of each label.

    Parameters
    ----------
    activations
        Activations of the dictionary.
    labels
        Label of each cell, in the order of ``activations.cell_ids``.
    concept
        Index of the concept in its dictionary.

    Returns
    -------
    ``active, cells, share`` by label, the largest share first.

    Raises
    ------
    InputError
        If there is not one label per cell.
    """
    if len(labels) != len(activations.cell_ids):
        msg = (
            f"Found {len(labels)} labels for {len(activations.cell_ids)} cells; expected one label per cell, "
            "in the order of the activations."
        )
        raise InputError(msg)
    groups = labels.astype("string").fillna("no label").to_numpy(dtype=object)
    active = pd.Series(activations.of(concept) > 0).groupby(groups)
    table = pd.DataFrame({"active": active.sum(), "cells": active.size()})
    table["share"] = table["active"] / table["cells"]
    return table.sort_values(["share", "cells"], ascending=False, kind="stable")
