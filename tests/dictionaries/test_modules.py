"""Modules of planted, of independent and of real concepts."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from conceptome.core import Activations, InputError
from conceptome.dictionaries import concept_modules

PLANTED = np.repeat([0, 1, 2, 3], [12, 8, 6, 4])


def planted(seed, *, n_cells=1500, k=6, preference=4.0):
    """Draw cells of four kinds; each prefers the concepts of its own module, whose frequencies differ."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(4, size=n_cells, p=[0.4, 0.3, 0.2, 0.1])
    own = preference * (kinds[:, None] == PLANTED)
    pre = own + rng.normal(size=len(PLANTED)) + rng.gumbel(size=(n_cells, len(PLANTED))) + 5
    least = -np.sort(-pre, axis=1)[:, [k - 1]]
    return sp.csr_array(np.where(pre >= least, pre, 0)), kinds


def test_planted_modules_come_back():
    for seed in range(3):
        activations, _ = planted(seed)
        found = concept_modules(activations).concepts
        assert adjusted_rand_score(PLANTED, found["module"].fillna(0)) > 0.95


def test_independent_concepts_form_no_modules():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        frequency = np.clip(np.exp(rng.normal(-2, 1, size=60)), 0.005, 0.6)
        free = rng.random((1000, 60)) * (rng.random((1000, 60)) < frequency)
        topk, _ = planted(seed, preference=0.0)
        for activations in (sp.csr_array(free), topk):
            found = concept_modules(activations)
            assert found.linked.sum() <= 2
            assert len(found.modules) == found.linked.sum() // 2


def test_the_table_says_what_was_found():
    activations, kinds = planted(0)
    with_silent = sp.csr_array(sp.hstack([activations, sp.csr_array((1500, 1))]))
    labels = pd.Series(np.array(["T", "B", "NK", "DC"])[kinds])
    labels[:10] = None
    record = Activations(with_silent, pd.RangeIndex(1500).astype(str), "id")
    found = concept_modules(record, labels=labels)
    assert found.modules["module"].tolist() == [1, 2, 3, 4]
    assert found.modules["n_concepts"].tolist() == [12, 8, 6, 4]
    assert found.modules["label"].tolist() == ["T", "B", "NK", "DC"]
    assert (found.modules["label_f1"] > 0.9).all()
    np.testing.assert_allclose(found.modules["share"], np.bincount(kinds) / 1500, atol=0.03)
    concepts = found.concepts.set_index("concept")
    assert concepts["module"].isna().tolist() == [False] * 30 + [True]
    assert concepts["strength"].isna().tolist() == [False] * 30 + [True]
    first = np.flatnonzero(PLANTED == 0)
    inside = found.correlation[np.ix_(first, first)]
    np.testing.assert_allclose(concepts.loc[first, "strength"], inside.sum(axis=1) / 11)
    assert found.modules.loc[0, "correlation"] == pytest.approx(inside.sum() / (12 * 11))
    assert found.order[-1] == 30
    assert PLANTED[found.order[:-1]].tolist() == PLANTED.tolist()
    assert found.order[0] == concepts.loc[first, "strength"].idxmax()
    pd.testing.assert_frame_equal(found.to_frame(), found.concepts)


def test_labels_name_modules_and_change_none():
    activations, kinds = planted(1)
    named, bare = (concept_modules(activations, labels=labels) for labels in (list(map(str, kinds)), None))
    pd.testing.assert_frame_equal(named.concepts, bare.concepts)
    assert bare.modules["label"].isna().all()
    assert bare.modules["label_f1"].isna().all()


def test_the_same_seed_gives_the_same_modules():
    activations, _ = planted(2, preference=1.5)
    one, other = (concept_modules(activations, seed=7) for _ in range(2))
    pd.testing.assert_frame_equal(one.concepts, other.concepts)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_the_order_of_cells_and_concepts_and_the_scale_do_not_matter(seed):
    activations, _ = planted(seed, n_cells=600)
    rng = np.random.default_rng(seed)
    cells, concepts = rng.permutation(600), rng.permutation(len(PLANTED))
    moved = sp.csr_array(activations[cells][:, concepts] * 3.0)
    one, other = concept_modules(activations), concept_modules(moved)
    np.testing.assert_allclose(other.correlation, one.correlation[np.ix_(concepts, concepts)], atol=1e-6)
    assert (other.linked == one.linked[np.ix_(concepts, concepts)]).all()
    parts = [each.concepts["module"].fillna(0).to_numpy() for each in (one, other)]
    assert adjusted_rand_score(parts[0][concepts], parts[1]) > 0.8


def test_a_larger_resolution_gives_smaller_modules():
    rng = np.random.default_rng(0)
    fine, kinds = np.repeat(np.arange(4), 6), rng.integers(4, size=2000)
    near = 1.5 * (kinds[:, None] == fine) + 3.0 * (kinds[:, None] // 2 == fine // 2)
    pre = near + rng.gumbel(size=near.shape)
    activations = sp.csr_array(np.where(pre >= -np.sort(-pre, axis=1)[:, [9]], np.exp(pre), 0))
    coarse, finer = (concept_modules(activations, resolution=r).concepts["module"] for r in (1.0, 2.0))
    assert adjusted_rand_score(fine // 2, coarse) == 1
    assert finer.nunique() > coarse.nunique()
    assert (pd.crosstab(finer, coarse) > 0).sum(axis=1).max() == 1


def test_modules_of_real_concepts_follow_cell_types(demo_records):
    """Of both signs of a principal component at most one is active: a module never holds both."""
    found = concept_modules(demo_records.activations, labels=demo_records.adata.obs["cell_type"])
    assert len(found.modules) >= 2
    module = found.concepts["module"]
    n_components = len(module) // 2
    both = (module[:n_components].to_numpy() == module[n_components:].to_numpy()) & module[
        :n_components
    ].notna()
    assert not both.any()
    assert found.modules["label_f1"].max() > 0.5


def test_nothing_active_is_no_module():
    found = concept_modules(sp.csr_array((20, 3)), labels=["a"] * 20)
    assert len(found.modules) == 0
    assert found.concepts["strength"].isna().all()
    assert found.order.tolist() == [0, 1, 2]


def test_refuses_what_is_out_of_range():
    activations, _ = planted(0, n_cells=100)
    with pytest.raises(InputError) as resolution:
        concept_modules(activations, resolution=0.0)
    assert str(resolution.value) == "resolution is 0.0, expected a number above 0."
    with pytest.raises(InputError) as fdr:
        concept_modules(activations, fdr=1.5)
    assert str(fdr.value) == "fdr is 1.5, expected a share above 0 and at most 1."
    with pytest.raises(InputError) as labels:
        concept_modules(activations, labels=["T"])
    assert str(labels.value) == "labels has 1 entries, expected one for each of 100 cells."
