"""Stability of planted dictionaries: known concepts come back, the others do not."""

import numpy as np
import pandas as pd
import pytest

from conceptome.core import DictionaryMismatchError, InputError
from conceptome.dictionaries import TopKDictionary, Weights, consensus, stability

D_EMBED = 16


def directions(seed, n_concepts):
    drawn = np.random.default_rng(seed).normal(size=(n_concepts, D_EMBED))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def planted(rows, encoder_id=""):
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    zeros = np.zeros(D_EMBED, dtype=np.float32)
    weights = Weights(rows, np.zeros(len(rows), dtype=np.float32), rows, zeros, zeros)
    return TopKDictionary(weights, 2, encoder_id=encoder_id)


SHARED = directions(0, 6)


def partly_shared(seed, *, noise=0.0):
    """Six shared directions at random places among ten of its own."""
    rng = np.random.default_rng(seed)
    shared = SHARED + noise * rng.normal(size=SHARED.shape) / np.sqrt(D_EMBED)
    return planted(rng.permutation(np.concatenate([shared, directions(100 + seed, 10)])))


SEEDS = [partly_shared(seed) for seed in range(1, 5)]


def holds(dictionary, concept):
    return (np.abs(SHARED @ dictionary.directions[concept] - 1) < 1e-5).any()


def test_stability_tells_the_shared_concepts():
    found = stability(SEEDS)
    shared = np.array([holds(SEEDS[0], concept) for concept in range(16)])
    assert shared.sum() == 6
    table = found.concepts
    np.testing.assert_allclose(table["stability"][shared], 1, atol=1e-6)
    assert table["stability"][~shared].max() < 0.75
    assert (table["p"][shared] < 0.05).all()
    assert (table["p"][~shared] > 0.05).mean() > 0.7
    assert table["stability"].max() <= 1
    assert found.dictionary_ids == tuple(each.dictionary_id for each in SEEDS)


def test_the_mean_and_spread_are_over_pairs_of_dictionaries():
    found = stability(SEEDS)
    assert list(zip(found.pairs["a"], found.pairs["b"], strict=True)) == [
        (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3),
    ]  # fmt: skip
    assert found.mean == pytest.approx(found.pairs["similarity"].mean())
    assert found.sd == pytest.approx(found.pairs["similarity"].std())
    assert found.null < found.mean - 0.1
    assert np.isnan(stability(SEEDS[:2]).sd)
    with_first = found.pairs.loc[found.pairs["a"] == 0, "similarity"].mean()
    assert found.concepts["stability"].mean() == pytest.approx(with_first)


def test_strangers_stay_at_the_null():
    z = np.random.default_rng(0).normal(size=(500, D_EMBED))
    found = stability([planted(directions(seed, 16)) for seed in range(20, 25)], embeddings=z)
    assert found.mean == pytest.approx(found.null, abs=0.03)
    assert (found.concepts["p"] <= 0.05).mean() < 0.2


def test_noise_lowers_stability_monotonically():
    means = [
        stability([partly_shared(seed, noise=noise) for seed in range(1, 4)], n_null=1).mean
        for noise in (0, 0.3, 0.6, 1.2)
    ]
    assert means == sorted(means, reverse=True)
    assert means[0] > means[-1] + 0.1


def test_a_concept_without_a_counterpart_has_no_stability():
    small = planted(SEEDS[0].directions[[3, 8]])
    found = stability([SEEDS[0], small], n_null=3).concepts
    assert found["stability"].notna().to_numpy().nonzero()[0].tolist() == [3, 8]
    assert found["p"].isna().equals(found["stability"].isna())
    assert (found["recurrence"] == 0).all()  # three draws cannot tell a concept from chance


@pytest.mark.parametrize("by", ["directions", "activations"])
def test_stability_and_consensus_tell_the_same_concepts(by):
    z = np.random.default_rng(0).normal(size=(300, 6)) ** 3 @ SHARED
    others = [SEEDS[0], *(partly_shared(seed, noise=0.4) for seed in (2, 3)), SEEDS[3]]
    followed = stability(others, by=by, embeddings=z, n_null=100).concepts
    found = consensus(others, by=by, embeddings=z, min_recurrence=0.01)
    expected = pd.Series(found.recurrence, found.concept).reindex(range(16), fill_value=0.0)
    assert expected.nunique() > 1
    np.testing.assert_array_equal(followed["recurrence"], expected)


@pytest.mark.parametrize("by", ["directions", "activations"])
def test_consensus_finds_the_shared_concepts_in_every_dictionary(by):
    z = np.random.default_rng(0).normal(size=(300, 6)) ** 3 @ SHARED
    found = consensus(SEEDS, by=by, embeddings=z, min_recurrence=1.0, min_similarity=0.9)
    shared = [concept for concept in range(16) if holds(SEEDS[0], concept)]
    assert set(shared) >= set(found.concept) if by == "activations" else shared == sorted(found.concept)
    assert len(found.concept) >= 3
    for concept, members in zip(found.concept, found.members, strict=True):
        for dictionary, member in zip(SEEDS, members, strict=True):
            np.testing.assert_allclose(dictionary.directions[member], SEEDS[0].directions[concept], atol=1e-6)
    np.testing.assert_allclose(found.directions, SEEDS[0].directions[found.concept], atol=1e-6)
    assert (found.recurrence == 1).all()


def test_consensus_counts_in_how_many_dictionaries_a_concept_recurs():
    pair = [SEEDS[0], partly_shared(9), planted(directions(30, 16))]
    found = consensus(pair, min_recurrence=0.5)
    assert len(found.concept) == 6
    np.testing.assert_array_equal(found.recurrence, 0.5)
    assert (found.members[:, 1] >= 0).all()
    assert (found.members[:, 2] == -1).all()
    table = found.to_frame()
    names = [f"in_{each.dictionary_id}" for each in pair]
    assert list(table) == ["concept", "recurrence", "stability", *names]
    assert not len(consensus(pair, min_recurrence=1.0).concept)


def test_refuses_what_says_nothing_of_stability():
    with pytest.raises(InputError) as single:
        stability(SEEDS[:1])
    assert str(single.value) == "The number of dictionaries is 1, expected at least 2."
    with pytest.raises(InputError) as twice:
        consensus([SEEDS[0], SEEDS[0]])
    assert str(twice.value) == (
        "Of 2 dictionaries 1 are different; one compared with itself says nothing of stability. "
        "Train with different seeds."
    )
    with pytest.raises(InputError) as share:
        consensus(SEEDS, min_recurrence=0.0)
    assert str(share.value) == "min_recurrence is 0.0, expected a share above 0 and at most 1."
    with pytest.raises(DictionaryMismatchError):
        stability([planted(SHARED, "one"), planted(directions(1, 6), "two")])
