"""Parity with what the original Geneformer says of real cells."""

import numpy as np
import pytest

from conceptome.core import Edits
from conceptome.encoders import GeneformerEncoder, GeneformerOptions

LAYERS = {"layer-1": -2, "layer0": -1}
POOLINGS = {"cell": "mean", "cls": "cls"}
EMBEDDINGS = [
    (version, f"emb_{pooling}_{layer}")
    for version, poolings in ((1, ["cell"]), (2, ["cell", "cls"]))
    for pooling in poolings
    for layer in LAYERS
]
DELETIONS = [(1, "cell"), (2, "cell"), (2, "cls")]


@pytest.fixture(scope="module")
def references(shared):
    folder = shared / "fixtures" / "geneformer_tiny"
    return {version: np.load(folder / f"expected_v{version}.npz") for version in (1, 2)}


def with_options(encoder, **options):
    return GeneformerEncoder(encoder.model, options=GeneformerOptions(**options))


@pytest.mark.parametrize("version", [1, 2])
def test_tokens(geneformers, references, geneformer_cells, version):
    expected = references[version]
    sequences = geneformers[version].tokenise(geneformer_cells)
    np.testing.assert_array_equal(sequences.lengths, expected["length"])
    width = expected["input_ids"].shape[1]
    tokens, _ = sequences.padded(np.arange(geneformer_cells.n_obs), width, pad_token=0, pad_value=0.0)
    np.testing.assert_array_equal(tokens, expected["input_ids"])
    np.testing.assert_array_equal(geneformer_cells.obs["cell_id"], expected["cell_id"])


@pytest.mark.parametrize(("version", "array"), EMBEDDINGS)
def test_embedding(geneformers, references, geneformer_cells, version, array):
    _, pooling, layer = array.split("_")
    encoder = with_options(geneformers[version], pooling=POOLINGS[pooling], layer=LAYERS[layer])
    embeddings = encoder.embed(geneformer_cells)
    np.testing.assert_allclose(embeddings.values, references[version][array], atol=1e-5, rtol=0)
    assert embeddings.values.dtype == np.float32
    assert list(embeddings.cell_ids) == list(geneformer_cells.obs_names)


@pytest.mark.parametrize(("version", "pooling"), DELETIONS)
def test_deletion(geneformers, references, geneformer_cells, version, pooling):
    expected = references[version]
    encoder = with_options(geneformers[version], pooling=POOLINGS[pooling], edit="delete")
    columns = [
        geneformer_cells.var["gene_symbol"].tolist().index(symbol) for symbol in expected["ko_symbols"]
    ]
    n_edits = len(columns) * geneformer_cells.n_obs
    rows = np.tile(np.arange(geneformer_cells.n_obs), len(columns))
    edits = Edits.single(rows, np.repeat(columns, geneformer_cells.n_obs), np.zeros(n_edits))
    found = encoder.embed_edits(geneformer_cells, edits).reshape(len(columns), geneformer_cells.n_obs, -1)
    reference = expected[f"ko_delete_emb_{pooling}_layer-1"]
    np.testing.assert_allclose(found, reference, atol=1e-5, rtol=0)
    tokens = encoder.model.vocabulary.tokens
    ids = [tokens[geneformer_cells.var["ensembl_id"].iloc[column]] for column in columns]
    np.testing.assert_array_equal(ids, expected["ko_tokens"])


@pytest.mark.parametrize("version", [1, 2])
def test_hidden_states(geneformers, references, geneformer_cells, version):
    expected = references[version]
    found = geneformers[version].states(geneformer_cells[expected["hidden_cells"]]).hidden()
    real = expected["hidden_mask"]
    np.testing.assert_allclose(found[:, real], expected["hidden_states"][:, real], atol=1e-5, rtol=0)
    assert np.isnan(found[:, ~real]).all()


@pytest.mark.parametrize("version", [1, 2])
def test_token_head(geneformers, references, geneformer_cells, version):
    expected = references[version]
    states = geneformers[version].states(geneformer_cells[expected["hidden_cells"]])
    logits = states.mlm_logits(expected["logit_positions"])[:, :, expected["logit_tokens"]]
    np.testing.assert_allclose(logits, expected["mlm_logits"], atol=2e-5, rtol=0)
    assert np.isnan(states.mlm_logits(np.array([2047]))).all()


@pytest.mark.parametrize("version", [1, 2])
def test_embeddings_of_genes(geneformers, references, geneformer_cells, version):
    expected = references[version]
    found = geneformers[version].states(geneformer_cells).gene_embeddings().loc[expected["gene_emb_ids"]]
    reference = expected["gene_emb_layer-1_mean_over_cells"]
    np.testing.assert_allclose(found, reference, atol=1e-5, rtol=0)


def test_the_defaults_are_the_published_ones():
    assert GeneformerOptions().layer == LAYERS["layer-1"]
    assert GeneformerOptions().pooling == "auto"
