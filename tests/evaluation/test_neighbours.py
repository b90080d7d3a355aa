import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from conceptome.evaluation import label_neighbours, neighbours_kept


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], [120, 120, 60])
    centres = {"a": [0, 0, 0], "b": [2, 0, 0], "c": [0, 2, 0]}
    features = np.array([centres[label] for label in labels]) + rng.normal(size=(300, 3))
    return features, labels, rng.random(300) < 0.3


def test_accuracy_equals_scikit_learn(cells):
    features, labels, test = cells
    accuracy, purity = label_neighbours(features, labels, test=test)
    theirs = KNeighborsClassifier(15, algorithm="brute").fit(features[~test], labels[~test])
    assert accuracy == pytest.approx(theirs.score(features[test], labels[test]))
    rows = theirs.kneighbors(features[test], return_distance=False)
    assert purity == pytest.approx((labels[~test][rows] == labels[test][:, None]).mean())


def test_neighbours_are_training_cells_alone(cells):
    """A test cell beside its copy among the test cells must not be told by the copy."""
    _, labels, test = cells
    noise = np.random.default_rng(1).normal(size=(300, 3))
    twins = np.where(test[:, None], 100 * (labels[:, None] == "c"), noise)
    accuracy, _ = label_neighbours(twins, labels, test=test)
    assert accuracy < 0.6  # test cells of one label lie together, far from all training cells


def test_the_share_of_neighbours_that_stay(cells):
    features, _, _ = cells
    assert neighbours_kept(features, 3 * features + 1) == 1
    unrelated = np.random.default_rng(1).normal(size=(300, 3))
    assert neighbours_kept(features, unrelated) == pytest.approx(15 / 299, abs=0.02)
    assert neighbours_kept(features, features + 0.2 * unrelated) > 0.5


def test_identical_cells_keep_as_many_neighbours_as_others():
    same = np.zeros((30, 2))
    assert 0 <= neighbours_kept(same, same) <= 1
