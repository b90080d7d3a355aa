import logging

import anndata as ad
import numpy as np
import pytest
import torch

from conceptome import encoders
from conceptome.core import CheckpointError, Decoder, InputError, ScoredDecoder
from conceptome.encoders import ScviEncoder
from conceptome.encoders.scvi_likelihood import CountDistribution

MODELS = ["A", "B", "C"]


@pytest.fixture(params=MODELS)
def decoded(request, shared):
    """A model of the fixture, the cells whose decoding is known, their latent means, and what is known."""
    folder = shared / "fixtures/scvi_tiny"
    expected = np.load(folder / f"expected_{request.param}.npz")
    cells = ad.read_h5ad(folder / "train.h5ad")[expected["decode_rows"]].copy()
    encoder = ScviEncoder.load(folder / f"model_{request.param}")
    return encoder, cells, encoder.embed(cells).values, expected


class TestModelsOfScviTools:
    def test_is_a_decoder(self, decoded):
        encoder, _, _, _ = decoded
        assert isinstance(encoder.decoder, Decoder)
        assert encoder.decoder.genes.equals(encoder.genes)

    def test_rates_and_shares(self, decoded):
        encoder, cells, latent, expected = decoded
        rates = encoder.decoder.expression(latent, cells)
        assert rates.dtype == np.float64
        np.testing.assert_allclose(rates, expected["px_rate"], rtol=1e-5)
        np.testing.assert_allclose(encoder.decoder.scale(latent, cells), expected["px_scale"], atol=1e-6)

    def test_distribution(self, decoded):
        encoder, cells, latent, expected = decoded
        found = encoder.decoder.distribution(latent, cells)
        np.testing.assert_allclose(found.rate, expected["px_rate"], rtol=1e-5)
        np.testing.assert_allclose(found.scale, expected["px_scale"], atol=1e-6)
        np.testing.assert_allclose(found.theta, expected["px_r_theta"], rtol=1e-5)
        assert (found.zi_logits is None) == ("zi_logits" not in expected)
        if found.zi_logits is not None:
            np.testing.assert_allclose(found.zi_logits, expected["zi_logits"], atol=1e-5)

    @pytest.mark.parametrize("batch", ["pbmc10k", "pbmc5k"])
    def test_as_if_of_another_batch(self, decoded, batch):
        encoder, cells, latent, expected = decoded
        cells.obs["batch"] = batch
        found = encoder.decoder.scale(latent, cells)
        np.testing.assert_allclose(found, expected[f"px_scale_transform_batch_{batch}"], atol=1e-6)

    def test_mean_over_the_posterior(self, decoded):
        """Our own 200 draws against the 200 of scvi-tools."""
        encoder, cells, latent, expected = decoded
        rng = np.random.default_rng(0)
        deviation = np.sqrt(encoder.variance(cells))
        draws = [latent + deviation * rng.standard_normal(latent.shape) for _ in range(200)]
        found = np.mean([encoder.decoder.scale(z, cells) for z in draws], axis=0)
        reference = expected["normalized_expression_200samples_own_batch"]
        np.testing.assert_allclose(found, reference, atol=5e-3)
        assert np.corrcoef(found.ravel(), reference.ravel())[0, 1] > 0.999

    def test_library_of_the_training_cells(self, decoded, shared):
        encoder, _, _, expected = decoded
        cells = ad.read_h5ad(shared / "fixtures/scvi_tiny/train.h5ad")
        found = np.log(encoder.decoder.library_size(cells))
        np.testing.assert_allclose(found, expected["log_library"][:, 0], atol=1e-5)

    def test_library_of_cells_with_other_genes_counts_those_of_the_model(self, decoded, shared):
        encoder, _, _, expected = decoded
        cells = ad.read_h5ad(shared / "fixtures/scvi_tiny/query_missing_genes.h5ad")
        np.testing.assert_array_equal(
            encoder.decoder.library_size(cells), expected["query_prepared_X_row_sums"]
        )

    def test_saved_and_loaded_decodes_the_same(self, decoded, folder_of):
        encoder, cells, latent, _ = decoded
        again = encoders.load("scvi", folder_of(encoder))
        np.testing.assert_array_equal(
            again.decoder.expression(latent, cells), encoder.decoder.expression(latent, cells)
        )

    def test_a_row_does_not_depend_on_the_others(self, decoded):
        encoder, cells, latent, _ = decoded
        together = encoder.decoder.expression(latent, cells)
        alone = encoder.decoder.expression(latent[3:4], cells[3:4].copy())
        np.testing.assert_array_equal(alone, together[3:4])

    def test_unseen_batches_are_named(self, decoded, caplog):
        encoder, cells, latent, _ = decoded
        cells.obs["batch"] = "hospital"
        with caplog.at_level(logging.WARNING):
            found = encoder.decoder.scale(latent, cells)
        assert (
            "The decoder has never seen obs['batch'] = hospital: those cells are decoded as 'pbmc10k', one "
            "of the known pbmc10k, pbmc5k." in caplog.messages
        )
        cells.obs["batch"] = "pbmc10k"
        np.testing.assert_array_equal(found, encoder.decoder.scale(latent, cells))

    def test_refuses_rows_without_cells(self, decoded):
        encoder, cells, latent, _ = decoded
        with pytest.raises(InputError) as caught:
            encoder.decoder.expression(latent[:5], cells)
        assert str(caught.value) == (
            f"The embedding has shape {(5, encoder.d_embed)}, expected {latent.shape}: one row for each of "
            "the cells that are passed with it."
        )

    def test_an_empty_cell_is_expected_to_stay_empty(self, decoded):
        encoder, cells, latent, _ = decoded
        cells.X = cells.X * 0
        np.testing.assert_array_equal(encoder.decoder.expression(latent, cells), 0.0)


VARIANTS = {
    "library inferred": ({}, {"use_observed_lib_size": False, "encode_covariates": True}),
    "library inferred, genes only": ({}, {"use_observed_lib_size": False, "n_layers": 2}),
    "size factor": ({"size_factor_key": "depth"}, {}),
    "covariates": (
        {"continuous_covariate_keys": ["age"], "categorical_covariate_keys": ["sex"]},
        {"n_layers": 2, "deeply_inject_covariates": False, "use_layer_norm": "decoder"},
    ),
    "dispersion per cell": ({}, {"dispersion": "gene-cell", "gene_likelihood": "zinb"}),
    "dispersion per label": ({"labels_key": "sex"}, {"dispersion": "gene-label", "use_batch_norm": "none"}),
    "one batch": ({"batch_key": None}, {"dispersion": "gene-batch", "gene_likelihood": "poisson"}),
}


@pytest.fixture
def annotated(make_cells):
    cells = make_cells(120)
    rng = np.random.default_rng(0)
    cells.obs["depth"] = rng.uniform(0.5, 2.0, cells.n_obs)
    cells.obs["sex"] = rng.choice(["f", "m"], cells.n_obs)
    return cells


def by_scvi_tools(model, adata):
    """Parameters at the posterior means, computed by scvi-tools."""
    (batch,) = model._make_data_loader(adata=adata, batch_size=adata.n_obs)
    module = model.module.eval()
    with torch.no_grad():
        inferred = module.inference(**module._get_inference_input(batch))
        inferred["z"] = inferred["qz"].loc
        if inferred["ql"] is not None:
            inferred["library"] = inferred["ql"].loc
        return inferred, module.generative(**module._get_generative_input(batch, inferred))["px"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_decodes_as_scvi_tools_in_every_variant(annotated, folder_of, variant):
    import scvi

    setup, settings = VARIANTS[variant]
    scvi.model.SCVI.setup_anndata(annotated, **{"batch_key": "donor", **setup})
    model = scvi.model.SCVI(annotated, **{"n_hidden": 16, "n_latent": 4, "gene_likelihood": "nb", **settings})
    model.train(max_epochs=2, accelerator="cpu", enable_progress_bar=False)
    inferred, expected = by_scvi_tools(model, annotated)
    encoder = ScviEncoder.load(folder_of(model))

    np.testing.assert_allclose(encoder.embed(annotated).values, inferred["z"], atol=1e-5)
    np.testing.assert_allclose(encoder.variance(annotated), inferred["qz"].variance, rtol=1e-4)
    found = encoder.decoder.distribution(inferred["z"].numpy(), annotated)
    np.testing.assert_allclose(found.scale, expected.scale, rtol=1e-4)
    if found.likelihood == "poisson":
        np.testing.assert_allclose(found.rate, expected.rate, rtol=1e-4)
    else:
        np.testing.assert_allclose(found.rate, expected.mu, rtol=1e-4)
        np.testing.assert_allclose(found.theta, np.broadcast_to(expected.theta, found.theta.shape), rtol=1e-4)
    if found.likelihood == "zinb":
        np.testing.assert_allclose(found.zi_logits, expected.zi_logits, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("depth", "message"),
    [
        (None, "The model reads obs['depth'] (the size factor); the data have donor, age, sex."),
        (0.0, "obs['depth'] (the size factor) is 0 in some cells, expected numbers above 0."),
    ],
)
def test_refuses_cells_without_the_size_factor(annotated, folder_of, depth, message):
    import scvi

    scvi.model.SCVI.setup_anndata(annotated, size_factor_key="depth")
    model = scvi.model.SCVI(annotated, n_hidden=8, n_latent=2)
    encoder = ScviEncoder.load(folder_of(model))
    cells = annotated.copy()
    cells.obs = cells.obs[["donor", "age", "sex"]]
    if depth is not None:
        cells.obs["depth"] = depth
    with pytest.raises(InputError) as caught:
        encoder.decoder.expression(encoder.embed(cells).values, cells)
    assert str(caught.value) == message


def resaved(shared, target, change):
    """Save model A again after a change of what the file holds."""
    saved = torch.load(shared / "fixtures/scvi_tiny/model_A/model.pt", weights_only=False)
    change(saved)
    torch.save(saved, target / "model.pt")
    return target


def test_a_file_without_a_decoder_gives_an_encoder_without_one(shared, tmp_path, folder_of):
    def drop(saved):
        state = saved["model_state_dict"]
        for name in [name for name in state if name.startswith("decoder.")]:
            del state[name]

    encoder = ScviEncoder.load(resaved(shared, tmp_path, drop))
    assert encoder.decoder is None
    assert encoders.load("scvi", folder_of(encoder)).decoder is None
    assert encoder.d_embed == 10


def test_refuses_half_a_decoder(shared, tmp_path):
    def drop(saved):
        del saved["model_state_dict"]["decoder.px_scale_decoder.0.bias"]

    with pytest.raises(CheckpointError, match=r"The decoder of scVI: the array 'decoder\.px_scale_decoder"):
        ScviEncoder.load(resaved(shared, tmp_path, drop))


def test_a_decoder_that_cannot_be_rebuilt_is_left_out(shared, tmp_path, caplog):
    def alter(saved):
        kwargs = saved["attr_dict"]["init_params_"]["kwargs"]["kwargs"]
        kwargs["extra_decoder_kwargs"] = {"bias": True}

    encoder = ScviEncoder.load(resaved(shared, tmp_path, alter))
    assert encoder.decoder is None
    assert caplog.messages == [
        f"{tmp_path / 'model.pt'} was made with extra_decoder_kwargs: its decoder is left out."
    ]


@pytest.mark.parametrize("likelihood", ["nb", "zinb", "poisson"])
def test_likelihood_is_that_of_scvi_tools(likelihood):
    from scvi import distributions

    rng = np.random.default_rng(0)
    rate, theta = rng.gamma(2, 1, (6, 9)), rng.gamma(3, 1, (6, 9))
    logits, counts = rng.normal(size=(6, 9)), rng.poisson(2, (6, 9)).astype(float)
    found = CountDistribution(likelihood, rate / 10, rate, theta, logits if likelihood == "zinb" else None)
    tensors = {"mu": torch.from_numpy(rate), "theta": torch.from_numpy(theta)}
    theirs = {
        "nb": lambda: distributions.NegativeBinomial(**tensors),
        "zinb": lambda: distributions.ZeroInflatedNegativeBinomial(
            **tensors, zi_logits=torch.from_numpy(logits)
        ),
        "poisson": lambda: torch.distributions.Poisson(torch.from_numpy(rate)),
    }[likelihood]()
    expected = -theirs.log_prob(torch.from_numpy(counts)).sum(dim=1).numpy()
    np.testing.assert_allclose(found.negative_log_likelihood(counts), expected, rtol=1e-6)


def test_no_likelihood_of_counts():
    ones = np.ones((2, 3))
    with pytest.raises(InputError) as caught:
        CountDistribution("normal", ones, ones, ones, None).negative_log_likelihood(ones)
    assert str(caught.value) == ("The likelihood is 'normal', expected nb, zinb or poisson: those of counts.")


def test_the_loss_is_that_of_each_cell_and_grows_away_from_its_embedding(decoded):
    encoder, cells, latent, _ = decoded
    decoder = encoder.decoder
    assert isinstance(decoder, ScoredDecoder)
    loss = decoder.loss(latent, cells)
    assert loss.shape == (cells.n_obs,)
    one = decoder.loss(latent[3:4], cells[3])
    np.testing.assert_allclose(one, loss[3:4])
    assert decoder.loss(latent + 3, cells).mean() > loss.mean()
