import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.patches import Circle

import conceptome as cm
from conceptome.core import InputError


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def themes():
    """Concept 1: A and B share 2 of 4 genes, C stands alone; concept 2 finds B with other genes."""
    rows = [
        (1, 0, "A", "A", "g1;g2;g3", 40, 2.0, 1e-6),
        (1, 0, "A", "B", "g2;g3;g4", 60, 1.5, 1e-4),
        (1, 1, "C", "C", "g9", 20, -1.8, 1e-5),
        (2, 0, "B", "B", "g4;g5;g9", 60, 2.5, 1e-7),
    ]
    columns = ["concept", "theme", "theme_term", "term", "leading_edge", "size", "nes", "p"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(
        name="GOBP_" + frame["term"], theme_name="GOBP_" + frame["theme_term"], collection="mine",
        similarity=1.0, basis="", n_terms=1, es=0.5,
    )  # fmt: skip


def network_of(ax):
    """Read back NES, diameters and places of the discs, the ends of lines, and their widths."""
    discs = next(item for item in ax.collections if isinstance(item, EllipseCollection))
    lines = next(item for item in ax.collections if isinstance(item, LineCollection))
    places = np.asarray(discs.get_offsets())
    return (
        np.asarray(discs.get_array()),
        discs.get_widths(),
        places,
        lines.get_segments(),
        lines.get_linewidths(),
    )


def test_discs_are_terms_and_lines_shared_genes(themes):
    ax = cm.pl.enrichment_map(themes, 1)
    nes, diameters, places, segments, widths = network_of(ax)
    assert sorted(nes) == [-1.8, 1.5, 2.0]
    areas = dict(zip(nes, np.pi * (diameters - 3) ** 2 / 4, strict=True))
    assert areas == pytest.approx({2.0: 36, 1.5: 54, -1.8: 18})
    assert len(segments) == 1  # A and B share 2 of 4 genes
    assert widths[0] == pytest.approx(2 * 0.5)
    ends = {tuple(np.round(end, 6)) for end in segments[0]}
    assert ends == {tuple(np.round(places[list(nes).index(value)], 6)) for value in (2.0, 1.5)}
    assert ax.get_title(loc="left") == "terms: 3 · themes: 2"


def test_the_overlap_coefficient_is_of_the_smaller_edge(themes):
    widened = themes.assign(leading_edge=["g1;g2;g3", "g2;g3;g4", "g1", ""])
    assert len(network_of(cm.pl.enrichment_map(widened, 1, min_overlap=0.4))[3]) == 1
    *_, widths = network_of(cm.pl.enrichment_map(widened, 1, overlap="overlap", min_overlap=0.4))
    assert sorted(widths) == pytest.approx([2 * 2 / 3, 2 * 1.0])


def test_over_the_dictionary_each_term_stands_once_with_all_its_genes(themes):
    ax = cm.pl.enrichment_map(themes, min_overlap=0.2)
    nes, _, _, segments, widths = network_of(ax)
    assert sorted(nes) == [-1.8, 2.0, 2.5]  # B by the concept in which it is most significant
    # B has g2 to g5 and g9: 2 of 6 with A, 1 of 5 with C
    assert sorted(widths) == pytest.approx([2 / 5, 2 / 3])
    assert len(segments) == 2


def test_limits_keep_the_first_themes_and_the_most_significant_terms(themes):
    ax = cm.pl.enrichment_map(themes, 1, n_themes=1, n_terms=1)
    assert list(network_of(ax)[0]) == [2.0]
    assert ax.get_title(loc="left") == "terms: 1 of 3 · themes: 1 of 2"


def test_real_findings_stand_apart_within_their_themes(demo_records):
    themes = cm.enrichment.themes(demo_records.enrichment_de)
    ax = cm.pl.enrichment_map(themes)
    for kind in ("svg", "png"):
        out = io.BytesIO()
        ax.figure.savefig(out, format=kind)
        assert out.tell() > 5000
    _, diameters, places, *_ = network_of(ax)
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    apart = distance - (diameters[:, None] + diameters[None]) / 2
    assert len(places) > 10
    assert apart[~np.eye(len(places), dtype=bool)].min() > 0
    grey = [(np.array(p.center), p.radius) for p in ax.patches if isinstance(p, Circle) and p.zorder == 0]
    within = [
        min(np.hypot(*(place - centre)) + diameter / 2 - radius for centre, radius in grey)
        for place, diameter in zip(places, diameters, strict=True)
    ]
    assert max(within) < 0
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(boxes[i].overlaps(boxes[j]) for i in range(len(boxes)) for j in range(i))


def test_findings_in_another_order_give_the_same_picture(themes):
    one, other = (network_of(cm.pl.enrichment_map(rows)) for rows in (themes, themes.iloc[::-1]))
    for here, there in zip(one, other, strict=True):
        np.testing.assert_array_equal(here, there)


def test_a_concept_without_findings_is_refused(themes):
    message = (
        "Concept 3 has no significant term among these themes (2 other concepts have some). Take another "
        "concept, or a larger alpha in cm.enrichment.themes."
    )
    with pytest.raises(InputError, match=re.escape(message)):
        cm.pl.enrichment_map(themes, 3)


def test_a_least_overlap_of_nothing_is_refused(themes):
    message = "min_overlap is 0.0, expected a number above 0 and up to 1, such as 0.25."
    with pytest.raises(InputError, match=re.escape(message)):
        cm.pl.enrichment_map(themes, 1, min_overlap=0.0)
