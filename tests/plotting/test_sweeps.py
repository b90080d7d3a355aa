import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import conceptome as cm
from conceptome.dictionaries import Sweep, TopK
from conceptome.plotting import style

ROWS = [  # n_concepts, l0, r2, r2_recurring, excess, on_front, recommended
    (80, 5.0, 0.94, 0.47, 0.02, True, False),
    (80, 2.0, 0.86, -0.10, 0.10, False, False),
    (10, 2.0, 0.80, 0.51, 0.30, True, True),
]


@pytest.fixture
def record():
    columns = ["n_concepts", "l0", "r2", "r2_recurring", "excess", "on_front", "recommended"]
    settings = pd.DataFrame(ROWS, columns=columns).assign(
        r2_sd=0.01, r2_recurring_sd=0.05, activations_sd=[0.03, 0.02, np.nan]
    )
    return Sweep(settings, pd.DataFrame(), TopK(10, 2), "", ())


def face(colour):
    return colour if isinstance(colour, str) and colour == "none" else to_hex(colour)


def markers(ax):
    """Position, marker and face of each single point."""
    points = [line for line in ax.lines if len(line.get_xdata()) == 1 and line.get_marker() != "None"]
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]), line.get_marker(), face(line.get_mfc()))
        for line in points
    ]


def test_every_setting_is_drawn_and_the_recommended_one_ringed(record):
    above, below = cm.pl.sweep(record).axes
    drawn = [(x, y) for x, y, _, fill in markers(below) if fill != "none"]
    assert sorted(drawn) == sorted((row[4], row[2]) for row in ROWS)
    assert sorted(y for _, y, marker, _ in markers(above) if marker == "^") == [-0.10, 0.47, 0.51]
    rings = [
        (ax, y)
        for ax in (above, below)
        for _, y, _, face in markers(ax)
        if isinstance(face, str) and face == "none"
    ]
    assert rings == [(above, 0.80), (above, 0.51), (below, 0.80)]
    plt.close("all")


def test_settings_off_the_front_are_hollow(record):
    _, below = cm.pl.sweep(record).axes
    hollow = [
        (x, y)
        for x, y, _, face in markers(below)
        if to_hex(face) == "#ffffff" and not isinstance(face, tuple)
    ]
    assert hollow == [(0.10, 0.86)]
    plt.close("all")


def test_sizes_and_markers_are_explained(record):
    figure = cm.pl.sweep(record)
    texts = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert texts == [
        "10",
        "80",
        "all concepts",
        "only those that come back",
        "not on the front",
        "recommended",
    ]
    assert figure.axes[0].get_xticks().tolist() == [2.0, 5.0]
    zero = [line for line in figure.axes[1].lines if set(np.unique(line.get_xdata())) == {0}]
    assert [line.get_color() for line in zero] == [style.RULE]
    plt.close("all")


def test_it_draws_into_a_given_figure(record):
    figure = plt.figure()
    assert cm.pl.sweep(record, figure=figure) is figure
    assert len(figure.axes) == 2
    plt.close("all")
