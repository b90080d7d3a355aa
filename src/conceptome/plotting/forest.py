"""What drives a concept: gene attributions with their intervals, and the same against expression."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes

from conceptome.core import Attributions, DifferentialExpression, InputError, Names
from conceptome.plotting import style


def genes(
    attributions: Attributions,
    concept: int,
    *,
    n: int = 15,
    gene_names: Names | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the strongest genes of a concept with their 95% intervals.

    Filled points drive the concept, hollow ones do not pass q or the null floor (the grey band). On the right
    stand q and the number of pairs in which the gene differed.

    Parameters
    ----------
    attributions
        Gene scores.
    concept
        Index of the concept in its dictionary.
    n
        Number of genes: drivers first, then the largest other effects.
    gene_names
        Names to show, in the order of ``attributions.genes``.
    ax
        Axes to draw into; None makes a figure of 4 x 3 inches.

    Returns
    -------
    The axes.

    Raises
    ------
    InputError
        If the concept is not among the attributions or is not attributable.
    """
    row = row_of(attributions, concept)
    names = attributions.genes if gene_names is None else gene_names
    chosen = strongest_genes(attributions, row, n=n)
    if len(chosen) == 0:
        msg = f"Concept {concept} has no gene scores: {attributions.status[row]}."
        raise InputError(msg)
    with style.styled():
        ax = style.axes_or_new(ax)
        floor = float(attributions.floor[row])
        if np.isfinite(floor):
            ax.axvspan(-floor, floor, color=style.BAND, lw=0, zorder=0)
        ax.axvline(0, color=style.RULE, lw=0.7, zorder=1)
        _draw_intervals(ax, attributions, row, chosen)
        style.name_rows(ax, [style.shorten(str(names[gene]), 16) for gene in chosen])
        ax.locator_params(axis="x", nbins=5)
        ax.set_xlabel(
            "attribution (1 = concept off)" if attributions.aggregate == "relative" else "attribution"
        )
        _write_evidence(ax, attributions, row, chosen)
    return ax


def attribution_vs_de(
    attributions: Attributions,
    de: DifferentialExpression,
    concept: int,
    *,
    n: int = 8,
    gene_names: Names | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what drives a concept against what is merely expressed where it is active.

    Parameters
    ----------
    attributions
        Gene scores.
    de
        Active against inactive cells, on the same genes.
    concept
        Index of the concept in its dictionary.
    n
        Number of drivers to name; half as many of the most raised genes that do not drive are named in grey.
    gene_names
        Names to show, in the order of ``attributions.genes``.
    ax
        Axes to draw into; None makes a figure of 4 x 3 inches.

    Returns
    -------
    The axes.

    Raises
    ------
    InputError
        If the concept is missing from either record, or their genes differ.
    """
    row, de_row = row_of(attributions, concept), row_of(de, concept)
    if not attributions.genes.equals(de.genes):
        msg = (
            "Attributions and differential expression have different genes. Compute both on the same AnnData."
        )
        raise InputError(msg)
    names = attributions.genes if gene_names is None else gene_names
    score, attribution, drives = de.score[de_row], attributions.attribution[row], attributions.drives[row]
    with style.styled():
        ax = style.axes_or_new(ax)
        ax.axhline(0, color=style.RULE, lw=0.7, zorder=0)
        ax.axvline(0, color=style.RULE, lw=0.7, zorder=0)
        order = np.argsort(drives, kind="stable")  # drivers on top
        colours = np.where(drives, np.where(attribution > 0, style.SUPPORTS, style.OPPOSES), style.BASE)[
            order
        ]
        sizes = np.where(drives, 10.0, 5.0)[order]
        ax.scatter(score[order], attribution[order], s=sizes, c=list(colours), linewidths=0, rasterized=True)
        ax.set(xlabel="expression where active (Wilcoxon z)", ylabel="attribution")
        ax.margins(x=0.12, y=0.08)
        measured = np.where(np.isfinite(attribution) & np.isfinite(score), score, -np.inf)
        driving = strongest_genes(attributions, row, n=n, drivers_only=True)
        raised = np.argsort(-np.where(drives, -np.inf, measured), kind="stable")[: n // 2]
        raised = raised[measured[raised] > 0]
        named = np.concatenate([driving, raised])
        ink = [style.INK] * len(driving) + [style.MUTED] * len(raised)
        _name_points(ax, score[named], attribution[named], [str(names[gene]) for gene in named], ink)
    return ax


def row_of(record: Attributions | DifferentialExpression, concept: int) -> int:
    """Find the row of a concept.

    Parameters
    ----------
    record
        Rows follow its `concepts`.
    concept
        Index of the concept in its dictionary.

    Returns
    -------
    The row.

    Raises
    ------
    InputError
        If the concept is not there.
    """
    rows = np.flatnonzero(record.concepts == concept)
    if len(rows) == 0:
        msg = (
            f"Concept {concept} is not among the {len(record.concepts)} concepts of this "
            f"{type(record).__name__}. Look up its `concepts`."
        )
        raise InputError(msg)
    return int(rows[0])


def strongest_genes(
    attributions: Attributions, row: int, *, n: int, drivers_only: bool = False
) -> Int[np.ndarray, " chosen"]:
    """Choose up to `n` genes, drivers before others, and order them by attribution, highest first.

    Parameters
    ----------
    attributions
        Gene scores.
    row
        Row of the concept.
    n
        Largest number of genes.
    drivers_only
        Leave out the genes that do not drive.

    Returns
    -------
    Positions in ``attributions.genes``; genes that are unmeasured or without any effect are never chosen.
    """
    attribution, drives = attributions.attribution[row], attributions.drives[row]
    candidates = np.flatnonzero(drives if drivers_only else np.nan_to_num(attribution) != 0)
    strength = np.abs(attribution[candidates])
    chosen = candidates[np.lexsort((-strength, ~drives[candidates]))[:n]]
    return chosen[np.argsort(-attribution[chosen], kind="stable")]


def _draw_intervals(
    ax: Axes, attributions: Attributions, row: int, chosen: Int[np.ndarray, " chosen"]
) -> None:
    y = np.arange(len(chosen))
    a = attributions.attribution[row, chosen]
    colours = np.where(a > 0, style.SUPPORTS, style.OPPOSES)
    drives = attributions.drives[row, chosen]
    low, high = attributions.ci_low[row, chosen], attributions.ci_high[row, chosen]
    ax.hlines(y, low, high, colors=list(colours), lw=1.1, alpha=0.75, zorder=2)
    fill = np.where(drives, colours, "white")
    ax.scatter(a, y, s=16, c=list(fill), edgecolors=list(colours), linewidths=0.9, zorder=3)


def _write_evidence(
    ax: Axes, attributions: Attributions, row: int, chosen: Int[np.ndarray, " chosen"]
) -> None:
    across = ax.get_yaxis_transform()
    n_pairs = int(attributions.n_pairs[row])
    for y, gene in enumerate(chosen):
        q, differing = attributions.q[row, gene], attributions.n_differing[row, gene]
        ax.text(1.03, y, format_q(q), transform=across, va="center", fontsize=6, color=style.MUTED)
        ax.text(
            1.25, y, f"{differing}/{n_pairs}", transform=across, va="center", fontsize=6, color=style.MUTED
        )
    for x, heading in ((1.03, "q"), (1.25, "differs")):
        ax.text(x, -0.9, heading, transform=across, va="bottom", fontsize=6, color=style.MUTED)


def format_q(q: float) -> str:
    """Write a q-value in at most six characters; a dash where there is none."""
    if not np.isfinite(q):
        return "–"
    if q == 0:
        return "<1e-99"  # p that underflowed
    return f"{q:.2g}" if q >= 0.001 else f"{q:.0e}".replace("e-0", "e-")


def _name_points(
    ax: Axes, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], names: list[str], colours: list[str]
) -> None:
    low, high = ax.get_ylim()
    order = np.argsort(y, kind="stable")
    heights = style.spread([float(y[i]) for i in order], 0.06 * (high - low))
    middle = float(np.mean(ax.get_xlim()))
    for i, height in zip(order, heights, strict=True):
        left = x[i] > middle
        ax.annotate(
            style.shorten(names[i], 16),
            (x[i], y[i]),
            xytext=(x[i] + (-1 if left else 1) * 0.09 * np.ptp(ax.get_xlim()), height),
            ha="right" if left else "left",
            va="center",
            fontsize=6.5,
            color=colours[i],
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.3},
            arrowprops={"arrowstyle": "-", "color": style.RULE, "lw": 0.6, "shrinkA": 0, "shrinkB": 1},
        )
