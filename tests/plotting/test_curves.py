import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

import conceptome as cm
from conceptome.core import Faithfulness
from conceptome.plotting import style


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def make_record(n_concepts):
    rng = np.random.default_rng(0)
    methods = ("substitution", "wilcoxon", "random")
    names = [(k, pair, m) for k in range(n_concepts) for pair in range(4) for m in methods]
    table = pd.DataFrame(names, columns=["concept", "pair", "method"]).assign(n_differing=30)
    table["method"] = pd.Categorical(table["method"], categories=list(methods))
    for area in ("deletion", "insertion", "deletion_unclipped", "insertion_unclipped"):
        table[area] = rng.random(len(table))
    curves = rng.random((2, 3, n_concepts, 21))
    return Faithfulness(table, curves[0], curves[1], methods, np.arange(n_concepts), "d", "e")


def test_lines_bands_and_intervals_are_those_of_the_record():
    record = make_record(5)
    figure = cm.pl.faithfulness(record)
    assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == ["deletion", "insertion"]
    for at, curve in enumerate(("deletion", "insertion")):
        above, below = figure.axes[at], figure.axes[2 + at]
        for line, band, values in zip(above.lines, above.collections, getattr(record, curve), strict=True):
            np.testing.assert_allclose(line.get_ydata(), values.mean(axis=0))
            error = values.std(axis=0, ddof=1) / np.sqrt(5)
            edge = band.get_paths()[0].vertices[1:22, 1]
            np.testing.assert_allclose(edge, values.mean(axis=0) - error)
        assert above.lines[2].get_color() == style.MUTED
        areas = record.by_concept().query("method == 'wilcoxon'")[curve]
        interval = below.collections[1].get_paths()[0].vertices[:, 0]
        margin = t.ppf(0.975, 4) * areas.std() / np.sqrt(5)
        np.testing.assert_allclose(interval, [areas.mean() - margin, areas.mean() + margin])
        assert below.lines[3].get_xdata() == pytest.approx(areas.mean())
        np.testing.assert_allclose(below.lines[2].get_xdata(), areas)
    assert [text.get_text() for text in figure.axes[2].texts] == list(record.methods)


def test_one_concept_has_no_bands():
    figure = cm.pl.faithfulness(make_record(1), figure=plt.figure())
    assert not figure.axes[0].collections
    figure.canvas.draw()
