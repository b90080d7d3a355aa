"""No test cell has a part in a threshold, a choice of a unit, a scaler or a probe."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from conceptome.core import Embeddings
from conceptome.dictionaries import NeuronDictionary
from conceptome.evaluation import carry_labels, evaluate, fit_probe, match_units

N = 400


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    labels = rng.choice(["a", "b", "c"], N)
    features = np.maximum(
        rng.normal(size=(N, 6)) + 0.8 * np.eye(6)[np.unique(labels, return_inverse=True)[1]], 0
    )
    return features, labels, rng.random(N) < 0.4


def planted(features, labels, test):
    """Test cells in which every unit gives the label away, and which are shuffled among the labels."""
    codes = np.unique(labels, return_inverse=True)[1]
    changed, names = features.copy(), labels.copy()
    changed[test] = 50.0 * (codes[test, None] == np.arange(features.shape[1]) % 3)
    names[test] = np.roll(labels[test], 1)
    return changed, names


def units_chosen(features, labels, test):
    table, _ = match_units(sp.csr_array(features), labels, test=test)
    return table[["label", "unit", "threshold", "f1_validation"]].to_numpy().tolist()


def probe_fitted(features, labels, test):
    scaler, model = fit_probe(features[~test], labels[~test])[:]
    return [scaler.mean_.tolist(), scaler.scale_.tolist(), model.coef_.tolist()]


def probe_that_peeks(features, labels, test):
    """The usual mistake: standardise first, split later."""
    scaled = StandardScaler().fit(features)
    model = LogisticRegression(max_iter=2000).fit(scaled.transform(features[~test]), labels[~test])
    return [scaled.mean_.tolist(), model.coef_.tolist()]


def units_that_peek(features, labels, test):
    return units_chosen(features, labels, np.zeros_like(test) | (np.arange(len(test)) % 2 == 0))


def leaks(choose, cells):
    """Tell whether what is chosen depends on what stands in the test cells."""
    features, labels, test = cells
    return choose(features, labels, test) != choose(*planted(features, labels, test), test)


@pytest.mark.parametrize("choose", [units_chosen, probe_fitted])
def test_what_is_chosen_does_not_depend_on_test_cells(choose, cells):
    assert not leaks(choose, cells)


@pytest.mark.parametrize("choose", [probe_that_peeks, units_that_peek])
def test_a_planted_leak_is_caught(choose, cells):
    assert leaks(choose, cells)


def test_the_probe_is_scikit_learn_on_training_cells(cells):
    features, labels, test = cells
    theirs = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    theirs.fit(features[~test], labels[~test])
    ours = fit_probe(features[~test], labels[~test])
    np.testing.assert_array_equal(ours.predict(features), theirs.predict(features))


def test_the_main_unit_of_a_label_does_not_depend_on_test_cells(cells):
    """Absorption is scored on test cells; with these emptied, nothing fires, so that nothing is absorbed."""
    features, labels, test = cells
    emptied = np.where(test[:, None], 0.0, features)
    found = carry_labels(sp.csr_array(emptied), labels, test=test)
    assert [each.absorbed for each in found] == [0, 0, 0]


def test_labels_of_test_donors_choose_no_unit_in_a_whole_evaluation(cells):
    features, labels, _ = cells
    donors = np.array([f"d{i % 4}" for i in range(N)])
    ids = pd.Index([f"{i:03}" for i in range(N)])
    embeddings = Embeddings(features.astype(np.float32), ids, "encoder", "scvi")
    neurons = NeuronDictionary.fit(embeddings)
    settings = {"label_keys": ["label"], "embeddings": embeddings, "group_key": "donor"}
    obs = pd.DataFrame({"label": labels, "donor": donors}, index=ids)
    first = evaluate(AnnData(obs=obs), None, neurons, **settings)
    rng = np.random.default_rng(0)  # the split of the first seed: half of the donors
    tested = np.isin(donors, rng.permutation(np.unique(donors))[:2])
    shuffled = obs.assign(label=np.where(tested, np.random.default_rng(1).permutation(labels), labels))
    second = evaluate(AnnData(obs=shuffled), None, neurons, **settings)
    chosen = ["dictionary", "label", "unit", "threshold", "f1_validation"]
    pd.testing.assert_frame_equal(first.units[chosen], second.units[chosen])
    assert not first.units["f1"].equals(second.units["f1"])
