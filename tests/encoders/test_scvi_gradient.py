import anndata as ad
import numpy as np
import pytest
import torch
from torch import nn

from conceptome.core import Differentiable
from conceptome.encoders import ScviEncoder


def by_torch(encoder, adata, *, start, end, fraction, cotangent):
    """The network of scvi-tools in torch float64, batch norm not folded, differentiated by torch."""
    settings = encoder.architecture
    state = {name: torch.from_numpy(array).double() for name, array in encoder._state.items()}
    columns = adata.var_names.get_indexer(encoder.genes)
    counts = torch.from_numpy(encoder.expression(adata).toarray())[:, columns]
    inputs = torch.log1p(counts) if settings.log_variational else counts
    here = torch.lerp(inputs[start], inputs[end], fraction).requires_grad_()
    codes = torch.from_numpy(settings.codes(adata.obs))[end]
    hidden = here
    for number in range(settings.n_layers):
        prefix = f"z_encoder.encoder.fc_layers.Layer {number}"
        if number == 0:
            hidden = torch.cat([hidden, codes], dim=1)
        elif settings.deeply_inject_covariates:
            hidden = torch.cat([hidden, codes[:, len(settings.continuous) :]], dim=1)
        hidden = nn.functional.linear(hidden, state[f"{prefix}.0.weight"], state[f"{prefix}.0.bias"])
        if settings.use_batch_norm in ("both", "encoder"):
            names = ("running_mean", "running_var", "weight", "bias")
            norm = [state[f"{prefix}.1.{name}"] for name in names]
            hidden = nn.functional.batch_norm(hidden, *norm, eps=1e-3)
        if settings.use_layer_norm in ("both", "encoder"):
            hidden = nn.functional.layer_norm(hidden, hidden.shape[1:])
        hidden = torch.relu(hidden)
    mean = (state[f"z_encoder.mean_encoder.{name}"] for name in ("weight", "bias"))
    z = nn.functional.linear(hidden, *mean)
    (z @ torch.from_numpy(cotangent)).sum().backward()
    moved = np.zeros((len(start), adata.n_vars))
    moved[:, columns] = here.grad * (inputs[end] - inputs[start]).numpy()
    return z.detach().numpy(), moved


def check(encoder, adata, *, n_rows):
    assert isinstance(encoder, Differentiable)
    rng = np.random.default_rng(0)
    start, end = rng.integers(adata.n_obs, size=(2, n_rows))
    cotangent, fractions = rng.normal(size=encoder.d_embed), [0.0, 0.35, 1.0]
    steps = list(encoder.along(adata, start=start, end=end, fractions=fractions, cotangent=cotangent))
    for fraction, (embedding, moved) in zip(fractions, steps, strict=True):
        expected = by_torch(encoder, adata, start=start, end=end, fraction=fraction, cotangent=cotangent)
        np.testing.assert_allclose(embedding, expected[0], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(moved, expected[1], rtol=1e-9, atol=1e-9)
    assert np.abs(steps[1][1]).max() > 1e-3
    np.testing.assert_allclose(steps[2][0], encoder.embed(adata).values[end], rtol=1e-5, atol=1e-5)


def test_gradients_of_every_variant_equal_automatic_differentiation(scvi, cells):
    check(scvi, cells, n_rows=20)


@pytest.mark.parametrize("model", ["A", "B", "C"])
def test_gradients_of_published_formats_equal_automatic_differentiation(shared, model):
    folder = shared / "fixtures" / "scvi_tiny"
    check(ScviEncoder.load(folder / f"model_{model}"), ad.read_h5ad(folder / "train.h5ad")[:40], n_rows=12)


def test_gradients_equal_finite_differences(scvi, cells):
    rng = np.random.default_rng(1)
    start, end = rng.integers(cells.n_obs, size=(2, 30))
    cotangent, step = rng.normal(size=scvi.d_embed), 1e-7
    way = {"start": start, "end": end, "cotangent": cotangent}
    below, (_, moved), above = scvi.along(cells, fractions=[0.4 - step, 0.4, 0.4 + step], **way)
    slope = (above[0] - below[0]) @ cotangent / (2 * step)
    np.testing.assert_allclose(moved.sum(axis=1), slope, rtol=1e-5, atol=1e-5)


def test_a_row_does_not_depend_on_its_company(scvi, cells):
    start, end = np.random.default_rng(2).integers(cells.n_obs, size=(2, 130))
    way = {"fractions": [0.5], "cotangent": np.ones(scvi.d_embed)}
    ((embedding, moved),) = scvi.along(cells, start=start, end=end, **way)
    ((alone, moved_alone),) = scvi.along(cells, start=start[77:80], end=end[77:80], **way)
    np.testing.assert_array_equal(alone, embedding[77:80])
    np.testing.assert_array_equal(moved_alone, moved[77:80])
