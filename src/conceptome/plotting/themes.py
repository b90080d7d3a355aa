"""The themes of a dictionary's concepts as a dot plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from scipy.cluster.hierarchy import leaves_list, linkage

from conceptome.core import InputError, require_at_least, require_choice
from conceptome.enrichment import shared_themes
from conceptome.evaluation import readable_term
from conceptome.plotting import style

DotSize: TypeAlias = Literal["q_global", "q_concept", "n_terms"]

CELL = 0.175  # inches between concepts and between themes
LARGEST = 110.0  # area of the largest dot, square points
FULL = 10.0  # -log10 q from which on dots grow no further
SIZE_LABELS = {"q_global": "−log₁₀ q", "q_concept": "−log₁₀ q (concept)", "n_terms": "terms"}
KEY_ROWS, KEY_COLUMNS = 13, 4  # of the grid, that the key to its right takes
LETTER = 0.06  # inches that a letter of a concept's name takes


def theme_dots(
    themes: pd.DataFrame,
    *,
    size: DotSize = "q_global",
    n_themes: int = 40,
    n_concepts: int = 60,
    names: Mapping[int, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw which themes stand in which concepts, alike themes and alike concepts side by side.

    Parameters
    ----------
    themes
        What `conceptome.enrichment.themes` returns; themes that several concepts share are put together by
        `conceptome.enrichment.shared_themes`.
    size
        What the area of a dot shows: -log10 of ``"q_global"`` or ``"q_concept"`` of the concept's most
        significant term in the theme, full at 1e-10, or ``"n_terms"``, the number of its terms there.
    n_themes, n_concepts
        Largest numbers to draw: themes of most concepts, and of the concepts those with most of these themes.
    names
        What to write beside the number of a concept, such as its best label.
    ax
        Axes to draw into; None makes a figure that is as large as the dots need.

    Returns
    -------
    The axes, a row per theme and a column per concept, ordered by average linkage (cosine distance of NES).
    The colour is the NES of the most significant term (without NES, its ES): blue supports the concept,
    brown opposes it. In the corner stands how many themes and concepts with findings are shown of how many.

    Raises
    ------
    InputError
        If no concept has a finding, nothing may be drawn, or `size` is not one of the choices.
    """
    require_choice("size", size, get_args(DotSize))
    require_at_least("n_themes", n_themes, 1)
    require_at_least("n_concepts", n_concepts, 1)
    require_findings(themes)
    column, label = effect_of(themes)
    every = shared_themes(themes).drop_duplicates(["concept", "theme"])
    table = _shown(every, n_themes=n_themes, n_concepts=n_concepts)
    grid = _ordered(table.pivot(index="theme", columns="concept", values=column).fillna(0.0))
    titles = table.drop_duplicates("theme").set_index("theme")["theme_name"]
    concepts = [int(concept) for concept in grid.columns]
    columns = [f"{c} {style.shorten((names or {}).get(c, ''), 20)}".strip() for c in concepts]
    with style.styled():
        ax = style.axes_or_new(ax, size=_size(grid.shape, columns))
        x, y = (axis.get_indexer(pd.Index(table[axis.name])) for axis in (grid.columns, grid.index))
        strength = _strength(table, size)
        full = FULL if size != "n_terms" else float(strength.max())
        points = _dots(ax, (x, y), LARGEST * strength / full, table[column].to_numpy())
        style.name_rows(ax, [style.shorten(readable_term(titles[theme]), 52) for theme in grid.index])
        _frame(ax, columns, n_rows=len(grid))
        drawn = zip(("themes", "concepts"), grid.shape, (every["theme"], every["concept"]), strict=True)
        style.write_amounts(ax, {kind: (n, column.nunique()) for kind, n, column in drawn})
        _key_of_areas(ax, full=full, size=size, right=len(columns))
        _key_of_colours(ax, points, label, right=len(columns))
    return ax


def require_findings(themes: pd.DataFrame, concept: int | None = None) -> pd.DataFrame:
    """Return the findings of one concept, or of all.

    Parameters
    ----------
    themes
        What `conceptome.enrichment.themes` returns.
    concept
        Index of the concept in its dictionary; None keeps all.

    Raises
    ------
    InputError
        If there are none.
    """
    found = themes if concept is None else themes[themes["concept"] == concept]
    if found.empty:
        who = "No concept has" if concept is None else f"Concept {concept} has no"
        n_with = themes["concept"].nunique()
        others = "" if concept is None else f" ({n_with} other concepts have some)"
        msg = (
            f"{who} {'a ' * (concept is None)}significant term among these themes{others}. Take another "
            "concept, or a larger alpha in cm.enrichment.themes."
        )
        raise InputError(msg)
    return found


def effect_of(themes: pd.DataFrame) -> tuple[str, str]:
    """Choose the column that colours show and what to call it: NES, or without permutations ES."""
    return ("nes", "NES") if themes["nes"].notna().any() else ("es", "ES")


def _shown(themes: pd.DataFrame, *, n_themes: int, n_concepts: int) -> pd.DataFrame:
    """Keep the themes of most concepts, which come first, and the concepts with most of these."""
    kept = themes[themes["theme"] < n_themes]
    counts = kept.groupby("concept").agg(n=("theme", "size"), p=("p", "min")).reset_index()
    order = counts.sort_values(["n", "p", "concept"], ascending=[False, True, True])["concept"]
    return kept[kept["concept"].isin(order.head(n_concepts))]


def _ordered(effects: pd.DataFrame) -> pd.DataFrame:
    return effects.iloc[leaves(effects.to_numpy()), leaves(effects.to_numpy().T)]


def leaves(values: Float[np.ndarray, "rows columns"]) -> np.ndarray:
    """Order rows such that alike ones stand together.

    Parameters
    ----------
    values
        No row is all 0.

    Returns
    -------
    Positions of the rows.
    """
    if len(values) < 3:
        return np.arange(len(values))
    return np.asarray(leaves_list(linkage(values, "average", metric="cosine", optimal_ordering=True)))


def _strength(table: pd.DataFrame, size: DotSize) -> Float[np.ndarray, " dots"]:
    if size == "n_terms":
        return table["n_terms"].to_numpy(dtype=np.float64)
    return np.asarray(-np.log10(np.maximum(table[size].to_numpy(), 10**-FULL)))


def _dots(
    ax: Axes,
    at: tuple[np.ndarray, np.ndarray],
    areas: Float[np.ndarray, " dots"],
    effects: Float[np.ndarray, " dots"],
) -> PathCollection:
    right, bottom = (positions.max() + 0.5 for positions in at)
    ax.hlines(np.unique(at[1]), -0.5, right, color=style.BAND, lw=0.5, zorder=0)
    ax.vlines(np.unique(at[0]), -0.5, bottom, color=style.BAND, lw=0.5, zorder=0)
    strongest = float(np.nanmax(np.abs(effects)))
    colours: dict[str, Any] = {"cmap": style.signed_colours(), "vmin": -strongest, "vmax": strongest}
    return ax.scatter(*at, s=areas, c=effects, edgecolors=style.MUTED, linewidths=0.3, **colours)


def _size(shape: tuple[int, int], columns: Sequence[str]) -> tuple[float, float]:
    """Return width and height in inches: of the grid, the key and the names."""
    n_rows, n_columns = shape
    return CELL * (n_columns + KEY_COLUMNS) + 3.4, CELL * max(n_rows, KEY_ROWS) + 0.4 + LETTER * max(
        map(len, columns)
    )


def _frame(ax: Axes, columns: Sequence[str], *, n_rows: int) -> None:
    """Name the columns above and leave room for the key on the right."""
    ax.set(xlim=(-0.6, len(columns) + KEY_COLUMNS), ylim=(max(n_rows, KEY_ROWS) - 0.4, -0.6))
    ax.xaxis.tick_top()
    ax.set_xticks(range(len(columns)), columns, rotation=90)
    ax.tick_params(axis="x", length=0)
    ax.spines[:].set_visible(False)


def _key_of_areas(ax: Axes, *, full: float, size: DotSize, right: int) -> None:
    """Explain areas to the right of the dots, in units of their grid."""
    values = [2.0, 5.0, FULL] if size != "n_terms" else sorted({1.0, max(np.ceil(full / 3), 1.0), full})
    ax.text(right + 0.3, 0, SIZE_LABELS[size], va="center", fontsize=7)
    for row, value in enumerate(values, start=1):
        area = LARGEST * value / full
        ax.scatter(right + 0.8, row, s=area, color=style.MUTED, linewidths=0)
        capped = size != "n_terms" and value == FULL
        text = f"≥ {value:g}" if capped else f"{value:g}"
        ax.text(right + 1.6, row, text, va="center", fontsize=7, color=style.MUTED)


def _key_of_colours(ax: Axes, points: PathCollection, label: str, *, right: int) -> None:
    ax.text(right + 0.3, 5.4, label, va="center", fontsize=7)
    (left, end), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    at = (right + 0.5 - left) / (end - left), (KEY_ROWS - 1 - bottom) / (top - bottom)
    bar = ax.inset_axes((*at, 0.6 / (end - left), (KEY_ROWS - 7.2) / (bottom - top)))
    ax.figure.colorbar(points, cax=bar)
    bar.tick_params(labelsize=7)
