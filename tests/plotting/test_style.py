import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conceptome.plotting import style

positions = st.lists(st.floats(-1e3, 1e3), max_size=20).map(sorted)


@given(positions, st.floats(1e-3, 10))
def test_spread_positions_keep_their_order_and_their_distance(wanted, gap):
    moved = style.spread(wanted, gap)
    assert len(moved) == len(wanted)
    assert (np.diff(moved) >= gap * (1 - 1e-6) - 1e-9).all()


@given(positions, st.floats(1e-3, 10))
def test_spread_keeps_the_centre(wanted, gap):
    assert np.sum(style.spread(wanted, gap)) == pytest.approx(np.sum(wanted), abs=1e-6)


def test_positions_that_are_far_apart_stay():
    assert style.spread([0.0, 5.0, 9.0], 1.0) == [0.0, 5.0, 9.0]


def test_long_names_end_with_an_ellipsis():
    assert style.shorten("CD4+ T", 28) == "CD4+ T"
    assert style.shorten("a" * 40, 10) == "a" * 9 + "…"


def test_activation_colours_darken_steadily():
    colours = style.activation_colours()(np.linspace(0, 1, 50))[:, :3]
    luminance = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) < 0).all()
