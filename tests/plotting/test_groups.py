import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import conceptome as cm
from conceptome.core import InputError
from conceptome.plotting import groups


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_shares_equal_a_plain_count(demo_records):
    labels = demo_records.adata.obs["cell_type"]
    table = groups.label_shares(demo_records.activations, labels, 1)
    activation = demo_records.activations.of(1)
    for name in labels.unique():
        cells = (labels == name).to_numpy()
        assert table.loc[name, "active"] == (activation[cells] > 0).sum()
        assert table.loc[name, "cells"] == cells.sum()
    assert table["share"].is_monotonic_decreasing


def test_bars_are_the_shares_and_the_counts_are_written(demo_records):
    labels = demo_records.adata.obs["cell_type"]
    ax = cm.pl.labels(demo_records.activations, labels, 1)
    table = groups.label_shares(demo_records.activations, labels, 1)
    widths = [bar.get_width() for bar in ax.patches[len(table) :]]
    np.testing.assert_allclose(widths, table["share"])
    first = table.iloc[0]
    assert f"{int(first['active'])} / {int(first['cells'])}" in [text.get_text() for text in ax.texts]


def test_labels_beyond_n_are_summed_up(demo_records):
    labels = pd.Series([f"cluster {i % 40}" for i in range(700)])
    ax = cm.pl.labels(demo_records.activations, labels, 1, n=5)
    names = [text.get_text() for text in ax.texts]
    assert "36 other labels" in names
    counts = [name.split(" / ") for name in names if " / " in name]
    assert sum(int(cells) for _, cells in counts) == 700
    assert sum(int(active) for active, _ in counts) == (demo_records.activations.of(1) > 0).sum()


def test_cells_without_a_label_are_counted_as_such(demo_records):
    labels = demo_records.adata.obs["cell_type"].astype(object)
    labels.iloc[:100] = np.nan
    assert groups.label_shares(demo_records.activations, labels, 1).loc["no label", "cells"] == 100


def test_a_wrong_number_of_labels_is_refused(demo_records):
    message = "Found 3 labels for 700 cells; expected one label per cell, in the order of the activations."
    with pytest.raises(InputError, match=re.escape(message)):
        cm.pl.labels(demo_records.activations, pd.Series(["a", "b", "c"]), 0)
