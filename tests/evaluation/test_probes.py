import numpy as np
import scipy.sparse as sp

from conceptome.evaluation import probe

RNG = np.random.default_rng(0)
LABELS = np.repeat(["a", "b", "c"], 100)
TEST = RNG.random(300) < 0.3


def test_reads_what_is_there_and_not_what_is_not():
    centres = np.repeat(np.eye(3) * 8, 100, axis=0)
    informative = centres + RNG.normal(size=(300, 3))
    assert probe(informative, LABELS, test=TEST) > 0.95
    assert probe(sp.csr_array(np.maximum(informative, 0)), LABELS, test=TEST) > 0.95
    assert probe(RNG.normal(size=(300, 3)), LABELS, test=TEST) < 0.5


def test_the_scale_of_a_feature_does_not_matter():
    features = np.repeat(np.eye(3), 100, axis=0) + RNG.normal(size=(300, 3))
    scaled = features * np.array([1e-3, 1, 1e3])
    assert probe(features, LABELS, test=TEST) == probe(scaled, LABELS, test=TEST)


def test_labels_without_enough_cells_are_left_out():
    features = RNG.normal(size=(300, 3))
    assert np.isnan(probe(features, np.where(np.arange(300) < 4, "rare", "common"), test=TEST))
