"""Draw how well programmes are recovered on the ladder of `simulator.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from conceptome.plotting.style import CATEGORIES, MUTED, styled

ACTIVATION = {
    "TopK, scVI": "TopK, scVI",
    "TopK, linear": "TopK, linear",
    "ICA, scVI": "ICA of scVI",
    "neurons, scVI": "neurons of scVI",
    "k-means, scVI": "k-means of scVI",
    "NMF of expression, 12": "NMF of expression",
    "ICA of expression, 24": "ICA of expression",
    "PCA of expression, 12": "PCA of expression",
}
GENES = {
    ("TopK, scVI", "substitute"): "substitution",
    ("TopK, scVI", "higher"): "substitution, genes that are higher",
    ("TopK, scVI", "mask"): "masking",
    ("TopK, scVI", "de"): "differential expression",
    ("neurons, scVI", "substitute"): "neurons, substitution",
    ("k-means, scVI", "de"): "k-means, differential expression",
    ("NMF of expression, 12", "loadings"): "NMF of expression, loadings",
    ("ICA of expression, 24", "loadings"): "ICA of expression, loadings",
}


def draw(found: dict[str, Any], *, steps: Sequence[str]) -> Figure:
    """Draw MCC and precision by step, a line per method, with standard deviations over seeds."""
    with styled():
        figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
        for number, (method, label) in enumerate(ACTIVATION.items()):
            _line(axes[0], [found[step][method]["mcc"] for step in steps], number, label)
        for number, ((method, way), label) in enumerate(GENES.items()):
            _line(axes[1], [found[step][method][f"precision_{way}"] for step in steps], number, label)
        _chance(axes[0], [found[step]["TopK, scVI"]["mcc_null"] for step in steps])
        _chance(axes[1], [found[step]["TopK, scVI"]["chance_substitute"] for step in steps])
        for ax, title in zip(axes, ("MCC of activation", "precision at 10 of genes"), strict=True):
            ax.set(ylim=(0, 1.02), title=title)
            ax.set_xticks(
                range(len(steps)), [f"+ {step}" if 0 < at < 5 else step for at, step in enumerate(steps)]
            )
            ax.tick_params(axis="x", rotation=25)
            ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _line(ax: Axes, values: list[dict[str, float]], number: int, label: str) -> None:
    at = np.arange(len(values)) + 0.03 * (number - 3.5)
    mean, sd = (np.array([value[name] for value in values]) for name in ("mean", "sd"))
    colour = CATEGORIES[number]
    style = "-" if number < 2 else "--"
    # the last step does not follow the one before
    ax.plot(at[:-1], mean[:-1], style, color=colour, linewidth=1.2)
    ax.errorbar(at, mean, sd, fmt="o", color=colour, markersize=3, linewidth=0.8, label=label)


def _chance(ax: Axes, values: list[dict[str, float]]) -> None:
    ax.plot([value["mean"] for value in values][:-1], ":", color=MUTED, linewidth=1, label="chance")
