from pathlib import Path

import numpy as np
import pytest

from conceptome.evaluation import ilisi, lisi
from conceptome.evaluation.neighbours import others

KNOWN = np.load(Path(__file__).with_name("lisi.npz"))  # by make_lisi.py, with scib-metrics


def test_equals_scib_metrics():
    features, batches = KNOWN["features"], KNOWN["batches"]
    distances, rows = others(features, n_neighbours=90)
    found = lisi(distances, batches[rows], n_labels=3, perplexity=30.0)
    np.testing.assert_allclose(found, KNOWN["lisi"], rtol=2e-3)
    assert ilisi(features, batches.astype(str)) == pytest.approx(float(KNOWN["ilisi"]), abs=2e-3)


def test_ends_of_the_scale():
    rng = np.random.default_rng(0)
    batches = np.repeat(["a", "b"], 300)
    mixed = rng.normal(size=(600, 4))
    apart = mixed + 100 * (batches == "b")[:, None]
    assert ilisi(apart, batches) == pytest.approx(0, abs=1e-9)
    assert ilisi(mixed, batches) > 0.9
    assert np.isnan(ilisi(mixed, np.repeat("a", 600)))


def test_identical_cells_are_neighbours_like_others():
    distances, rows = others(np.zeros((40, 3)), n_neighbours=10)
    assert distances.shape == rows.shape == (40, 10)
    assert ilisi(np.zeros((40, 3)), np.repeat(["a", "b"], 20)) >= 0
