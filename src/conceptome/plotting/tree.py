"""The prefixes of a Matryoshka dictionary as a tree."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from conceptome.dictionaries import Hierarchy
from conceptome.plotting import style

ROW = 0.16  # inches


def hierarchy(record: Hierarchy, *, names: Mapping[int, str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw finer concepts beside the coarser ones within which they lie.

    Parameters
    ----------
    record
        Hierarchy of concepts.
    names
        What to write beside the number of a concept, such as its best label.
    ax
        Axes to draw into; None makes a figure that is as high as the tree needs.

    Returns
    -------
    The axes. A column per prefix; the area of a point is the share of cells that activate the concept, the
    width of a line the share of a concept's cells that activate its parent. Finer concepts without a parent
    and without children are counted above their column, not drawn.
    """
    table = record.concepts
    level = dict(zip(table["concept"].tolist(), table["level"].tolist(), strict=True))
    links = table.dropna(subset=["parent"])
    parents = dict(zip(links["concept"].tolist(), links["parent"].tolist(), strict=True))
    drawn = _in_order(level, parents)
    height = {concept: row for row, concept in enumerate(drawn)}
    with style.styled():
        ax = style.axes_or_new(ax, size=(1.7 * len(record.prefixes) + 0.5, ROW * len(drawn) + 0.5))
        for (child, parent), share in zip(parents.items(), links["share"].tolist(), strict=True):
            ends = [parent, child]
            x, y = [level[end] for end in ends], [height[end] for end in ends]
            ax.plot(x, y, color=style.RULE, lw=2.5 * share, zorder=1)
        x, areas = [level[c] for c in drawn], 260 * table["frequency"].to_numpy()[drawn]
        ax.scatter(x, range(len(drawn)), s=areas, color=style.SUPPORTS, lw=0, zorder=2)
        for row, concept in enumerate(drawn):
            name = f"{concept} {style.shorten((names or {}).get(concept, ''), 18)}".strip()
            text = ax.text(level[concept] + 0.09, row, name, va="center", fontsize=7)
            text.set_path_effects([withStroke(linewidth=2, foreground="white")])
        _head(ax, record, drawn)
    return ax


def _in_order(level: Mapping[int, int], parents: Mapping[int, int]) -> list[int]:
    """List the concepts to be drawn from top to bottom: each above its children."""
    children: dict[int, list[int]] = {}
    for child, parent in parents.items():
        children.setdefault(parent, []).append(child)
    drawn: list[int] = []
    waiting = [c for c in reversed(level) if c not in parents and (level[c] == 0 or c in children)]
    while waiting:
        drawn.append(waiting.pop())
        waiting.extend(reversed(children.get(drawn[-1], [])))
    return drawn


def _head(ax: Axes, record: Hierarchy, drawn: list[int]) -> None:
    """Name the columns and say how many active concepts they leave out."""
    table = record.concepts
    alone = ~table["concept"].isin(drawn) & (table["frequency"] > 0)
    left = table.loc[alone, "level"].value_counts()
    for level, width in enumerate(record.prefixes):
        first = record.prefixes[level - 1] if level else 0
        beside = f"\n{left[level]} on their own" if level in left.index else "\n"
        ax.text(level, -1.2, f"{first}–{width - 1}{beside}", color=style.MUTED, fontsize=7, va="bottom")
    ax.set(xlim=(-0.15, len(record.prefixes) - 0.15), ylim=(len(drawn) - 0.4, -3.0), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
