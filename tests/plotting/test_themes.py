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


@pytest.fixture(scope="module")
def findings(demo_records):
    return cm.enrichment.themes(demo_records.enrichment_de, alpha=0.05)


@pytest.fixture
def blocks():
    """Two groups of concepts, each with two themes of its own, in an order that hides them."""
    rows = [
        (concept, theme, f"GOBP_THEME_{theme}", sign * (2.0 + concept / 100), 10.0**-q)
        for concept, theme, sign, q in [
            (0, "A", 1, 3), (1, "B", 1, 4), (2, "A", 1, 12), (3, "B", 1, 5),
            (0, "C", 1, 3), (1, "D", 1, 4), (2, "C", 1, 2), (3, "D", 1, 5),
        ]
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["concept", "theme_term", "theme_name", "nes", "p"])
    return frame.assign(
        theme=0, term=frame["theme_term"], collection="mine", similarity=1.0, basis="", n_terms=1,
        es=0.5, q_global=frame["p"], q_concept=frame["p"] / 10,
    )  # fmt: skip


def dots_of(ax):
    """Read the dots back: NES and area by theme's and concept's name."""
    points = next(item for item in ax.collections if item.get_array() is not None)
    columns = [tick.get_text() for tick in ax.get_xticklabels()]
    rows = {text.get_position()[1]: text.get_text() for text in ax.texts if text.get_position()[0] == -0.03}
    keys = [(rows[y], columns[int(x)]) for x, y in np.asarray(points.get_offsets())]
    return dict(zip(keys, zip(np.asarray(points.get_array()), points.get_sizes(), strict=True), strict=True))


def test_each_dot_is_the_most_significant_term_of_its_theme(findings):
    ax = cm.pl.theme_dots(findings)
    shared = cm.enrichment.shared_themes(findings)
    first = shared.drop_duplicates(["concept", "theme"])
    dots = dots_of(ax)
    assert len(dots) == len(first) > 5
    for row in first.to_dict("records"):
        nes, area = dots[style.shorten(readable_term(row["theme_name"]), 52), str(row["concept"])]
        assert nes == pytest.approx(row["nes"])
        assert area == pytest.approx(110 * min(-np.log10(row["q_global"]), 10) / 10)


def test_alike_concepts_and_themes_stand_together(blocks):
    ax = cm.pl.theme_dots(blocks)
    columns = [tick.get_text() for tick in ax.get_xticklabels()]
    assert {*columns[:2]} in ({"0", "2"}, {"1", "3"})
    rows = sorted(
        (text.get_position()[1], text.get_text()) for text in ax.texts if text.get_position()[0] < 0
    )
    names = [name for y, name in rows if y >= 0]
    assert {*names[:2]} in ({"theme A", "theme C"}, {"theme B", "theme D"})
    dots = dots_of(ax)
    assert dots["theme A", "2"] == (pytest.approx(2.02), pytest.approx(110))  # 1e-12 is full
    assert dots["theme B", "3"][0] == pytest.approx(2.03)


def test_areas_may_count_terms(blocks):
    dots = dots_of(cm.pl.theme_dots(blocks.assign(n_terms=1), size="n_terms"))
    assert {area for _, area in dots.values()} == {110.0}
    by_concept = dots_of(cm.pl.theme_dots(blocks, size="q_concept"))
    assert by_concept["theme A", "0"][1] == pytest.approx(110 * 4 / 10)


def test_what_is_left_out_is_counted_and_names_are_written(blocks):
    ax = cm.pl.theme_dots(blocks, n_themes=3, n_concepts=2, names={0: "B cells", 1: "NK"})
    texts = [text.get_text() for text in ax.texts]
    assert "themes: 2 of 4\nconcepts: 2 of 4" in texts  # A, B and D have the lower p, 1 and 3 two of them
    assert {tick.get_text() for tick in ax.get_xticklabels()} == {"1 NK", "3"}


def test_without_permutations_the_colour_is_es(blocks):
    ax = cm.pl.theme_dots(blocks.assign(nes=np.nan, es=3.0))
    assert {effect for effect, _ in dots_of(ax).values()} == {3.0}
    assert "ES" in [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_figure_can_be_written_and_no_names_overlap(findings, kind):
    ax = cm.pl.theme_dots(findings)
    out = io.BytesIO()
    ax.figure.savefig(out, format=kind)
    assert out.tell() > 5000
    boxes = [text.get_window_extent() for text in [*ax.texts, *ax.get_xticklabels()] if text.get_text()]
    overlaps = [(i, j) for i in range(len(boxes)) for j in range(i) if boxes[i].overlaps(boxes[j])]
    assert overlaps == []


def test_a_dictionary_without_findings_is_refused(blocks):
    message = (
        "No concept has a significant term among these themes. Take another concept, or a larger alpha in "
        "cm.enrichment.themes."
    )
    with pytest.raises(InputError, match=re.escape(message)):
        cm.pl.theme_dots(blocks.iloc[:0])


def test_room_for_nothing_is_refused(blocks):
    message = "n_themes is 0, expected at least 1."
    with pytest.raises(InputError, match=re.escape(message)):
        cm.pl.theme_dots(blocks, n_themes=0)
