import json

import anndata as ad
import numpy as np
import pytest

import conceptome as cm
from conceptome.core import Reinitialisable
from conceptome.encoders.scrambling import scrambled


def test_entries_stay_within_their_array():
    rng = np.random.default_rng(0)
    weights = {
        "b": rng.normal(size=(30, 4)).astype(np.float32),
        "a": rng.normal(size=50),
        "n_seen": np.array([3, 1, 2]),
    }
    changed = scrambled(weights, seed=5)
    for name in ("a", "b"):
        np.testing.assert_array_equal(np.sort(changed[name], axis=None), np.sort(weights[name], axis=None))
        assert changed[name].dtype == weights[name].dtype
        assert (changed[name] != weights[name]).mean() > 0.8
    np.testing.assert_array_equal(changed["n_seen"], [3, 1, 2])
    again = scrambled(dict(reversed(weights.items())), seed=5)
    np.testing.assert_array_equal(again["b"], changed["b"])
    assert (scrambled(weights, seed=6)["b"] != changed["b"]).mean() > 0.8


@pytest.mark.parametrize(
    "spec",
    [
        "linear",
        "scgpt:{fixtures}/scgpt_tiny/checkpoint",
        "geneformer:{fixtures}/geneformer_tiny/Geneformer-V2-tiny",
        "scvi:{fixtures}/scvi_tiny/model_A",
    ],
)
def test_every_encoder_forgets_what_it_learnt(shared, spec):
    fixtures = shared / "fixtures"
    if spec.startswith("scvi:"):
        cells = ad.read_h5ad(fixtures / "scvi_tiny/train.h5ad")[:40].copy()
    else:
        cells = ad.read_h5ad(shared / "data" / "pbmc3k_10x_raw.h5ad")[:40]
        vocabulary = json.loads((fixtures / "scgpt_tiny/checkpoint/vocab.json").read_text())
        expressed = np.asarray(cells.X.sum(axis=0)).ravel() * cells.var_names.isin(list(vocabulary))
        cells = cells[:, np.sort(np.argsort(-expressed)[:100])].copy()
    options = cm.encoders.LinearOptions(n_components=8) if spec == "linear" else None
    encoder = cm.encoders.from_spec(spec.format(fixtures=fixtures), cells, options=options, seed=0)
    assert isinstance(encoder, Reinitialisable)
    blank = encoder.reinitialised(seed=1)
    before, after = encoder.embed(cells).values, blank.embed(cells).values
    assert np.isfinite(after).all()
    assert after.std(axis=0).max() > 0
    assert not np.allclose(before, after, rtol=0.1)
    assert blank.encoder_id != encoder.encoder_id
    assert blank.genes.equals(encoder.genes)
    assert encoder.reinitialised(seed=1).encoder_id == blank.encoder_id
    np.testing.assert_array_equal(encoder.embed(cells).values, before)
