"""Which concepts of a run come back in other runs, by each measure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from conceptome.plotting import style

MAX_ROWS = 40
ABOVE = 0.05
LARGEST = 90.0  # area of the dot of a similarity of 1
GAP = 0.6  # between runs


def returning(pairs: pd.DataFrame, *, n: int = MAX_ROWS, figure: Figure | None = None) -> Figure:
    """Draw the concepts of the first run and how alike their counterparts are, by run and measure.

    Parameters
    ----------
    pairs
        From ``pipeline.compare_runs``.
    n
        Concepts shown at most, those with most counterparts above chance first.
    figure
        Empty figure to draw into, which is given the size that it needs; None makes one.

    Returns
    -------
    The figure: a column per run and measure, a dot per concept with an area that grows with the similarity of
    its counterpart, which is named in the dot's column; filled where it is above chance (q <= 0.05).
    """
    first = pairs["run_a"].iloc[0]
    own = pairs[(pairs["measure"] == pairs["matched_by"]) & (pairs["run_a"] == first)]
    own = own.assign(above=own["q"] <= ABOVE)
    order = own.groupby("concept_a").agg(above=("above", "sum"), similarity=("similarity", "mean"))
    shown = order.sort_values(["above", "similarity"], ascending=False, kind="stable").index[:n].tolist()
    columns = own[["run_b", "measure"]].drop_duplicates().reset_index(drop=True)
    step = (columns["run_b"] != columns["run_b"].shift()).cumsum() - 1
    columns["x"] = np.arange(len(columns)) + GAP * step
    rows = own[own["concept_a"].isin(shown)].merge(columns, on=["run_b", "measure"])
    y = rows["concept_a"].map({concept: row for row, concept in enumerate(shown)})
    with style.styled():
        figure = figure or plt.figure()
        figure.set_size_inches(2.6 + 0.75 * len(columns), 1.2 + 0.16 * len(shown))
        figure.set_layout_engine("constrained")
        ax = figure.subplots()
        area = LARGEST * rows["similarity"].clip(lower=0.02)
        faces = np.where(rows["above"], style.SUPPORTS, "white")
        ax.scatter(rows["x"], y, s=area, c=faces, edgecolors=style.SUPPORTS, linewidths=0.7)
        for x, row, concept in zip(rows["x"], y, rows["concept_b"], strict=True):
            ax.text(x + 0.24, row, str(concept), fontsize=5.5, color=style.MUTED, va="center")
        style.name_rows(ax, _names(own, shown))
        ax.set_xticks(columns["x"], columns["measure"], rotation=40, ha="right")
        ax.set_xlim(-0.6, float(columns["x"].max()) + 0.8)
        for run, group in columns.groupby("run_b", sort=False):
            ax.text(
                group["x"].mean(), 1.01, str(run), transform=ax.get_xaxis_transform(), ha="center", fontsize=7
            )
        ax.set_xlabel(f"concepts of {first}; filled: above chance")
    return figure


def _names(own: pd.DataFrame, shown: list[int]) -> list[str]:
    labels = own.drop_duplicates("concept_a").set_index("concept_a")["label_a"]
    return [
        f"{concept} · {style.shorten(labels[concept])}" if isinstance(labels[concept], str) else str(concept)
        for concept in shown
    ]
