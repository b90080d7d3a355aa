"""Cells in the plane, coloured by the activation of a concept or by a label."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.patheffects import withStroke

from conceptome.core import InputError, keys
from conceptome.plotting import style


def concept(adata: AnnData, concept: int, *, basis: str = "X_umap", ax: Axes | None = None) -> Axes:
    """Draw where a concept is active: silent cells grey, active cells on top, the strongest last.

    Parameters
    ----------
    adata
        Cells with ``obsm["concepts"]`` (`cm.tl.activate`) and coordinates.
    concept
        Index of the concept in its dictionary.
    basis
        Key in `obsm` of the coordinates; the first two columns are drawn.
    ax
        Axes to draw into; None makes a figure of 4 x 3 inches.

    Returns
    -------
    The axes.

    Raises
    ------
    InputError
        If the activations or the coordinates are missing, or the concept does not exist.
    """
    activation = _activation_of(adata, concept)
    if basis not in adata.obsm:
        msg = (
            f"obsm[{basis!r}] is missing; obsm holds {sorted(adata.obsm)}. Compute it "
            "(sc.pp.neighbors, sc.tl.umap) or name another key with basis=."
        )
        raise InputError(msg)
    coords = np.asarray(adata.obsm[basis], dtype=np.float64)[:, :2]
    with style.styled():
        ax = style.axes_or_new(ax)
        draw_base(ax, coords)
        points = draw_active(ax, coords, activation)
        ax.set_title(
            f"Concept {concept} · active in {np.mean(activation > 0):.1%} of {len(activation):,} cells"
        )
        ax.set(xlabel=f"{basis.removeprefix('X_').upper()} 1", ylabel=f"{basis.removeprefix('X_').upper()} 2")
        figure = ax.get_figure(root=True)
        if points is not None and figure is not None:
            bar = figure.colorbar(points, ax=ax, shrink=0.6, pad=0.02, label="activation")
            bar.outline.set_visible(False)
    return ax


def draw_base(ax: Axes, coords: Float[np.ndarray, "cells 2"]) -> None:
    """Draw all cells in grey and fix the limits, without ticks.

    Parameters
    ----------
    ax
        Axes to draw into.
    coords
        Position of each cell; cells with NaN are left out.
    """
    _scatter(ax, coords, point_size(len(coords))).set_facecolor(style.BASE)
    _frame(ax, coords)


def draw_active(
    ax: Axes, coords: Float[np.ndarray, "cells 2"], activation: Float[np.ndarray, " cells"]
) -> PathCollection | None:
    """Draw the active cells in ascending order of activation.

    Parameters
    ----------
    ax
        Axes to draw into.
    coords
        Position of each cell.
    activation
        Activation of each cell; cells at 0 are not drawn.

    Returns
    -------
    The points, or None when no cell is active.
    """
    active = np.flatnonzero(activation > 0)
    if len(active) == 0:
        return None
    order = active[np.argsort(activation[active], kind="stable")]
    points = _scatter(ax, coords[order], 1.4 * point_size(len(coords)))
    points.set_array(activation[order])
    points.set_cmap(style.activation_colours())
    points.set_clim(0.0, float(activation[order[-1]]))
    return points


def draw_labels(ax: Axes, coords: Float[np.ndarray, "cells 2"], labels: pd.Series) -> None:
    """Draw the cells coloured by label, with each label's name at the median of its cells.

    Parameters
    ----------
    ax
        Axes to draw into.
    coords
        Position of each cell.
    labels
        Label of each cell; cells without one stay grey.
    """
    draw_base(ax, coords)
    values = labels.astype("string").to_numpy(dtype=object, na_value="")
    placed = np.isfinite(coords).all(axis=1)
    names = labels[placed].astype("string").value_counts().index.tolist()
    for position, name in enumerate(names):
        cells = coords[values == name]
        colour = style.CATEGORIES[position % len(style.CATEGORIES)]
        _scatter(ax, cells, 1.2 * point_size(len(coords))).set_facecolor(colour)
    _write_names(ax, {name: np.nanmedian(coords[values == name], axis=0) for name in names})


def _write_names(ax: Axes, places: Mapping[str, Float[np.ndarray, " 2"]]) -> None:
    """Write names at their places, moved apart vertically and kept within the frame."""
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    order = sorted(places, key=lambda name: places[name][1])
    heights = style.spread([float(places[name][1]) for name in order], 0.035 * (high - low))
    for name, y in zip(order, heights, strict=True):
        across = (places[name][0] - left) / (right - left)
        side = "left" if across < 0.12 else "right" if across > 0.88 else "center"
        text = ax.text(
            places[name][0], y, style.shorten(name), ha=side, va="center", fontsize=8, fontweight="bold"
        )
        text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def point_size(n_cells: int) -> float:
    """Choose the area of a point, in square points, so that islands stay filled and not smeared."""
    return float(np.clip(9_000 / max(n_cells, 1), 0.25, 16.0))


def _scatter(ax: Axes, coords: Float[np.ndarray, "cells 2"], size: float) -> PathCollection:
    return ax.scatter(coords[:, 0], coords[:, 1], s=size, marker="o", linewidths=0, rasterized=True)


def _frame(ax: Axes, coords: Float[np.ndarray, "cells 2"]) -> None:
    low, high = np.nanmin(coords, axis=0), np.nanmax(coords, axis=0)
    margin = 0.03 * np.maximum(high - low, 1e-9)
    ax.set_xlim(low[0] - margin[0], high[0] + margin[0])
    ax.set_ylim(low[1] - margin[1], high[1] + margin[1])
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)


def _activation_of(adata: AnnData, concept: int) -> Float[np.ndarray, " cells"]:
    if keys.CONCEPTS not in adata.obsm:
        msg = (
            f"obsm[{keys.CONCEPTS!r}] is missing; obsm holds {sorted(adata.obsm)}. Run cm.tl.activate first."
        )
        raise InputError(msg)
    matrix = adata.obsm[keys.CONCEPTS]
    n_concepts = matrix.shape[1]
    if not 0 <= concept < n_concepts:
        msg = (
            f"Concept {concept} does not exist: the dictionary has {n_concepts} concepts, "
            f"0 to {n_concepts - 1}. Choose one of them."
        )
        raise InputError(msg)
    column = matrix[:, [concept]]
    dense = column.toarray() if hasattr(column, "toarray") else column
    return np.asarray(dense, dtype=np.float64).ravel()
