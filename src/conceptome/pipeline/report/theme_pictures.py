"""Pictures of findings: themes by concept for the whole dictionary, and the genes behind one concept's."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from conceptome.pipeline.report.figures import Picture, chart, png_picture
from conceptome.plotting import leading_edges
from conceptome.plotting import themes as theme_plots

N_THEMES, N_CONCEPTS = 30, 40  # as wide as the page
N_TERMS, N_GENES = 6, 16
ROW = 0.19  # inches of a term


def dots_picture(themes: pd.DataFrame | None, names: Mapping[int, str]) -> Picture | None:
    """Draw which themes stand in which concepts.

    Parameters
    ----------
    themes
        What ``enrichment.themes`` found; None if nothing was tested.
    names
        What to write beside the numbers of concepts.

    Returns
    -------
    The picture; None without findings.
    """
    if themes is None or themes.empty:
        return None
    ax = theme_plots.theme_dots(themes, n_themes=N_THEMES, n_concepts=N_CONCEPTS, names=names)
    figure = ax.get_figure(root=True)
    if figure is None:
        return None
    n_found = themes["concept"].nunique()
    picture = png_picture(figure, alt=f"Themes of {n_found:,} concepts with findings, as dots.")
    plt.close(figure)
    return picture


def edges_picture(themes: pd.DataFrame | None, scores: pd.Series, concept: int) -> Picture | None:
    """Draw which genes carry which terms of a concept.

    Parameters
    ----------
    themes
        What ``enrichment.themes`` found; None if nothing was tested.
    scores
        What ranked the genes of the concept, by the names that terms use.
    concept
        Index of the concept in its dictionary.

    Returns
    -------
    The picture; None if the concept has no finding, or its findings no leading edge.
    """
    found = None if themes is None else themes[themes["concept"] == concept]
    if found is None or not found["leading_edge"].astype(bool).any():
        return None
    n_rows = max(min(len(found), N_TERMS), leading_edges.LEAST)
    height = ROW * n_rows + 0.75

    def draw(ax: Axes) -> None:
        leading_edges.leading_edge(found, scores, concept, n_terms=N_TERMS, n_genes=N_GENES, ax=ax)

    return chart(
        draw,
        alt=f"Genes in the leading edges of the gene sets found for concept {concept}, with their scores.",
        size=(7.8, height),
        margins=(0.49, 0.025, 0.02, 0.72 / height),
    )
