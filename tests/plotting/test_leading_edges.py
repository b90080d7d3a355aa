import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import conceptome as cm
from conceptome.core import InputError
from conceptome.evaluation import readable_term
from conceptome.plotting import style


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def themes():
    """Concept 5: two terms of one theme, one of another; concept 6 has one."""
    rows = [
        (5, 0, "A", "A", "a1;a2;a3", 1e-6),
        (5, 0, "A", "B", "a1;a2;b1", 1e-4),
        (5, 1, "C", "C", "c1;c2", 1e-5),
        (6, 0, "C", "C", "c1", 1e-5),
    ]
    frame = pd.DataFrame(rows, columns=["concept", "theme", "theme_term", "term", "leading_edge", "p"])
    return frame.assign(name=frame["term"])


SCORES = pd.Series({"a1": 3.0, "a2": 2.0, "a3": 1.0, "b1": 0.5, "c1": 2.5, "c2": -0.1, "far": 9.0})


def cells_of(ax):
    """Read the map back: terms x genes, NaN where a gene is not in the leading edge."""
    (cells,) = [item for item in ax.collections if item.get_array() is not None]
    names = [text.get_text() for text in ax.texts if text.get_text() and "\n" not in text.get_text()]
    genes = [tick.get_text() for tick in ax.get_xticklabels()]
    values = pd.DataFrame(np.nan, index=names, columns=genes)
    for path, value in zip(cells.get_paths(), np.asarray(cells.get_array()), strict=True):
        column, row = np.rint(path.vertices[:4].mean(axis=0)).astype(int)
        values.iloc[row, column] = value
    return values


def amounts_of(ax):
    return next(text.get_text() for text in ax.texts if "\n" in text.get_text())


def test_cells_are_scores_of_the_leading_edges(themes):
    ax = cm.pl.leading_edge(themes, SCORES, 5)
    cells = cells_of(ax)
    assert list(cells.index) == ["A", "B", "C"]  # by theme, its representative first
    assert set(cells.columns) == {"a1", "a2", "a3", "b1", "c1", "c2"}
    for term, edge in {"A": "a1;a2;a3", "B": "a1;a2;b1", "C": "c1;c2"}.items():
        carried = cells.loc[term].dropna()
        assert carried.to_dict() == SCORES[edge.split(";")].to_dict()
    assert amounts_of(ax) == "terms: 3\ngenes: 6"
    together = sorted(list(cells.columns).index(gene) for gene in ("a1", "a2", "a3", "b1"))
    assert together in ([0, 1, 2, 3], [2, 3, 4, 5])


def test_representatives_and_the_strongest_genes_of_each_term_come_first(themes):
    ax = cm.pl.leading_edge(themes, SCORES, 5, n_terms=2, n_genes=3)
    cells = cells_of(ax)
    assert list(cells.index) == ["A", "C"]
    assert set(cells.columns) == {"a1", "c1", "a2"}
    assert amounts_of(ax) == "terms: 2 of 3\ngenes: 3 of 5"


def test_real_findings_are_drawn_without_overlap(demo_records):
    themes = cm.enrichment.themes(demo_records.enrichment_de)
    concept = themes["concept"].mode()[0]
    scores = demo_records.de.scores().loc[concept]
    ax = cm.pl.leading_edge(themes, scores, int(concept), n_genes=30)
    for kind in ("svg", "png"):
        out = io.BytesIO()
        ax.figure.savefig(out, format=kind)
        assert out.tell() > 5000
    boxes = [text.get_window_extent() for text in [*ax.texts, *ax.get_xticklabels()] if text.get_text()]
    assert not any(boxes[i].overlaps(boxes[j]) for i in range(len(boxes)) for j in range(i))
    cells = cells_of(ax)
    found = themes[themes["concept"] == concept]
    edge_of = {
        style.shorten(readable_term(name), 68): set(edge.split(";"))
        for name, edge in zip(found["name"], found["leading_edge"], strict=True)
    }
    for term, row in cells.iterrows():
        assert set(row.dropna().index) == edge_of[term] & set(cells.columns)


def test_a_concept_without_findings_is_refused(themes):
    message = (
        "Concept 7 has no significant term among these themes (2 other concepts have some). Take another "
        "concept, or a larger alpha in cm.enrichment.themes."
    )
    with pytest.raises(InputError, match=re.escape(message)):
        cm.pl.leading_edge(themes, SCORES, 7)


def test_scores_by_other_names_are_refused(themes):
    message = (
        "6 of the 6 genes in the leading edges of concept 5 have no score, such as a1, a2, a3. Give what "
        "ranked the genes, by the names the terms use."
    )
    with pytest.raises(InputError, match=re.escape(message)):
        cm.pl.leading_edge(themes, SCORES.rename(lambda gene: f"ENSG_{gene}"), 5)


def test_methods_without_leading_edges_are_refused(themes):
    message = "The terms of concept 5 have no leading edge; only cm.enrichment.gsea and ora name one."
    with pytest.raises(InputError, match=re.escape(message)):
        cm.pl.leading_edge(themes.assign(leading_edge=""), SCORES, 5)
