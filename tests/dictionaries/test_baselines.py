import numpy as np
import pytest
from sklearn.decomposition import PCA

from conceptome.core import Dictionary, InputError
from conceptome.dictionaries import NeuronDictionary, PcaDictionary

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


@pytest.mark.parametrize("dictionary", [NeuronDictionary.fit(Z), PcaDictionary.fit(Z, n_components=2)])
def test_baselines_satisfy_the_protocol(dictionary):
    assert isinstance(dictionary, Dictionary)
    pre = dictionary.preactivations(Z)
    for unit in range(dictionary.n_concepts):
        np.testing.assert_array_equal(dictionary.activate_one(pre, unit), dictionary.activate(pre)[:, unit])
    np.testing.assert_allclose(np.linalg.norm(dictionary.directions, axis=1), 1, atol=1e-6)


def test_refuses_impossible_numbers_of_components():
    with pytest.raises(InputError) as error:
        PcaDictionary.fit(Z, n_components=7)
    assert str(error.value) == "n_components is 7, expected 1 to d_embed = 6."
