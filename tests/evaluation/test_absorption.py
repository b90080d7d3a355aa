import numpy as np
import pytest
import scipy.sparse as sp

from conceptome.evaluation import carry_labels


@pytest.fixture(scope="module")
def cells():
    """Label "whole" has one unit, "split" two for a half each, "parent" loses cells to a unit of its own."""
    labels = np.repeat(["whole", "split", "parent", "other"], 100)
    a = np.zeros((400, 5))
    a[:100, 0] = 1
    a[100:150, 1], a[150:200, 2] = 1, 1
    a[200:275, 3], a[275:300, 4] = 1, 1
    return sp.csr_array(a), labels, np.arange(400) % 2 == 0


def by_label(found):
    return {each.label: each for each in found}


def test_splitting_and_absorption_are_found(cells):
    found = by_label(carry_labels(*cells[:2], test=cells[2]))
    assert found["whole"].n_units == 1
    assert found["whole"].absorbed == 0
    assert found["split"].n_units == 2
    assert found["parent"].n_units == 2
    assert found["parent"].absorbed == pytest.approx(13 / 50, abs=0.021)
    assert "other" not in found  # no unit fires there


def test_an_imprecise_unit_absorbs_nothing(cells):
    activations, labels, test = cells
    spread = activations.toarray()
    spread[300:, 4] = 1  # the unit of the lost cells fires elsewhere too
    found = by_label(carry_labels(sp.csr_array(spread), labels, test=test))
    assert found["parent"].absorbed == 0


def test_a_gain_on_validation_cells_alone_does_not_count(cells):
    _, labels, test = cells
    rng = np.random.default_rng(0)
    noise = (rng.random((400, 300)) < 0.01).astype(float)
    noise[:, 0] = labels == "whole"
    noise[np.flatnonzero(labels == "whole")[:40], 0] = 0
    found = by_label(carry_labels(sp.csr_array(noise), labels, test=test))
    assert found["whole"].n_units == 1


def test_rare_labels_are_left_out(cells):
    activations, labels, test = cells
    rare = labels.astype(object).copy()
    rare[:3] = "rare"
    assert "rare" not in by_label(carry_labels(activations, rare.astype(str), test=test))
