"""Stability over seeds, on cells made of known parts."""

import numpy as np
import pandas as pd
import pytest

from conceptome.core import Embeddings, InputError
from conceptome.dictionaries import TopKDictionary, Weights, explained_variance, stability
from conceptome.evaluation import measure_seeds

D_EMBED, N_CELLS = 10, 600


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


PARTS = unit(np.random.default_rng(0).normal(size=(14, D_EMBED)))


def planted(seed, *, noise):
    rng = np.random.default_rng(seed)
    rows = unit(rng.permutation(PARTS) + noise * rng.normal(size=PARTS.shape)).astype(np.float32)
    zeros = np.zeros(D_EMBED, dtype=np.float32)
    return TopKDictionary(Weights(rows, zeros[:1].repeat(14), rows, zeros, zeros), 3, encoder_id="e")


@pytest.fixture(scope="module")
def embeddings():
    rng = np.random.default_rng(1)
    strengths = rng.exponential(size=(N_CELLS, 14)) * (rng.random((N_CELLS, 14)) < 0.15)
    z = (strengths @ PARTS).astype(np.float32)
    return Embeddings(z, pd.RangeIndex(N_CELLS).astype(str), "e", "planted")


def test_stable_concepts_are_above_chance_and_random_autoencoders(embeddings):
    seeds = [planted(seed, noise=0.05) for seed in range(3)]
    record = measure_seeds(seeds, embeddings)
    summary = record.summary.set_index("by")
    assert list(summary.index) == ["directions", "activations"]
    assert (summary["mean"] > 0.9).all()
    assert (summary["mean"] > summary[["null", "random_sae"]].max(axis=1) + 0.2).all()
    assert (summary["null"] > 0).all()
    assert len(record.r2) == 3
    z = embeddings.values
    decoded = seeds[0].decode(seeds[0].encode(z))
    assert record.r2[0] == explained_variance(z, decoded, mean=z.mean(axis=0))[0]


def test_noise_lowers_both(embeddings):
    means = [
        measure_seeds([planted(seed, noise=noise) for seed in range(2)], embeddings).summary["mean"]
        for noise in (0.05, 0.3, 1.0)
    ]
    assert (means[0] > means[1]).all()
    assert (means[1] > means[2]).all()


def test_the_table_follows_the_first_dictionary(embeddings):
    seeds = [planted(seed, noise=0.3) for seed in range(3)]
    record = measure_seeds(seeds, embeddings, seed=4)
    for by in ("directions", "activations"):
        expected = stability(seeds, by=by, embeddings=embeddings, seed=4).concepts.set_index("concept")
        pd.testing.assert_frame_equal(record.of(by), expected)
    pd.testing.assert_frame_equal(measure_seeds(seeds, embeddings, seed=4).concepts, record.concepts)


def test_one_dictionary_says_nothing(embeddings):
    with pytest.raises(InputError) as error:
        measure_seeds([planted(0, noise=0)], embeddings)
    assert str(error.value) == "The number of dictionaries is 1, expected at least 2."
