import logging

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from conceptome.core import Activations, InputError
from conceptome.evaluation import chance_f1, label_concepts, match_units
from conceptome.evaluation.units import choose_thresholds, score_thresholds

# few distinct values, so that ties and inactive units are frequent
activations = arrays(np.float64, (20, 4), elements=st.integers(0, 4).map(float))
members = arrays(np.bool_, (20, 3))


def f1_of(truth, called):
    return 2 * (truth & called).sum() / max(truth.sum() + called.sum(), 1)


@given(activations, members)
@settings(max_examples=60, deadline=None)
def test_thresholds_are_the_best_of_all(a, is_label):
    _, f1 = choose_thresholds(sp.csr_array(a), is_label)
    for unit in range(4):
        for label in range(3):
            tried = [t for t in np.unique(a[:, unit]) if t > 0]
            scores = [f1_of(is_label[:, label], a[:, unit] >= t) for t in tried]
            assert f1[unit, label] == pytest.approx(max(scores, default=0))


@given(activations, members)
@settings(max_examples=20, deadline=None)
def test_scores_equal_scikit_learn(a, is_label):
    thresholds, f1 = choose_thresholds(sp.csr_array(a), is_label)
    np.testing.assert_allclose(score_thresholds(sp.csr_array(a), is_label, thresholds), f1)
    fixed = np.full((4, 3), 2.0)
    scored = score_thresholds(sp.csr_array(a), is_label, fixed)
    for unit in range(4):
        for label in range(3):
            expected = f1_score(is_label[:, label], a[:, unit] >= 2, zero_division=0)
            assert scored[unit, label] == pytest.approx(expected)


def cells(n=200, seed=0):
    """Unit 1 marks "b", unit 2 marks "c" half of the time, unit 0 is noise, unit 3 is silent."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(["a", "b", "c", "rare"], [n - 103, 50, 50, 3])
    a = np.zeros((n, 4))
    a[:, 0] = rng.random(n)
    a[labels == "b", 1] = 1 + rng.random(50)
    a[np.flatnonzero(labels == "c")[::2], 2] = 1
    test = np.arange(n) % 2 == 0
    return sp.csr_array(a), labels, test


def test_units_find_their_labels_and_rare_labels_are_not_scored():
    a, labels, test = cells()
    table, matching = match_units(a, labels, test=test)
    table = table.set_index("label")
    assert table.loc["b", ["unit", "f1_validation", "f1"]].tolist() == [1, 1, 1]
    assert table.loc["rare", "unit"] == -1
    assert np.isnan(table.loc["rare", "f1"])
    found = [table.loc[label, "f1"] >= 0.5 for label in ("a", "b", "c")]
    assert matching == np.mean([*found, False])


def test_noise_is_not_rewarded_on_test_cells():
    rng = np.random.default_rng(0)
    noise = sp.csr_array(np.maximum(rng.normal(size=(2000, 300)), 0))
    labels = np.where(rng.random(2000) < 0.05, "rare", "common")
    table, _ = match_units(noise, labels, test=rng.random(2000) < 0.5)
    rare = table.set_index("label").loc["rare"]
    assert rare["f1"] < 0.2
    assert rare["f1_validation"] > rare["f1"]


def test_concepts_are_labelled():
    a, labels, _ = cells()
    frame = label_concepts(a, labels)
    assert frame["best_label"].tolist()[1:] == ["b", "c", ""]
    assert frame["best_label_f1"][1] > 0.95  # the threshold misses the weakest of the other half
    assert frame["best_label_f1"][2] == pytest.approx(2 / 3, abs=0.03)
    assert np.isnan(frame["best_label_f1"][3])
    for concept in (1, 2):
        within = np.array(labels) == frame["best_label"][concept]
        values = a[:, [concept]].toarray().ravel()
        assert frame["best_label_share"][concept] == pytest.approx(values[within].sum() / values.sum())
    assert np.isnan(frame["best_label_share"][3])
    record = Activations(a, pd.Index([f"{i:03}" for i in range(200)]), "id")
    pd.testing.assert_frame_equal(label_concepts(record, pd.Series(labels, dtype="category")), frame)


def test_the_order_of_a_record_does_not_matter():
    a, labels, _ = cells()
    ids = pd.Index([f"cell{i}" for i in range(200)])
    order = np.random.default_rng(1).permutation(200)
    shuffled = label_concepts(Activations(a[order], ids[order], "id"), labels[order])
    pd.testing.assert_frame_equal(shuffled, label_concepts(Activations(a, ids, "id"), labels))


def test_cells_without_a_label_do_not_count():
    a, labels, _ = cells()
    more = sp.csr_array(sp.vstack([a, sp.csr_array(np.full((40, 4), 9.0))]))
    padded = np.array([*labels, *[None] * 40], dtype=object)
    pd.testing.assert_frame_equal(label_concepts(more, padded), label_concepts(a, labels))


def test_refuses_labels_that_do_not_fit():
    a, labels, _ = cells()
    with pytest.raises(InputError) as error:
        label_concepts(a, labels[:-1])
    assert str(error.value) == "labels has 199 entries, expected one for each of 200 cells."


def test_labels_that_are_all_rare_leave_concepts_unlabelled_with_a_warning(caplog):
    a, labels, _ = cells()
    with caplog.at_level(logging.WARNING):
        frame = label_concepts(a[:9], labels[:9])
    assert caplog.messages == ["No label has at least 10 cells, so concepts stay unlabelled."]
    assert frame["best_label"].tolist() == [""] * 4
    assert frame["best_label_f1"].isna().all()
    assert frame.index.equals(label_concepts(a, labels).index)


def test_chance_keeps_frequencies_and_finds_nothing():
    a, labels, test = cells(n=1000)
    chance = chance_f1(a, labels, test=test, n_shuffles=4, seed=0)
    table, _ = match_units(a, labels, test=test)
    assert chance.shape == (4, 4)
    assert np.isnan(chance[:, table["label"] == "rare"]).all()
    assert (chance[:, table["label"] == "b"] < 0.3).all()
    assert table.set_index("label").loc["b", "f1"] == 1
    frequent = table["label"] == "a"  # a unit that is always active reaches as much without knowing anything
    assert chance[:, frequent].mean() == pytest.approx(table.loc[frequent, "f1"].item(), abs=0.03)
