import dataclasses
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

import conceptome as cm
from conceptome.core import InputError
from conceptome.plotting import forest, style


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def concept(demo_records):
    """The concept with most driving genes."""
    attributions = demo_records.attributions
    best = int(attributions.concepts[attributions.drives.sum(axis=1).argmax()])
    assert attributions.drives[best].any()
    return best


def test_drivers_come_before_larger_effects_that_do_not_drive(demo_records, concept):
    a = demo_records.attributions
    row = forest.row_of(a, concept)
    n = int(a.drives[row].sum()) + 2
    chosen = forest.strongest_genes(a, row, n=n)
    assert set(np.flatnonzero(a.drives[row])) <= set(chosen)
    others = [gene for gene in chosen if not a.drives[row, gene]]
    rest = np.abs(np.where(a.drives[row], 0, a.attribution[row]))
    assert {round(rest[gene], 12) for gene in others} == set(np.round(np.sort(rest)[::-1][:2], 12))
    assert (np.diff(a.attribution[row, chosen]) <= 0).all()


def test_unmeasured_and_ineffective_genes_are_never_chosen(demo_records, concept):
    a = demo_records.attributions
    attribution = np.full_like(a.attribution, np.nan)
    attribution[:, :5] = [0.3, 0.0, -0.2, np.nan, 0.1]
    changed = dataclasses.replace(a, attribution=attribution, drives=np.zeros_like(a.drives))
    assert forest.strongest_genes(changed, 0, n=15).tolist() == [0, 4, 2]


def test_intervals_floor_and_fill_are_those_of_the_record(demo_records, concept):
    a = demo_records.attributions
    row = forest.row_of(a, concept)
    ax = cm.pl.genes(a, concept, n=6)
    chosen = forest.strongest_genes(a, row, n=6)
    lines, points = ax.collections
    drawn = np.array([path.vertices[:, 0] for path in lines.get_paths()])
    np.testing.assert_allclose(drawn, np.stack([a.ci_low[row, chosen], a.ci_high[row, chosen]], axis=1))
    np.testing.assert_allclose(np.asarray(points.get_offsets())[:, 0], a.attribution[row, chosen])
    filled = (points.get_facecolors() != to_rgba("white")).any(axis=1)
    np.testing.assert_array_equal(filled, a.drives[row, chosen])
    floor = ax.patches[0].get_bbox()
    assert (floor.x0, floor.x1) == pytest.approx((-a.floor[row], a.floor[row]))
    written = [text.get_text() for text in ax.texts]
    assert written[:6] == list(a.genes[chosen])
    assert f"{a.n_differing[row, chosen[0]]}/{a.n_pairs[row]}" in written


def test_dollar_signs_in_names_are_plain_text(demo_records, concept):
    names = pd.Index([f"${gene}_{{$" for gene in demo_records.attributions.genes])
    ax = cm.pl.genes(demo_records.attributions, concept, n=3, gene_names=names)
    ax.figure.canvas.draw()
    assert ax.texts[0].get_text().startswith("$")


def test_a_concept_without_scores_says_why(demo_records):
    a = demo_records.attributions
    status = a.status.copy()
    status[0] = "not attributable: active in 3 cells, needs 8"
    nothing = dataclasses.replace(a, attribution=np.full_like(a.attribution, np.nan), status=status)
    message = "Concept 0 has no gene scores: not attributable: active in 3 cells, needs 8."
    with pytest.raises(InputError, match=re.escape(message)):
        cm.pl.genes(nothing, 0)
    with pytest.raises(
        InputError, match=re.escape("Concept 99 is not among the 16 concepts of this Attributions.")
    ):
        cm.pl.genes(a, 99)


def test_the_scatter_names_drivers_in_ink_and_raised_genes_in_grey(demo_records, concept):
    a, de = demo_records.attributions, demo_records.de
    ax = cm.pl.attribution_vs_de(a, de, concept, n=4)
    row = forest.row_of(a, concept)
    ink = {text.get_text() for text in ax.texts if text.get_color() == style.INK}
    grey = {text.get_text() for text in ax.texts if text.get_color() == style.MUTED}
    assert ink == set(a.genes[forest.strongest_genes(a, row, n=4, drivers_only=True)])
    assert grey
    assert grey.isdisjoint(a.genes[a.drives[row]])
    assert len(ax.collections[0].get_offsets()) == len(a.genes)


def test_records_of_different_genes_are_refused(demo_records):
    de = dataclasses.replace(demo_records.de, genes=demo_records.de.genes[::-1])
    with pytest.raises(InputError, match=r"have different genes\. Compute both on the same AnnData"):
        cm.pl.attribution_vs_de(demo_records.attributions, de, 0)


@pytest.mark.parametrize(
    ("q", "written"),
    [
        (0.25, "0.25"),
        (0.0312, "0.031"),
        (2.1e-5, "2e-5"),
        (3e-120, "3e-120"),
        (0.0, "<1e-99"),
        (np.nan, "–"),
    ],
)
def test_q_is_short(q, written):
    assert forest.format_q(q) == written
