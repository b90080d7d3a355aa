"""Draw how well programmes are recovered on the steps of `simulator.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from conceptome.plotting.style import CATEGORIES, MUTED, styled

OURS, LINEAR, ICA, NEURONS, KMEANS, NMF, ICA_EXPRESSION, PCA_EXPRESSION = CATEGORIES[:8]


class Line(NamedTuple):
    """One line of a panel."""

    label: str
    method: str
    measure: str
    colour: str
    marker: str = "o"
    style: str = "--"


PANELS = {
    "MCC of activation": (
        Line("TopK on scVI", "TopK, scVI", "mcc", OURS, style="-"),
        Line("TopK on principal components", "TopK, linear", "mcc", LINEAR, style="-"),
        Line("ICA of scVI", "ICA, scVI", "mcc", ICA),
        Line("neurons of scVI", "neurons, scVI", "mcc", NEURONS),
        Line("k-means of scVI", "k-means, scVI", "mcc", KMEANS),
        Line("NMF of expression, 24", "NMF of expression, 24", "mcc", NMF),
        Line("ICA of expression, 24", "ICA of expression, 24", "mcc", ICA_EXPRESSION),
        Line("PCA of expression, 24", "PCA of expression, 24", "mcc", PCA_EXPRESSION),
        Line("chance (TopK)", "TopK, scVI", "mcc_null", MUTED, "", ":"),
    ),
    "precision at 10 of genes": (
        Line("TopK: substitution", "TopK, scVI", "precision_substitute", OURS, style="-"),
        Line("TopK: substitution, higher genes", "TopK, scVI", "precision_higher", OURS, "s", "-"),
        Line("TopK: differential expression", "TopK, scVI", "precision_de", OURS, "x"),
        Line("TopK: masking", "TopK, scVI", "precision_mask", OURS, "v", ":"),
        Line("neurons: substitution", "neurons, scVI", "precision_substitute", NEURONS),
        Line("k-means: differential expression", "k-means, scVI", "precision_de", KMEANS),
        Line("NMF of expression: loadings", "NMF of expression, 24", "precision_loadings", NMF),
        Line("ICA of expression: loadings", "ICA of expression, 24", "precision_loadings", ICA_EXPRESSION),
        Line("chance (TopK)", "TopK, scVI", "chance_substitute", MUTED, "", ":"),
    ),
}


def draw(found: dict[str, Any], *, steps: Sequence[str]) -> Figure:
    """Draw both measures by step, with standard deviations over seeds; the last step stands apart."""
    names = [f"+ {step}" if 0 < at < len(steps) - 1 else step for at, step in enumerate(steps)]
    with styled():
        figure, axes = plt.subplots(1, 2, figsize=(11.5, 3.6), layout="constrained")
        for ax, (title, lines) in zip(axes, PANELS.items(), strict=True):
            for number, line in enumerate(lines):
                values = [found[step][line.method][line.measure] for step in steps]
                _draw_line(ax, line, values, shift=0.03 * (number - len(lines) / 2))
            ax.set(ylim=(0, 1.03), title=title)
            ax.set_xticks(range(len(steps)), names, rotation=20, ha="right")
            ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _draw_line(ax: Axes, line: Line, values: list[dict[str, float]], *, shift: float) -> None:
    at = np.arange(len(values)) + shift
    mean, sd = (np.array([value[name] for value in values]) for name in ("mean", "sd"))
    look = {"color": line.colour, "marker": line.marker, "markersize": 3.5, "linewidth": 1.0}
    ax.errorbar(at[:-1], mean[:-1], sd[:-1], linestyle=line.style, elinewidth=0.6, label=line.label, **look)
    ax.errorbar(at[-1:], mean[-1:], sd[-1:], elinewidth=0.6, **look)
