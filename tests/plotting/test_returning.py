"""Concepts that come back in other runs, drawn."""

import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba

import conceptome as cm
from conceptome.plotting import style


@pytest.fixture
def pairs():
    rows = [
        ("one", "two", "directions", "directions", 3, 7, 0.9, 0.01, "nk"),
        ("one", "two", "directions", "activations", 3, 7, 0.8, 0.01, "nk"),
        ("one", "two", "directions", "directions", 5, 2, 0.4, 0.60, None),
        ("one", "three", "terms", "terms", 3, 4, 0.5, 0.30, "nk"),
        ("two", "three", "terms", "terms", 8, 9, 0.5, 0.01, None),
    ]
    names = (
        "run_a",
        "run_b",
        "matched_by",
        "measure",
        "concept_a",
        "concept_b",
        "similarity",
        "q",
        "label_a",
    )
    return pd.DataFrame(rows, columns=list(names))


def test_a_dot_stands_for_each_counterpart_of_the_first_run(pairs):
    (ax,) = cm.pl.returning(pairs).axes
    (dots,) = (each for each in ax.collections if isinstance(each, PathCollection))
    assert len(dots.get_offsets()) == 3
    assert dots.get_sizes().argmax() == 0
    filled = [tuple(colour) == to_rgba(style.SUPPORTS) for colour in dots.get_facecolors()]
    assert filled == [True, False, False]
    texts = {text.get_text() for text in ax.texts}
    assert {"3 · nk", "5", "two", "three", "7", "2", "4"} <= texts
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["directions", "terms"]


def test_the_concepts_with_most_counterparts_come_first(pairs):
    (ax,) = cm.pl.returning(pairs, n=1).axes
    assert "5" not in {text.get_text() for text in ax.texts}
