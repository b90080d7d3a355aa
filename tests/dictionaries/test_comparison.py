"""Matchings of planted dictionaries: copies match perfectly, strangers no better than chance."""

import numpy as np
import pandas as pd
import pytest

from conceptome.core import DictionaryMismatchError, Embeddings, InputError
from conceptome.dictionaries import TopKDictionary, Weights, match_concepts
from conceptome.dictionaries.comparison import correlations

N_CONCEPTS, D_EMBED = 24, 12


def directions(seed, *, n_concepts=N_CONCEPTS):
    drawn = np.random.default_rng(seed).normal(size=(n_concepts, D_EMBED))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def planted(rows, *, mean=0.0, scale=1.0, encoder_id="encoder"):
    """Make a TopK dictionary that reads along its decoder directions."""
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    zeros = np.zeros(rows.shape[1], dtype=np.float32)
    weights = Weights(rows, np.zeros(len(rows), dtype=np.float32), rows, zeros, zeros + np.float32(mean))
    return TopKDictionary(weights, 3, scale=scale, encoder_id=encoder_id)


A = planted(directions(0))
Z = np.random.default_rng(5).normal(size=(400, D_EMBED)).astype(np.float32)


@pytest.mark.parametrize("by", ["directions", "activations"])
def test_a_permuted_copy_matches_perfectly(by):
    order = np.random.default_rng(1).permutation(N_CONCEPTS)
    copy = planted(directions(0)[order])
    found = match_concepts(A, copy, by=by, embeddings=Z)
    np.testing.assert_array_equal(found.concept_a, np.arange(N_CONCEPTS))
    np.testing.assert_array_equal(order[found.concept_b], found.concept_a)
    np.testing.assert_allclose(found.similarity, 1, atol=1e-6)
    np.testing.assert_allclose(found.p, 1 / 101)
    assert found.dictionary_ids == (A.dictionary_id, copy.dictionary_id)
    table = found.to_frame()
    assert list(table) == ["concept_a", "concept_b", "similarity", "null", "excess", "p"]
    assert (table["excess"] > 0.1).all()


def test_another_mean_and_scale_change_no_direction():
    moved = planted(directions(0), mean=7, scale=0.3)
    np.testing.assert_allclose(match_concepts(A, moved, n_null=1).similarity, 1, atol=1e-6)


def test_strangers_stay_at_the_null():
    means, nulls, shares = [], [], []
    for seed in range(1, 9):
        found = match_concepts(A, planted(directions(seed)), n_null=40, embeddings=Z)
        means.append(found.similarity.mean())
        nulls.append(found.null.mean())
        shares.append((found.p <= 0.05).mean())
    assert np.mean(means) == pytest.approx(np.mean(nulls), abs=0.02)
    assert np.mean(shares) < 0.1
    assert np.mean(nulls) > 0.3


def test_the_null_follows_the_covariance_of_the_embeddings():
    flat = Z * np.r_[10.0, 10.0, np.full(D_EMBED - 2, 0.1)].astype(np.float32)
    within = planted(directions(0) * np.r_[10.0, 10.0, np.full(D_EMBED - 2, 0.1)])
    stranger = planted(directions(3) * np.r_[10.0, 10.0, np.full(D_EMBED - 2, 0.1)])
    isotropic = match_concepts(within, stranger, embeddings=Z, n_null=20).null.mean()
    for embeddings in (flat, None):
        found = match_concepts(within, stranger, embeddings=embeddings, n_null=20)
        assert found.null.mean() > isotropic + 0.3
        assert found.similarity.mean() == pytest.approx(found.null.mean(), abs=0.1)


def test_noise_lowers_similarity_monotonically():
    noise = np.random.default_rng(2).normal(size=(N_CONCEPTS, D_EMBED)) / np.sqrt(D_EMBED)
    for by in ("directions", "activations"):
        means = [
            match_concepts(A, planted(directions(0) + level * noise), by=by, embeddings=Z, n_null=1)
            for level in (0, 0.2, 0.5, 1, 2)
        ]
        similarity = [found.similarity.mean() for found in means]
        assert similarity == sorted(similarity, reverse=True), by
        assert similarity[0] - similarity[-1] > 0.3


@pytest.mark.parametrize("by", ["directions", "activations"])
def test_the_smaller_dictionary_decides_the_number_of_pairs(by):
    part = planted(directions(0)[[5, 2, 9]])
    down = match_concepts(A, part, by=by, embeddings=Z, n_null=9, seed=4)
    up = match_concepts(part, A, by=by, embeddings=Z, n_null=9, seed=4)
    pairs = {(2, 1), (5, 0), (9, 2)}
    assert set(zip(up.concept_b.tolist(), up.concept_a.tolist(), strict=True)) == {(5, 0), (2, 1), (9, 2)}
    assert set(zip(down.concept_a.tolist(), down.concept_b.tolist(), strict=True)) == pairs
    assert down.concept_a.tolist() == [2, 5, 9]
    order = np.argsort(up.concept_b)
    np.testing.assert_array_equal(down.null, up.null[:, order])


def test_the_same_seed_gives_the_same_null():
    other = planted(directions(1))
    first, again, another = (match_concepts(A, other, n_null=5, seed=seed).null for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, another)


def test_correlations_equal_numpy_and_are_zero_without_variation():
    rng = np.random.default_rng(0)
    a, b = rng.random((50, 4)) * (rng.random((50, 4)) > 0.6), rng.random((50, 3))
    import scipy.sparse as sp

    found = correlations(sp.csr_array(a), sp.csr_array(b))
    np.testing.assert_allclose(found, np.corrcoef(a.T, b.T)[:4, 4:], atol=1e-12)
    a[:, 0], b[:, 1] = 0, 0.1
    found = correlations(sp.csr_array(a), sp.csr_array(b))
    assert not found[0].any()
    assert not found[:, 1].any()


def test_refuses_other_encoders_and_widths():
    with pytest.raises(DictionaryMismatchError) as other:
        match_concepts(A, planted(directions(1), encoder_id="another"))
    assert str(other.value).startswith(f"Dictionary {A.dictionary_id} was trained on encoder encoder, ")
    assert str(other.value).endswith(
        " on encoder another; directions of different encoders do not compare. Train both on one."
    )
    narrow = planted(directions(1)[:, :5], encoder_id="")
    with pytest.raises(DictionaryMismatchError) as width:
        match_concepts(A, narrow)
    assert str(width.value) == (
        f"Dictionary {A.dictionary_id} is of 12 coordinates, {narrow.dictionary_id} of 5; directions of "
        "different embeddings do not compare. Train both on one encoder."
    )
    foreign = Embeddings(Z, pd.RangeIndex(len(Z)).astype(str), "another")
    with pytest.raises(DictionaryMismatchError, match=r"^The embeddings come from encoder another, "):
        match_concepts(A, planted(directions(1)), embeddings=foreign)


def test_refuses_what_it_cannot_do():
    b = planted(directions(1))
    with pytest.raises(InputError) as lacking:
        match_concepts(A, b, by="activations")
    assert str(lacking.value) == (
        "Activations are compared on cells, and none are given. Give embeddings, or by='directions'."
    )
    with pytest.raises(InputError) as number:
        match_concepts(A, b, n_null=0)
    assert str(number.value) == "n_null is 0, expected at least 1."
