import numpy as np
import pytest
import scipy.sparse as sp

from conceptome.encoders.scvi_architecture import ScviArchitecture
from conceptome.encoders.scvi_covariates import Covariate
from conceptome.encoders.scvi_network import Posterior, posterior_shapes

GENES = ("A", "B", "C")


def test_shapes_follow_the_settings():
    architecture = ScviArchitecture(
        GENES,
        n_hidden=8,
        n_latent=2,
        n_layers=2,
        encode_covariates=True,
        covariates=(Covariate("donor", ("a", "b"), "a"),),
        continuous=("age",),
    )
    shapes = posterior_shapes(architecture)
    assert shapes["z_encoder.encoder.fc_layers.Layer 0.0.weight"] == (8, 3 + 1 + 2)
    assert shapes["z_encoder.encoder.fc_layers.Layer 1.0.weight"] == (8, 8 + 2)
    assert shapes["z_encoder.encoder.fc_layers.Layer 1.1.running_var"] == (8,)
    assert shapes["z_encoder.mean_encoder.weight"] == shapes["z_encoder.var_encoder.weight"] == (2, 8)


def test_the_library_encoder_has_one_layer_and_one_output():
    shapes = posterior_shapes(ScviArchitecture(GENES, n_hidden=8, n_layers=3), of="l")
    assert shapes["l_encoder.encoder.fc_layers.Layer 0.0.weight"] == (8, 3)
    assert shapes["l_encoder.mean_encoder.weight"] == (1, 8)
    assert not any("Layer 1" in name for name in shapes)


@pytest.mark.parametrize("use_batch_norm", ["decoder", "none"])
def test_batch_norm_of_the_decoder_is_none_of_the_encoder(use_batch_norm):
    shapes = posterior_shapes(ScviArchitecture(GENES, use_batch_norm=use_batch_norm))
    assert not any(name.endswith("running_mean") for name in shapes)


def test_a_network_computed_by_hand():
    architecture = ScviArchitecture(("A", "B"), n_hidden=2, n_latent=1)
    layer = "z_encoder.encoder.fc_layers.Layer 0"
    state = {
        f"{layer}.0.weight": np.array([[1.0, 2.0], [-1.0, 1.0]]),
        f"{layer}.0.bias": np.array([0.5, 0.0]),
        f"{layer}.1.weight": np.array([2.0, 1.0]),
        f"{layer}.1.bias": np.array([0.0, -4.0]),
        f"{layer}.1.running_mean": np.array([1.0, 0.0]),
        f"{layer}.1.running_var": np.array([0.249, 0.999]),
        "z_encoder.mean_encoder.weight": np.array([[3.0, 5.0]]),
        "z_encoder.mean_encoder.bias": np.array([0.25]),
        "z_encoder.var_encoder.weight": np.array([[0.1, 5.0]]),
        "z_encoder.var_encoder.bias": np.array([-1.0]),
    }
    network = Posterior(architecture, state)
    no_codes = np.zeros((1, 0))
    first = network.first(sp.csr_array(np.expm1([[1.0, 2.0]])), no_codes)
    # linear: 5.5 and 1; batch norm: 2 * (5.5 - 1) / 0.5 = 18 and 1 - 4 = -3
    np.testing.assert_allclose(first, [[18.0, -3.0]])
    np.testing.assert_allclose(network.mean(first, no_codes), [[3 * 18 + 0.25]])
    np.testing.assert_allclose(network.variance(first, no_codes), [[np.exp(0.8) + 1e-4]])
    np.testing.assert_allclose(network.by_gene, [[4.0, -1.0], [8.0, 1.0]])
