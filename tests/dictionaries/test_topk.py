import jaxtyping
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from conceptome.core import DictionaryMismatchError, Embeddings, InputError
from conceptome.dictionaries import TopKDictionary, Weights

N_CONCEPTS, D_EMBED = 12, 5


def make(k=3, *, dtype=np.float32, encoder_id="", seed=0):
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(N_CONCEPTS, D_EMBED))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    weights = Weights(
        w_enc=directions + 0.1 * rng.normal(size=directions.shape),
        b_enc=0.1 * rng.normal(size=N_CONCEPTS),
        directions=directions,
        b_dec=0.1 * rng.normal(size=D_EMBED),
        mean=rng.normal(size=D_EMBED),
    )
    return TopKDictionary(weights.astype(np.dtype(dtype)), k=k, scale=0.7, encoder_id=encoder_id)


# small integers make ties frequent
tied = arrays(np.float32, (7, N_CONCEPTS), elements=st.integers(-2, 3).map(float))


@pytest.mark.parametrize("name", ["stable", "general", "planted"])
def test_reproduces_the_golden_values(shared, name):
    golden = np.load(shared / "fixtures" / "attribution_golden" / f"{name}.npz")
    z = golden["Z"]
    weights = Weights(golden["Ws"], golden["bs"], golden["Wd"].T, golden["bdec"], np.zeros(z.shape[1]))
    dictionary = TopKDictionary(weights, k=int(golden["k"]))
    activations = dictionary.encode(z)
    np.testing.assert_allclose(dictionary.preactivations(z), golden["pre"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(activations.toarray(), golden["f"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(dictionary.decode(activations), golden["recon"], rtol=0, atol=1e-9)


@given(st.integers(0, 100), st.integers(1, N_CONCEPTS))
@settings(max_examples=25, deadline=None)
def test_equals_torch_topk(seed, k):
    z = np.random.default_rng(seed).normal(size=(20, D_EMBED))
    dictionary = make(k, dtype=np.float64, seed=seed)
    w = {name: torch.from_numpy(array) for name, array in dictionary.weights.arrays().items()}
    scaled = (torch.from_numpy(z) - w["mean"]) * dictionary.scale
    pre = torch.relu((scaled - w["b_dec"]) @ w["w_enc"].T + w["b_enc"])
    top = torch.topk(pre, k, dim=1)
    expected = torch.zeros_like(pre).scatter(1, top.indices, top.values)
    decoded = (expected @ w["directions"] + w["b_dec"]) / dictionary.scale + w["mean"]
    activations = dictionary.encode(z)
    np.testing.assert_allclose(activations.toarray(), expected.numpy(), atol=1e-12)
    np.testing.assert_allclose(dictionary.decode(activations), decoded.numpy(), atol=1e-12)


@given(tied, st.integers(1, N_CONCEPTS))
@settings(deadline=None)
def test_keeps_at_most_k_and_breaks_ties_by_lower_index(pre, k):
    activations = make(k).activate(pre)
    for row, kept in zip(pre, activations, strict=True):
        order = sorted(range(N_CONCEPTS), key=lambda c: (-row[c], c))[:k]
        expected = np.zeros(N_CONCEPTS, dtype=np.float32)
        expected[order] = np.maximum(row[order], 0)
        np.testing.assert_array_equal(kept, expected)


@given(tied, st.integers(1, N_CONCEPTS), st.integers(0, N_CONCEPTS - 1))
@settings(deadline=None)
def test_activate_one_equals_the_column_of_activate(pre, k, concept):
    dictionary = make(k)
    np.testing.assert_array_equal(dictionary.activate_one(pre, concept), dictionary.activate(pre)[:, concept])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_cell_is_encoded_alike_alone_and_among_others(dtype):
    z = np.random.default_rng(1).normal(size=(1500, D_EMBED)).astype(dtype)
    dictionary = make()
    together = dictionary.encode(z)
    assert together.dtype == dtype
    for rows in ([3], [600, 3], list(range(400, 1450))):
        np.testing.assert_array_equal(dictionary.encode(z[rows]).toarray(), together[rows].toarray())


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.float16, np.int8])
def test_other_number_types_are_computed_in_float64(dtype):
    rng = np.random.default_rng(6)
    dictionary = make()
    z, a = (rng.integers(0, 2, size=(9, n)).astype(dtype) for n in (D_EMBED, N_CONCEPTS))
    pre, decoded = dictionary.preactivations(z), dictionary.decode(a)
    assert pre.dtype == decoded.dtype == np.float64
    np.testing.assert_array_equal(pre, dictionary.preactivations(z.astype(np.float64)))
    np.testing.assert_array_equal(decoded, dictionary.decode(a.astype(np.float64)))


def test_permuting_cells_permutes_activations():
    z = np.random.default_rng(2).normal(size=(700, D_EMBED))
    order = np.random.default_rng(3).permutation(700)
    np.testing.assert_array_equal(make().encode(z[order]).toarray(), make().encode(z).toarray()[order])


def test_records_keep_cells_and_identity():
    cells = np.array([f"cell{i}" for i in range(9)])
    z = np.random.default_rng(4).normal(size=(9, D_EMBED))
    dictionary = make(encoder_id="abc")
    activations = dictionary.encode(Embeddings(z, pd.Index(cells), "abc", "linear"))
    assert activations.dictionary_id == dictionary.dictionary_id
    assert activations.cell_ids.tolist() == cells.tolist()
    assert activations.scale == dictionary.scale
    np.testing.assert_array_equal(dictionary.decode(activations), dictionary.decode(dictionary.encode(z)))


def test_refuses_another_width():
    dictionary = make()
    z = np.zeros((3, 10))
    advice = "Re-run cm.tl.embed with the encoder it was trained on."
    with pytest.raises(DictionaryMismatchError) as array_error:
        dictionary.encode(z)
    assert str(array_error.value) == (
        f"The embedding has 10 columns, dictionary {dictionary.dictionary_id} expects 5. {advice}"
    )
    with pytest.raises(DictionaryMismatchError) as record_error:
        dictionary.encode(Embeddings(z, pd.Index(list("abc")), "", "scvi"))
    assert str(record_error.value) == (
        f"obsm['X_scvi'] has 10 columns, dictionary {dictionary.dictionary_id} expects 5. {advice}"
    )


def test_refuses_another_encoder():
    dictionary = make(encoder_id="abc")
    embeddings = Embeddings(np.zeros((3, D_EMBED)), pd.Index(list("abc")), "xyz")
    with pytest.raises(DictionaryMismatchError) as error:
        dictionary.encode(embeddings)
    assert str(error.value) == (
        f"The embeddings come from encoder xyz, dictionary {dictionary.dictionary_id} was trained on encoder "
        "abc. Embed with that encoder, or train a dictionary on this one."
    )


def test_refuses_activations_of_another_dictionary():
    one, other = make(seed=0), make(seed=1)
    activations = one.encode(Embeddings(np.zeros((3, D_EMBED)), pd.Index(list("abc")), ""))
    with pytest.raises(DictionaryMismatchError, match=f"come from dictionary {one.dictionary_id}, not from"):
        other.decode(activations)
    with pytest.raises(DictionaryMismatchError, match="The activations have 4 concepts, dictionary"):
        one.decode(np.zeros((3, 4)))


@pytest.mark.parametrize("method", ["encode", "preactivations"])
def test_refuses_what_is_not_an_embedding(method):
    broken = np.zeros((6, D_EMBED))
    broken[2, 1] = np.nan
    broken[4] = np.inf
    with pytest.raises(InputError) as error:
        getattr(make(), method)(broken)
    assert str(error.value) == (
        "The embedding has NaN or infinite values in 2 of 6 cells, expected finite numbers. "
        "Remove these cells or embed them again."
    )


def test_refuses_more_active_concepts_than_concepts():
    with pytest.raises(InputError) as error:
        make(k=13)
    assert str(error.value) == (
        "k is 13, expected 1 to n_concepts = 12. Choose a smaller k or more concepts."
    )


def test_refuses_weights_of_different_shapes(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as outside the tests
    with pytest.raises(InputError) as error:
        Weights(np.zeros((4, 3)), np.zeros(5), np.zeros((4, 3)), np.zeros(3), np.zeros(3))
    assert str(error.value) == (
        "Weights: b_enc has shape (5,), expected (4,), because directions has shape (4, 3)."
    )
