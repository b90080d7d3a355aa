"""Significant terms as a network: what shares genes is joined, and each theme keeps together."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke
from matplotlib.textpath import TextPath

from conceptome.core import InputError, require_at_least, require_choice
from conceptome.enrichment import shared_themes
from conceptome.enrichment.gene_overlap import Overlap, gene_overlap
from conceptome.evaluation import readable_term
from conceptome.plotting import style
from conceptome.plotting.placing import place, sunflower
from conceptome.plotting.themes import effect_of, require_findings

LETTERS = 6.5  # points
LINE = 1.25 * LETTERS
MARGIN = 7.0  # points around a theme
PER_GENE = 0.9  # square points of a term's disc for each gene
KEY, KEY_HEIGHT = 62.0, 190.0  # points to the right that the key takes


def enrichment_map(
    themes: pd.DataFrame,
    concept: int | None = None,
    *,
    overlap: Overlap = "jaccard",
    min_overlap: float = 0.25,
    n_themes: int = 20,
    n_terms: int = 120,
    ax: Axes | None = None,
) -> Axes:
    """Draw the significant terms of a concept, or of all, as a network of themes.

    Parameters
    ----------
    themes
        What `conceptome.enrichment.themes` returns.
    concept
        Index of the concept in its dictionary. None draws the findings of all concepts, each term once, with
        the themes of `conceptome.enrichment.shared_themes`.
    overlap, min_overlap
        Terms are joined whose leading edges share genes: by the Jaccard index (``"jaccard"``, shared of all
        genes) or the overlap coefficient (``"overlap"``, shared of the smaller edge's) of at least this.
        A term that several concepts found has the genes of all their leading edges.
    n_themes, n_terms
        Largest numbers to draw: the first themes, and of their terms the most significant.
    ax
        Axes to draw into, which should be of the size of the figure that None makes: names keep their size.

    Returns
    -------
    The axes. A disc is a term: its area the number of its genes, its colour NES (without NES, ES; of several
    concepts that of the most significant finding), blue where it supports the concept and brown where it
    opposes it. Lines are the wider the more genes are shared. The grey discs are themes. Where things stand
    depends on nothing but the findings.

    Raises
    ------
    InputError
        If there is no finding, or an option is out of its range.
    """
    _check(overlap, min_overlap, n_themes=n_themes, n_terms=n_terms)
    found = require_findings(themes, concept)
    every = _terms(found if concept is not None else shared_themes(found))
    table = every[every["theme"].isin(sorted(every["theme"].unique())[:n_themes])]
    table = table.sort_values(["p", "collection", "term"]).head(n_terms).sort_values("theme", kind="stable")
    links = gene_overlap([term - {""} for term in table["genes"]], measure=overlap)
    links[(links < min_overlap) | np.eye(len(links), dtype=bool)] = 0.0
    network = _Network.of(table, links)
    with style.styled():
        width, height = network.extent[1] / 72
        ax = style.axes_or_new(ax, size=(width + 0.1, height + 0.4))
        _draw_themes(ax, network)
        _draw_links(ax, network, links)
        _draw_terms(ax, network, table)
        n_themes, n_every = (rows["theme"].nunique() for rows in (table, every))
        drawn = {"terms": (len(table), len(every)), "themes": (n_themes, n_every)}
        ax.set_title(style.amounts(drawn, " · "), fontsize=7, color=style.MUTED)
    return ax


def _check(overlap: Overlap, min_overlap: float, *, n_themes: int, n_terms: int) -> None:
    require_choice("overlap", overlap, get_args(Overlap))
    require_at_least("n_themes", n_themes, 1)
    require_at_least("n_terms", n_terms, 1)
    if not 0 < min_overlap <= 1:
        msg = f"min_overlap is {min_overlap}, expected a number above 0 and up to 1, such as 0.25."
        raise InputError(msg)


def _terms(found: pd.DataFrame) -> pd.DataFrame:
    """Return one row per term, its most significant, with the genes of all its leading edges."""
    ordered = found.sort_values(["p", "concept"], kind="stable")
    keys = ["collection", "term"]
    edges = ordered.groupby(keys)["leading_edge"].agg(";".join).str.split(";").map(frozenset)
    return ordered.drop_duplicates(keys).merge(edges.rename("genes").reset_index(), on=keys)


@dataclass(frozen=True, eq=False)
class _Network:
    """Where everything stands, in points."""

    terms: Float[np.ndarray, "terms 2"]
    diameters: Float[np.ndarray, " terms"]
    themes: Float[np.ndarray, "themes 2"]
    """Centres of the grey discs."""
    radii: Float[np.ndarray, " themes"]
    labels: list[str]
    """Names of the themes, in lines."""
    extent: Float[np.ndarray, "2 2"]
    """The lower left corner, and width and height with the key."""

    @classmethod
    def of(cls, table: pd.DataFrame, links: Float[np.ndarray, "terms terms"]) -> _Network:
        diameters = 2 * np.sqrt(PER_GENE * table["size"].to_numpy(dtype=np.float64) / np.pi) + 3
        number, numbers = pd.factorize(table["theme"])
        names = table.drop_duplicates("theme")["theme_name"]
        labels = [textwrap.fill(readable_term(str(name)), 24) for name in names]
        own, radii = _within(number, diameters)
        written = np.array([_written(label) for label in labels])
        boxes = np.column_stack([np.maximum(2 * radii, written[:, 0]), 2 * radii + written[:, 1]]) + MARGIN
        member = np.eye(len(numbers))[number]
        between = member.T @ links @ member
        np.fill_diagonal(between, 0.0)
        centres = place(boxes, between)
        low, high = (centres - boxes / 2).min(axis=0), (centres + boxes / 2).max(axis=0)
        low[1] = min(low[1], high[1] - KEY_HEIGHT)
        extent = np.stack([low, high - low + (KEY, 0)])
        discs = centres + np.column_stack([np.zeros(len(boxes)), -written[:, 1] / 2])
        return cls(discs[number] + own, diameters, discs, radii, labels, extent)


def _within(
    number: Int[np.ndarray, " terms"], diameters: Float[np.ndarray, " terms"]
) -> tuple[Float[np.ndarray, "terms 2"], Float[np.ndarray, " themes"]]:
    """Place the terms of each theme around its centre; return how far it reaches, too."""
    own, radii = np.zeros((len(number), 2)), np.zeros(number.max() + 1)
    for theme in range(len(radii)):
        rows = np.flatnonzero(number == theme)
        own[rows] = sunflower(len(rows), float(diameters[rows].max()) + 2)
        radii[theme] = (np.hypot(*own[rows].T) + diameters[rows] / 2).max() + 3
    return own, radii


def _written(label: str) -> tuple[float, float]:
    """Return width and height of a name."""
    lines = label.split("\n")
    return max(TextPath((0, 0), line, size=LETTERS).get_extents().width for line in lines), LINE * len(lines)


def _draw_themes(ax: Axes, network: _Network) -> None:
    (left, low), (width, height) = network.extent
    ax.set(xlim=(left, left + width), ylim=(low, low + height), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(False)
    for centre, radius, label in zip(network.themes, network.radii, network.labels, strict=True):
        ax.add_patch(Circle(centre, radius, color=style.BAND, lw=0, zorder=0))
        above = centre[0], centre[1] + radius + 1
        text = ax.text(*above, label, ha="center", va="bottom", fontsize=LETTERS, linespacing=1.05, zorder=4)
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])


def _draw_links(ax: Axes, network: _Network, links: Float[np.ndarray, "terms terms"]) -> None:
    one, other = np.nonzero(np.triu(links))
    ends = np.stack([network.terms[one], network.terms[other]], axis=1)
    widths = 2.0 * links[one, other]
    ax.add_collection(LineCollection(list(ends), linewidths=widths, colors=style.MUTED, alpha=0.3, zorder=1))


def _draw_terms(ax: Axes, network: _Network, table: pd.DataFrame) -> None:
    column, label = effect_of(table)
    effects = table[column].to_numpy(dtype=np.float64)
    discs = EllipseCollection(
        network.diameters,
        network.diameters,
        np.zeros(len(effects)),
        units="xy",
        offsets=network.terms,
        offset_transform=ax.transData,
        array=effects,
        cmap=style.signed_colours(),
        edgecolors=style.MUTED,
        linewidths=0.4,
        zorder=3,
    )
    strongest = float(np.nanmax(np.abs(effects)))
    discs.set_clim(-strongest, strongest)
    ax.add_collection(discs)
    (left, low), (width, height) = network.extent
    right, top = left + width - KEY, low + height
    ax.text(right + 12, top, "genes", fontsize=7, va="top")
    for row, genes in enumerate((10, 50, 200), start=1):
        at, diameter = (right + 22, top - 6 - 18 * row), 2 * np.sqrt(PER_GENE * genes / np.pi) + 3
        ax.add_patch(Circle(at, diameter / 2, color=style.MUTED, lw=0))
        ax.text(at[0] + 14, at[1], str(genes), fontsize=7, va="center", color=style.MUTED)
    ax.text(right + 12, top - 86, label, fontsize=7, va="top")
    bar = ax.inset_axes(((width - KEY + 16) / width, (height - 180) / height, 9 / width, 80 / height))
    ax.figure.colorbar(discs, cax=bar)
    bar.tick_params(labelsize=7)
