import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from conceptome.core import Differentiable, InputError
from conceptome.encoders import LinearEncoder, LinearOptions

OPTIONS = {
    "log1p CP10k": {},
    "CP10k": {"log1p": False},
    "log1p": {"target_sum": None},
    "bare": {"target_sum": None, "log1p": False},
    "normalised values": {"edit": "normalised"},
}
D_EMBED = 5


@pytest.fixture(params=OPTIONS)
def encoder(request, cells):
    """An encoder that knows all genes but two, and one that the data lack."""
    rng = np.random.default_rng(0)
    genes = pd.Index(["absent", *cells.var_names[::-1][:-2]])
    weights, bias = rng.normal(size=(D_EMBED, len(genes))), rng.normal(size=D_EMBED)
    return LinearEncoder(weights, bias, genes, options=LinearOptions(**OPTIONS[request.param]))


def by_torch(encoder, adata, *, start, end, fraction, cotangent):
    """Embedding and gradient times difference, by automatic differentiation of the formula."""
    columns = adata.var_names.get_indexer(encoder.genes[1:])
    values = torch.from_numpy(encoder.expression(adata).toarray())
    before, after = values[start], values[end]
    here = torch.lerp(before, after, fraction).requires_grad_()
    y, options = here[:, columns], encoder.options
    if options.edit == "values":
        if options.target_sum is not None:
            y = y * options.target_sum / y.sum(dim=1, keepdim=True)
        y = torch.log1p(y) if options.log1p else y
    z = y @ torch.from_numpy(encoder.weights[:, 1:].copy()).T + torch.from_numpy(encoder.bias)
    (z @ torch.from_numpy(cotangent)).sum().backward()
    return z.detach().numpy(), (here.grad * (after - before)).numpy()


def test_gradients_equal_automatic_differentiation(cells, encoder):
    assert isinstance(encoder, Differentiable)
    start, end, cotangent = np.array([0, 3, 3, 9]), np.array([5, 5, 8, 9]), np.linspace(-1, 2, D_EMBED)
    fractions = [0.0, 0.3, 1.0]
    steps = list(encoder.along(cells, start=start, end=end, fractions=fractions, cotangent=cotangent))
    for fraction, (embedding, moved) in zip(fractions, steps, strict=True):
        expected = by_torch(encoder, cells, start=start, end=end, fraction=fraction, cotangent=cotangent)
        np.testing.assert_allclose(embedding, expected[0], rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(moved, expected[1], rtol=1e-10, atol=1e-10)
    assert np.abs(steps[1][1][:3]).max() > 1e-3
    assert (steps[1][1][3] == 0).all(), "a cell does not differ from itself"
    assert not steps[1][1][:, :2].any(), "genes that are not known have no gradient"
    np.testing.assert_allclose(steps[2][0], encoder.embed(cells).values[end], rtol=1e-5, atol=1e-4)


def test_gradients_equal_finite_differences(cells, encoder):
    way = {"start": np.array([1, 2]), "end": np.array([4, 7]), "cotangent": np.arange(1.0, D_EMBED + 1)}
    step = 1e-6
    below, (_, moved), above = encoder.along(cells, fractions=[0.4 - step, 0.4, 0.4 + step], **way)
    slope = (above[0] - below[0]) @ way["cotangent"] / (2 * step)
    np.testing.assert_allclose(moved.sum(axis=1), slope, rtol=1e-6)


def test_a_cell_without_counts_cannot_be_an_end(cells):
    empty = AnnData(
        cells.X.toarray() * np.arange(1, -1, -1)[np.minimum(np.arange(60), 1)][:, None], cells.obs
    )
    empty.var_names = cells.var_names
    encoder = LinearEncoder(np.ones((1, empty.n_vars)), np.zeros(1), empty.var_names)
    way = encoder.along(empty, start=np.array([0]), end=np.array([1]), fractions=[1.0], cotangent=np.ones(1))
    with pytest.raises(InputError, match="1 cells have no counts in the genes of the encoder: cell1"):
        next(way)
