"""Attribution through every encoder: the same whatever the batch size, and when all is done anew."""

import json

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

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


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("seed", [1, 2])
def test_effects_are_what_plain_encoding_of_edited_cells_gives(shared, cells, spec, seed):
    """Random cells, gene orders and batch sizes; each edited cell is built and encoded as any other."""
    spec = spec.format(fixtures=shared / "fixtures")
    if spec.startswith("scvi:"):
        cells = ad.read_h5ad(shared / "fixtures/scvi_tiny/train.h5ad")
    rng = np.random.default_rng(seed)
    rows = rng.choice(cells.n_obs, 40, replace=False)
    adata = cells[rows][:, rng.permutation(cells.n_vars)].copy()
    options = cm.encoders.LinearOptions(n_components=8) if spec == "linear" else None
    encoder = cm.encoders.from_spec(spec, adata, options=options, seed=0)
    embeddings = encoder.embed(adata)
    dictionary = cm.dictionaries.NeuronDictionary.fit(embeddings)
    activations = dictionary.encode(embeddings)
    pairs = cm.counterfactuals.match(
        activations, embeddings, dictionary=dictionary, n_pairs=2, min_pairs=2, seed=seed
    )
    concept = int(rng.choice(pairs.concept))
    parts = (adata, encoder, dictionary, pairs)
    found = cm.attribution.effects(*parts, concept=concept, batch_size=int(rng.integers(1, 700)))

    pair, gene = np.nonzero(found.differs)
    some = np.sort(rng.permutation(len(pair))[:40])
    pair, gene = pair[some], gene[some]
    own = pairs.of(concept)
    edited = adata[own.factual[pair]].copy()
    edited.obs_names = adata.obs_names[own.factual[pair]] + "-" + np.arange(len(pair)).astype(str)
    counts = edited.X.toarray() if sp.issparse(edited.X) else np.array(edited.X)
    lender = adata[own.counterfactual[pair]].X
    lender = lender.toarray() if sp.issparse(lender) else lender
    counts[np.arange(len(pair)), gene] = lender[np.arange(len(pair)), gene]
    edited.X = counts
    pre, act = (
        [f(dictionary.preactivations(z)) for z in (encoder.embed(each).values.astype(float) for each in both)]
        for f, both in (
            (lambda p: p[:, concept], (adata[own.factual[pair]], edited)),
            (lambda p: dictionary.activate_one(p, concept), (adata[own.factual[pair]], edited)),
        )
    )
    tolerance = (1e-5 if spec.startswith(("scvi", "linear")) else 1e-4) * np.abs(pre).max()
    np.testing.assert_allclose(found.pre[pair, gene], pre[0] - pre[1], atol=tolerance, rtol=0)
    np.testing.assert_allclose(found.act[pair, gene], act[0] - act[1], atol=tolerance, rtol=0)
    assert np.abs(found.pre[pair, gene]).max() > 10 * tolerance
