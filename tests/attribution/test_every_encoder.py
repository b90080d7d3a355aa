"""Attribution through every encoder: the same whatever the batch size, and when all is done anew."""

import json

import anndata as ad
import numpy as np
import pytest

import conceptome as cm

N_GENES = 150


@pytest.fixture(scope="module")
def cells(shared):
    """Real cells with symbols and Ensembl ids, and genes that the small models know."""
    adata = ad.read_h5ad(shared / "data" / "pbmc3k_10x_raw.h5ad")[:120]
    vocabulary = json.loads((shared / "fixtures/scgpt_tiny/checkpoint/vocab.json").read_text())
    known = adata.var_names.isin(list(vocabulary))
    expressed = np.asarray(adata.X.sum(axis=0)).ravel() * known
    return adata[:, np.sort(np.argsort(-expressed)[:N_GENES])].copy()


SPECS = [
    "linear",
    "scgpt:{fixtures}/scgpt_tiny/checkpoint",
    "geneformer:{fixtures}/geneformer_tiny/Geneformer-V1-tiny",
    "geneformer:{fixtures}/geneformer_tiny/Geneformer-V2-tiny",
    "scvi:{fixtures}/scvi_tiny/model_A",
]


def attribute(spec, cells, *, batch_size):
    options = cm.encoders.LinearOptions(n_components=8) if spec == "linear" else None
    encoder = cm.encoders.from_spec(spec, cells, options=options, seed=0)
    embeddings = encoder.embed(cells, batch_size=batch_size)
    dictionary = cm.dictionaries.PcaDictionary.fit(embeddings)
    activations = dictionary.encode(embeddings)
    pairs = cm.counterfactuals.match(
        activations, embeddings, dictionary=dictionary, n_pairs=4, min_pairs=2, concepts=[0, 3], seed=0
    )
    record = cm.attribution.attribute(
        cells, encoder, dictionary, pairs, n_bootstrap=50, batch_size=batch_size, seed=0
    )
    return embeddings, record


@pytest.mark.parametrize("spec", SPECS)
def test_neither_a_second_run_nor_the_batch_size_changes_a_number(shared, cells, spec):
    spec = spec.format(fixtures=shared / "fixtures")
    adata = cells
    if spec.startswith("scvi:"):
        train = ad.read_h5ad(shared / "fixtures/scvi_tiny/train.h5ad")
        adata = train[:120].copy()
    embeddings, record = attribute(spec, adata, batch_size=4096)
    assert np.isfinite(record.attribution).any(axis=1).all()
    assert np.nanmax(np.abs(record.attribution)) > 1e-3
    assert record.noise_floor < 1e-6
    for batch_size in (4096, 37):
        again = attribute(spec, adata, batch_size=batch_size)
        np.testing.assert_allclose(again[0].values, embeddings.values, atol=1e-5)
        np.testing.assert_array_equal(again[1].attribution, record.attribution)
        np.testing.assert_array_equal(again[1].q, record.q)
