from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA

from conceptome.core import Dictionary, InputError
from conceptome.dictionaries import (
    IcaDictionary,
    KMeansDictionary,
    NeuronDictionary,
    NmfDictionary,
    PcaDictionary,
    RandomSaeDictionary,
    explained_variance,
    load,
)
from conceptome.dictionaries.nonnegative import nonnegative_solution
from conceptome.testing import check_dictionary

Z = np.random.default_rng(0).normal(size=(300, 6)) @ np.diag([5, 3, 2, 1, 1, 0.5]) + 4


def test_neurons_are_signed_centred_coordinates_and_decode_exactly():
    dictionary = NeuronDictionary.fit(Z)
    activations = dictionary.encode(Z).toarray()
    signed = (Z - Z.mean(axis=0)) * dictionary.scale
    np.testing.assert_allclose(activations[:, :6] - activations[:, 6:], signed, atol=1e-6)
    assert not np.any((activations[:, :6] > 0) & (activations[:, 6:] > 0))
    np.testing.assert_allclose(dictionary.decode(activations), Z, atol=1e-9)


def test_scaled_cells_have_mean_squared_norm_d_embed():
    dictionary = NeuronDictionary.fit(Z)
    scaled = (Z - Z.mean(axis=0)) * dictionary.scale
    assert (scaled**2).sum(axis=1).mean() == pytest.approx(6)


@pytest.mark.parametrize("n_components", [1, 3, 6])
def test_pca_equals_scikit_learn(n_components):
    dictionary = PcaDictionary.fit(Z, n_components=n_components)
    reference = PCA(n_components).fit(Z)
    activations = dictionary.encode(Z)
    expected = reference.inverse_transform(reference.transform(Z))
    np.testing.assert_allclose(dictionary.decode(activations), expected, atol=1e-5)
    assert activations.nnz == len(Z) * n_components


def test_the_sign_of_a_component_is_fixed():
    axes = PcaDictionary.fit(Z).directions[:6]
    assert (np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1) > 0).all()


SEEDED = {
    IcaDictionary: {"n_components": 3},
    NmfDictionary: {"n_components": 4},
    KMeansDictionary: {"n_clusters": 7},
    RandomSaeDictionary: {"n_concepts": 20, "k": 3},
}


@pytest.mark.parametrize(
    "dictionary",
    [
        NeuronDictionary.fit(Z),
        PcaDictionary.fit(Z, n_components=2),
        *(family.fit(Z, **options) for family, options in SEEDED.items()),
    ],
    ids=lambda dictionary: dictionary.kind,
)
def test_baselines_satisfy_the_protocol(dictionary):
    assert isinstance(dictionary, Dictionary)
    pre = dictionary.preactivations(Z)
    for unit in range(dictionary.n_concepts):
        np.testing.assert_array_equal(dictionary.activate_one(pre, unit), dictionary.activate(pre)[:, unit])
    np.testing.assert_allclose(np.linalg.norm(dictionary.directions, axis=1), 1, atol=1e-6)
    assert len(check_dictionary(dictionary, Z).kept) == 9


@pytest.mark.parametrize("family", SEEDED)
def test_the_seed_decides_everything(family, tmp_path):
    dictionary = family.fit(Z, **SEEDED[family], seed=1)
    assert dictionary.dictionary_id == family.fit(Z, **SEEDED[family], seed=1).dictionary_id
    assert dictionary.training["seed"] == 1
    dictionary.save(tmp_path / "dictionary")
    again = load(tmp_path / "dictionary")
    assert (type(again), again.dictionary_id) == (family, dictionary.dictionary_id)
    with pytest.raises(InputError) as error:
        family.fit(Z, **SEEDED[family], seed=-1)
    assert str(error.value) == "seed is -1, expected at least 0."


def fidelity(dictionary):
    return explained_variance(Z, dictionary.decode(dictionary.encode(Z)), mean=Z.mean(axis=0))[0]


def test_ica_finds_independent_sources_that_pca_mixes():
    sources = np.random.default_rng(0).laplace(size=(3000, 3))
    mixing = np.array([[3.0, 1.0, 0.5], [1.0, 3.0, 0.0], [0.5, -1.0, 2.0]])
    z = sources @ mixing
    true = mixing / np.linalg.norm(mixing, axis=1, keepdims=True)
    ica, pca = IcaDictionary.fit(z), PcaDictionary.fit(z)
    assert ica.training["converged"]
    assert (np.abs(ica.directions[:3] @ true.T).max(axis=0) > 0.99).all()
    assert np.abs(pca.directions[:3] @ true.T).max(axis=0).min() < 0.95
    np.testing.assert_allclose(ica.decode(ica.encode(z)), z, atol=1e-4)


def test_ica_keeps_as_much_variance_as_pca():
    for n_components in (1, 4, 6):
        ica, pca = (family.fit(Z, n_components=n_components) for family in (IcaDictionary, PcaDictionary))
        assert fidelity(ica) == pytest.approx(fidelity(pca), abs=1e-6)
        assert ica.encode(Z).nnz == len(Z) * n_components


def test_nmf_equals_scikit_learn():
    dictionary = NmfDictionary.fit(Z, n_components=4)
    scaled = (Z - Z.mean(axis=0)) * dictionary.scale
    shifted = scaled - scaled.min(axis=0)
    reference = NMF(4, init="nndsvda", max_iter=1000, random_state=0)
    rebuilt = reference.fit_transform(shifted) @ reference.components_
    found = (dictionary.decode(dictionary.encode(Z)) - Z.mean(axis=0)) * dictionary.scale - scaled.min(axis=0)
    assert np.square(found - shifted).sum() == pytest.approx(np.square(rebuilt - shifted).sum(), rel=1e-3)
    assert (dictionary.directions >= 0).all()


def test_nonnegative_solutions_equal_scipy():
    rng = np.random.default_rng(0)
    directions, cells = rng.normal(size=(5, 8)), rng.normal(size=(40, 8))
    found = nonnegative_solution(directions @ directions.T, cells @ directions.T)
    expected = [nnls(directions.T, cell)[0] for cell in cells]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    one = nonnegative_solution(directions @ directions.T, cells[:1] @ directions.T)
    np.testing.assert_allclose(found[:1], one, rtol=1e-12)


def test_kmeans_activates_the_nearest_centroid_and_decodes_to_it():
    dictionary = KMeansDictionary.fit(Z, n_clusters=7)
    reference = KMeans(7, n_init=1, random_state=0).fit((Z - Z.mean(axis=0)) * dictionary.scale)
    centroids = reference.cluster_centers_ / dictionary.scale + Z.mean(axis=0)
    activations = dictionary.encode(Z)
    np.testing.assert_allclose(dictionary.decode(activations), centroids[reference.labels_], atol=1e-5)
    np.testing.assert_array_equal(np.diff(activations.indptr), 1)
    sizes = np.bincount(activations.indices)
    assert sizes.tolist() == sorted(np.bincount(reference.labels_), reverse=True)
    pre = dictionary.preactivations(Z)
    scaled = (Z - Z.mean(axis=0)) * dictionary.scale
    np.testing.assert_allclose(-pre.max(axis=1), np.linalg.norm(
        scaled - reference.cluster_centers_[reference.labels_], axis=1), atol=1e-5)  # fmt: skip


def test_a_centroid_at_the_mean_is_active_all_the_same():
    z = np.array([[-1.0, 0], [0, 0], [1, 0]]).repeat(5, axis=0)
    dictionary = KMeansDictionary.fit(z, n_clusters=3)
    activations = dictionary.encode(z)
    np.testing.assert_array_equal(np.diff(activations.indptr), 1)
    np.testing.assert_allclose(dictionary.decode(activations), z, atol=1e-5)


def test_kmeans_needs_different_cells():
    with pytest.raises(InputError) as error:
        KMeansDictionary.fit(np.repeat(Z[:3], 4, axis=0), n_clusters=5)
    assert str(error.value) == "n_clusters is 5, expected at most the 3 different cells there are."


def test_a_random_sae_learns_its_decoder_alone():
    dictionary = RandomSaeDictionary.fit(Z, n_concepts=20, k=3)
    activations = dictionary.encode(Z)
    assert np.diff(activations.indptr).max() == 3
    drawn = dictionary.weights.w_enc / np.linalg.norm(dictionary.weights.w_enc, axis=1, keepdims=True)
    rng = np.random.default_rng(0).normal(size=(20, 6))
    np.testing.assert_allclose(drawn, rng / np.linalg.norm(rng, axis=1, keepdims=True), atol=1e-6)
    projections = (Z - Z.mean(axis=0)) * dictionary.scale @ drawn.T
    strongest = np.sort(np.argsort(-projections, axis=1)[:, :3], axis=1)
    np.testing.assert_array_equal(activations.indices.reshape(-1, 3), strongest)
    worse = RandomSaeDictionary(
        replace(dictionary.weights, directions=drawn), 3, scale=dictionary.scale
    )  # fmt: skip
    assert fidelity(dictionary) > max(fidelity(worse), 0.6)


def test_a_random_sae_refuses_an_impossible_k():
    with pytest.raises(InputError) as error:
        RandomSaeDictionary.fit(Z, n_concepts=4, k=5)
    assert str(error.value) == ("k is 5, expected 1 to n_concepts = 4. Choose a smaller k or more concepts.")


def test_refuses_impossible_numbers_of_components():
    with pytest.raises(InputError) as error:
        PcaDictionary.fit(Z, n_components=7)
    assert str(error.value) == "n_components is 7, expected 1 to d_embed = 6."


@pytest.mark.parametrize("family", [IcaDictionary, NmfDictionary])
def test_coordinates_that_tell_nothing_and_few_cells_are_no_obstacle(family):
    padded = np.column_stack([Z, np.ones(len(Z)), Z[:, 0]])
    for cells in (padded, Z[:4]):
        dictionary = family.fit(cells)
        rebuilt = dictionary.decode(dictionary.encode(cells))
        assert np.isfinite(dictionary.directions).all()
        assert explained_variance(cells, rebuilt, mean=cells.mean(axis=0))[0] > 0.9


@pytest.mark.parametrize("family", [NeuronDictionary, PcaDictionary, IcaDictionary, NmfDictionary])
def test_refuses_no_cells(family):
    with pytest.raises(InputError, match="There are no cells to fit a dictionary to"):
        family.fit(Z[:0])
