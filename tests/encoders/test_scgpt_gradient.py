import anndata as ad
import numpy as np
import pytest
import torch

from conceptome.core import Differentiable
from conceptome.encoders import ScgptEncoder, ScgptOptions, sequences

KEY = "feature_name"


@pytest.fixture(scope="module")
def cells(shared):
    return ad.read_h5ad(shared / "fixtures" / "scgpt_tiny" / "input.h5ad")[:, :120].copy()


@pytest.fixture(scope="module", params=["cls", "average", "weighted"])
def encoder(shared, request):
    options = ScgptOptions(gene_key=KEY, pooling=request.param)
    return ScgptEncoder.load(shared / "fixtures" / "scgpt_tiny" / "checkpoint", options=options)


def way_of(encoder, adata, **settings):
    rng = np.random.default_rng(0)
    start, end = rng.integers(adata.n_obs, size=(2, 5))
    return {"start": start, "end": end, "cotangent": rng.normal(size=encoder.d_embed), **settings}


def by_torch(encoder, adata, *, start, end, fraction, cotangent):
    """Embedding and gradient times change of one pair, over a dense row of bins, without padding."""
    columns, tokens = encoder._columns(adata)
    values = encoder.expression(adata)[:, columns]
    first, last = (
        torch.from_numpy(encoder._tokeniser.binned(values, tokens, adata.obs_names).toarray()[cell]).float()
        for cell in (start, end)
    )
    kept = torch.nonzero((first > 0) | (last > 0)).ravel()
    here = torch.lerp(first, last, fraction)[kept].requires_grad_()
    cls = torch.tensor([float(encoder.model.pad_value)])
    token = torch.cat([torch.tensor([encoder._tokeniser.cls_token]), torch.from_numpy(tokens)[kept]])
    pooled = encoder._network.pool(
        token[None],
        torch.cat([cls, here])[None],
        torch.ones(1, len(token), dtype=torch.bool),
        layer=encoder._layer,
        pooling=encoder.options.pooling,
    )
    z = pooled / pooled.norm()
    (z @ torch.from_numpy(cotangent).float()).sum().backward()
    moved = np.zeros(adata.n_vars)
    moved[columns[kept]] = here.grad.numpy() * (last - first)[kept].numpy()
    return z.detach().numpy()[0], moved


def test_gradients_equal_automatic_differentiation(encoder, cells):
    assert isinstance(encoder, Differentiable)
    way, fractions = way_of(encoder, cells), [0.0, 0.4, 1.0]
    for fraction, (embedding, moved) in zip(
        fractions, encoder.along(cells, fractions=fractions, **way), strict=True
    ):
        for row in range(len(way["start"])):
            own = {name: way[name][row] for name in ("start", "end")}
            z, expected = by_torch(encoder, cells, **own, fraction=fraction, cotangent=way["cotangent"])
            np.testing.assert_allclose(embedding[row], z, atol=2e-6)
            np.testing.assert_allclose(moved[row], expected, atol=2e-4 * np.abs(expected).max())
            assert np.abs(expected).max() > 1e-4 or own["start"] == own["end"]


def test_gradients_average_to_the_change_over_a_stretch_of_the_way(encoder, cells):
    """Not from end to end: the values' network bends too sharply below the first bin for a few steps."""
    n, first, last = 12, 0.2, 0.8
    midpoints = first + (last - first) * (np.arange(n) + 0.5) / n
    way = way_of(encoder, cells)
    steps = list(encoder.along(cells, fractions=[first, *midpoints.tolist(), last], **way))
    change = (steps[-1][0] - steps[0][0]) @ way["cotangent"]
    total = (last - first) * np.mean([moved.sum(axis=1) for _, moved in steps[1:-1]], axis=0)
    np.testing.assert_allclose(total, change, atol=0.02 * np.abs(change).max())
    assert np.abs(change).max() > 0.01


def test_the_way_from_a_cell_to_itself_stays_there(encoder, cells):
    own = np.arange(4)
    way = {"start": own, "end": own, "cotangent": np.ones(encoder.d_embed), "fractions": [0.5]}
    ((embedding, moved),) = encoder.along(cells, **way)
    np.testing.assert_allclose(embedding, encoder.embed(cells[:4]).values, atol=2e-6)
    assert not moved.any()


def test_padding_and_company_change_nothing(encoder, cells, monkeypatch):
    way = way_of(encoder, cells, fractions=[0.5])
    ((embedding, moved),) = encoder.along(cells, **way)
    monkeypatch.setattr(sequences, "LENGTH_STEP", 96)
    monkeypatch.setitem(sequences.GRADIENT_BLOCK_TOKENS, "cpu", 600)
    ((again, moved_again),) = encoder.along(cells, **way)
    np.testing.assert_allclose(again, embedding, atol=2e-6)
    np.testing.assert_allclose(moved_again, moved, atol=2e-4 * np.abs(moved).max())


def test_a_row_does_not_depend_on_its_company(encoder, cells):
    way = way_of(encoder, cells, fractions=[0.5])
    ((embedding, moved),) = encoder.along(cells, **way)
    ((alone, moved_alone),) = encoder.along(
        cells, **way | {"start": way["start"][2:3], "end": way["end"][2:3]}
    )
    np.testing.assert_array_equal(alone[0], embedding[2])
    np.testing.assert_array_equal(moved_alone[0], moved[2])
