"""One quiet style: colours, sizes and the axes that every plot starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

INK = "#1b1f24"
MUTED = "#5b6470"
RULE = "#c9ced6"
BAND = "#eceef1"
BASE = "#d5d9df"  # cells in which a concept is silent
SUPPORTS = "#0f6b8c"
OPPOSES = "#b4521b"

CATEGORIES = (
    "#0f6b8c", "#e0a030", "#4f9d69", "#b4521b", "#7f6bb3", "#5aaad0", "#c46a94", "#8a8f2a",
    "#2f4b7c", "#d98c6a", "#3f8f8c", "#a05c2e", "#9c86c9", "#6f7f3a", "#b03a4b", "#7a8794",
)  # fmt: skip

STYLE: dict[str, Any] = {
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.labelsize": 8,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.facecolor": "white",
    "font.family": ["DejaVu Sans"],
    "font.size": 8,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "conceptome",
    "text.color": INK,
    "text.parse_math": False,  # a gene or a label may hold a dollar sign
    "xtick.color": MUTED,
    "xtick.labelsize": 7,
    "xtick.major.size": 2.5,
    "xtick.major.width": 0.7,
    "ytick.color": MUTED,
    "ytick.labelsize": 7,
    "ytick.major.size": 2.5,
    "ytick.major.width": 0.7,
}


def styled() -> AbstractContextManager[None]:
    """Apply the style to everything that is drawn within."""
    import matplotlib as mpl

    return mpl.rc_context(STYLE)  # type: ignore[arg-type]


def activation_colours() -> Colormap:
    """Return the sequential map of activations: perceptually uniform, readable without colour vision."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps["inferno_r"](np.linspace(0.2, 0.92, 128)), name="activation")


def signed_colours() -> Colormap:
    """Return the map of signed values, white at 0: brown where they oppose, blue where they support."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("signed", [OPPOSES, "white", SUPPORTS])


def axes_or_new(ax: Axes | None, *, size: tuple[float, float] = (4.0, 3.0)) -> Axes:
    """Return the given axes, or those of a new figure.

    Parameters
    ----------
    ax
        Axes to draw into.
    size
        Width and height of a new figure, inches.

    Returns
    -------
    Axes to draw into.
    """
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def name_rows(ax: Axes, names: Sequence[str]) -> None:
    """Write one name to the left of each row 0, 1, ... and let the rows run downward.

    Plain texts in place of ticks, which take most of the time of a small plot.
    """
    across = ax.get_yaxis_transform()
    for row, name in enumerate(names):
        ax.text(-0.03, row, name, transform=across, ha="right", va="center", fontsize=7)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)


def amounts(drawn: Mapping[str, tuple[int, int]], joined_by: str) -> str:
    """Say how many of each kind are drawn, and of how many.

    Parameters
    ----------
    drawn
        Number drawn and number there are, by kind.
    joined_by
        What stands between kinds.
    """
    return joined_by.join(
        f"{kind}: {n if n == every else f'{n} of {every}'}" for kind, (n, every) in drawn.items()
    )


def write_amounts(ax: Axes, drawn: Mapping[str, tuple[int, int]]) -> None:
    """Write `amounts` in the corner above the names of rows, after `name_rows`."""
    across = ax.get_yaxis_transform()
    text = ax.text(-0.03, -0.8, amounts(drawn, "\n"), transform=across, fontsize=7, color=MUTED)
    text.set(ha="right", va="bottom")


def shorten(text: str, length: int = 28) -> str:
    """Cut a name to a length that a plot has room for, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Move positions on a line apart until neighbours are at least `gap` away, keeping their order.

    Parameters
    ----------
    positions
        Wanted positions, ascending.
    gap
        Smallest distance between neighbours.

    Returns
    -------
    New positions, ascending; each run of neighbours that had to move stays centred on its wanted positions.
    """
    blocks: list[tuple[float, int]] = []  # centre, number of positions
    for position in positions:
        centre, count = float(position), 1
        while blocks and centre - gap * count / 2 < blocks[-1][0] + gap * blocks[-1][1] / 2:
            other, n_other = blocks.pop()
            centre, count = (centre * count + other * n_other) / (count + n_other), count + n_other
        blocks.append((centre, count))
    return [centre + gap * (i - (count - 1) / 2) for centre, count in blocks for i in range(count)]
