import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

import conceptome as cm
from conceptome.core import InputError
from conceptome.plotting import maps


@pytest.fixture
def adata(demo_records):
    adata = demo_records.adata.copy()
    adata.obsm["concepts"] = demo_records.activations.values
    yield adata
    plt.close("all")


def test_active_cells_are_drawn_above_all_cells_and_the_strongest_last(adata, demo_records):
    ax = cm.pl.concept(adata, 1)
    base, active = ax.collections
    activation = demo_records.activations.of(1)
    drawn = np.asarray(active.get_array())
    assert len(base.get_offsets()) == adata.n_obs
    np.testing.assert_array_equal(drawn, np.sort(activation[activation > 0]))
    strongest = adata.obsm["X_umap"][np.argmax(activation)]
    np.testing.assert_allclose(np.asarray(active.get_offsets())[-1], strongest, rtol=1e-6)


def test_sparse_and_dense_activations_draw_the_same(adata):
    sparse = cm.pl.concept(adata, 2).collections[1].get_array()
    adata.obsm["concepts"] = adata.obsm["concepts"].toarray()
    np.testing.assert_array_equal(cm.pl.concept(adata, 2).collections[1].get_array(), sparse)


def test_a_silent_concept_has_only_the_grey_cells(adata):
    adata.obsm["concepts"] = np.zeros((adata.n_obs, 3))
    ax = cm.pl.concept(adata, 0)
    assert len(ax.collections) == 1
    assert ax.get_title(loc="left") == "Concept 0 · active in 0.0% of 700 cells"


def test_the_given_axes_are_used(adata):
    _, ax = plt.subplots()
    assert cm.pl.concept(adata, 0, ax=ax) is ax


@pytest.mark.parametrize(
    ("change", "concept", "message"),
    [
        (
            lambda a: a.obsm.pop("concepts"),
            0,
            "obsm['concepts'] is missing; obsm holds ['X_umap']. Run cm.tl.activate",
        ),
        (lambda a: a.obsm.pop("X_umap"), 0, "obsm['X_umap'] is missing; obsm holds ['concepts']. Compute it"),
        (lambda a: None, 16, "Concept 16 does not exist: the dictionary has 16 concepts, 0 to 15."),
        (lambda a: None, -1, "Concept -1 does not exist: the dictionary has 16 concepts, 0 to 15."),
    ],
)
def test_what_is_missing_is_named(adata, change, concept, message):
    change(adata)
    with pytest.raises(InputError, match=re.escape(message)):
        cm.pl.concept(adata, concept)


def test_every_label_is_written_once_and_cells_without_a_place_are_left_out(adata):
    coords = np.array(adata.obsm["X_umap"], dtype=float)
    coords[:50] = np.nan
    _, ax = plt.subplots()
    maps.draw_labels(ax, coords, adata.obs["cell_type"])
    assert sorted(text.get_text() for text in ax.texts) == sorted(
        maps.style.shorten(name) for name in adata.obs["cell_type"].unique()
    )
    assert np.isfinite(ax.get_xlim()).all()
