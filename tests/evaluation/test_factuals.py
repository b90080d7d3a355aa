import numpy as np
import pytest
import scipy.sparse as sp

from conceptome.evaluation import factual_purity


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c", "d"], 100)
    a = np.zeros((400, 5))
    a[labels == "b", 0] = 1 + rng.random(100)  # of one label
    a[:, 1] = rng.random(400)  # of none
    a[labels == "c", 2], a[labels == "d", 2] = 2 + rng.random(100), rng.random(100)  # c strongly, d weakly
    a[:3, 3] = 1  # too rare
    return sp.csr_array(a), labels


@pytest.mark.parametrize("sampling", ["top", "stratified"])
def test_pure_and_mixed_factuals(cells, sampling):
    found = factual_purity(*cells, sampling=sampling, seed=0)
    assert found[0] == 1
    assert abs(found[1]) < 0.1
    assert np.isnan(found[3:]).all()


def test_weak_activations_count_in_strata_alone(cells):
    assert factual_purity(*cells, sampling="top", seed=0)[2] == 1
    assert 0.4 < factual_purity(*cells, sampling="stratified", seed=0)[2] < 0.9


def test_chance_is_taken_off_without_bias():
    rng = np.random.default_rng(1)
    labels = rng.choice(["a", "b", "c"], p=[0.8, 0.1, 0.1], size=5000)
    noise = sp.csr_array(np.maximum(rng.normal(size=(5000, 300)), 0))
    found = factual_purity(noise, labels, sampling="top", seed=0)
    assert abs(found.mean()) < 3 * found.std() / np.sqrt(300)


def test_one_label_says_nothing(cells):
    activations, labels = cells
    found = factual_purity(activations, np.full(len(labels), "a"), sampling="top", seed=0)
    assert np.isnan(found).all()
