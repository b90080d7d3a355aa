"""The genes that carry a concept's terms, as a heat map."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle

from conceptome.core import InputError, require_at_least
from conceptome.evaluation import readable_term
from conceptome.plotting import style
from conceptome.plotting.themes import leaves, require_findings

CELL = 0.16  # inches between genes and between terms
LEAST = 8  # genes and terms that there is room for, so that few do not grow
STRONG = 90  # percentile of |score| from which on colours are full


def leading_edge(
    themes: pd.DataFrame,
    scores: pd.Series,
    concept: int,
    *,
    n_terms: int = 15,
    n_genes: int = 40,
    ax: Axes | None = None,
) -> Axes:
    """Draw which genes carry which terms of a concept, with the score of each gene.

    Parameters
    ----------
    themes
        What `conceptome.enrichment.themes` returns.
    scores
        What ranked the genes of the concept, by the names that the terms use, such as
        ``attributions.scores().loc[concept]``.
    concept
        Index of the concept in its dictionary.
    n_terms
        Largest number of terms: the representatives of themes, then other terms, the most significant first.
    n_genes
        Largest number of genes: each term in turn adds the one of its strongest score that is not there yet.
    ax
        Axes to draw into; None makes a figure that is as large as the map needs.

    Returns
    -------
    The axes: a row per term, in the order of themes with lines between them, and a column per gene, alike
    ones side by side. A cell is coloured where the gene belongs to the term's leading edge: blue supports the
    concept, brown opposes it. In the corner stands how many terms and genes are shown of how many.

    Raises
    ------
    InputError
        If the concept has no finding or its terms no leading edge, or a gene of one has no score.
    """
    require_at_least("n_terms", n_terms, 1)
    require_at_least("n_genes", n_genes, 1)
    found = require_findings(themes, concept)
    table = _chosen(found, n_terms)
    edges = [[gene for gene in edge.split(";") if gene] for edge in table["leading_edge"]]
    strength = _scores_of(edges, scores, concept)
    genes = _strongest(edges, strength.abs(), n_genes)
    member = np.array([np.isin(genes, edge) for edge in edges])
    order = leaves(member.T.astype(np.float64))
    genes, member = genes[order], member[:, order]
    with style.styled():
        size = CELL * max(len(genes), LEAST) + 5.0, CELL * max(len(table), LEAST) + 0.9
        ax = style.axes_or_new(ax, size=size)
        _draw(ax, member, strength[genes].to_numpy(dtype=np.float64))
        _name_axes(ax, table, genes)
        every = {"terms": (len(table), len(found)), "genes": (len(genes), len(strength))}
        style.write_amounts(ax, every)
    return ax


def _chosen(found: pd.DataFrame, n_terms: int) -> pd.DataFrame:
    speaks = found["term"] == found["theme_term"]
    first = found.assign(_other=~speaks).sort_values(["_other", "p", "term"]).head(n_terms)
    return first.sort_values(["theme", "_other", "p", "term"])


def _scores_of(edges: list[list[str]], scores: pd.Series, concept: int) -> pd.Series:
    """Return the score of every gene in a leading edge."""
    carrying = list(dict.fromkeys(gene for edge in edges for gene in edge))
    if not carrying:
        msg = (
            f"The terms of concept {concept} have no leading edge; only cm.enrichment.gsea and ora name one."
        )
        raise InputError(msg)
    known = scores.dropna()
    missing = [gene for gene in carrying if gene not in known.index]
    if missing:
        msg = (
            f"{len(missing)} of the {len(carrying)} genes in the leading edges of concept {concept} have no "
            f"score, such as {', '.join(missing[:3])}. Give what ranked the genes, by the names the terms "
            "use."
        )
        raise InputError(msg)
    return known[~known.index.duplicated()][carrying]


def _strongest(edges: list[list[str]], strength: pd.Series, n_genes: int) -> np.ndarray:
    """Let each term in turn add the strongest of its genes that is not there yet."""
    waiting = [sorted(edge, key=lambda gene: (-strength[gene], gene)) for edge in edges]
    chosen: dict[str, None] = {}
    while len(chosen) < n_genes and any(waiting):
        for genes in waiting:
            new = next((gene for gene in genes if gene not in chosen), None)
            genes[:] = genes[genes.index(new) + 1 :] if new else []
            if new and len(chosen) < n_genes:
                chosen[new] = None
    return np.array(list(chosen), dtype=object)


def _draw(ax: Axes, member: Bool[np.ndarray, "terms genes"], strength: Float[np.ndarray, " genes"]) -> None:
    """Colour the cells of members only: a map in which most are empty stays small as an SVG."""
    n_terms, n_genes = member.shape
    ax.add_patch(Rectangle((-0.5, -0.5), n_genes, n_terms, color=style.BAND, lw=0, zorder=0))
    ax.hlines(np.arange(1, n_terms) - 0.5, -0.5, n_genes - 0.5, color="white", lw=0.6, zorder=1)
    ax.vlines(np.arange(1, n_genes) - 0.5, -0.5, n_terms - 0.5, color="white", lw=0.6, zorder=1)
    row, column = np.nonzero(member)
    corners = 0.47 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    squares = np.column_stack([column, row])[:, None] + corners
    full = float(np.percentile(np.abs(strength), STRONG)) or 1.0
    cells = PolyCollection(
        list(squares),
        array=strength[column],
        cmap=style.signed_colours(),
        clim=(-full, full),
        linewidths=0,
        clip_on=False,
        zorder=2,
    )
    ax.add_collection(cells)
    bar = ax.figure.colorbar(cells, ax=ax, extend="both", aspect=12, pad=0.02, label="gene score")
    bar.outline.set_visible(False)


def _name_axes(ax: Axes, table: pd.DataFrame, genes: np.ndarray) -> None:
    style.name_rows(ax, [style.shorten(readable_term(str(name)), 68) for name in table["name"]])
    theme = table["theme"].to_numpy()
    for row in np.flatnonzero(theme[1:] != theme[:-1]):
        ax.hlines(row + 0.5, -0.5, len(genes) - 0.5, color=style.MUTED, lw=0.7, zorder=3)
    ax.xaxis.tick_top()
    ax.set_xticks(range(len(genes)), [style.shorten(str(gene), 16) for gene in genes], rotation=90)
    ax.tick_params(axis="x", length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlim=(-0.5, max(len(genes), LEAST) - 0.5), ylim=(max(len(table), LEAST) - 0.5, -0.5))
