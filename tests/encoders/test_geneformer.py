"""The promises that every encoder makes, kept by Geneformer."""

import numpy as np
import pytest
import torch

from conceptome import testing
from conceptome.core import Edits, Encoder, InputError, MissingExtraError
from conceptome.encoders import GeneformerEncoder, GeneformerOptions, load, reencode_edits


@pytest.fixture(scope="module")
def few(geneformer_cells):
    """Six cells, two of them longer than the input of V2."""
    return geneformer_cells[[0, 3, 7, 17, 18, 19]].copy()


@pytest.fixture(scope="module")
def small(geneformers, few):
    """The same cells with fewer genes, so that they are short."""
    return few[:, np.flatnonzero(geneformers[2].known(few))[:150]].copy()


def with_options(encoder, **options):
    return GeneformerEncoder(encoder.model, options=GeneformerOptions(**options))


def mixed_edits(encoder, adata, n_edits=60, seed=0):
    """Edits of zero to three known genes: removed, added, changed, or set to the value they have."""
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(encoder.known(adata))
    lengths = rng.integers(0, 4, n_edits)
    cells = rng.integers(0, adata.n_obs, n_edits)
    genes = np.concatenate([rng.choice(known, n, replace=False) for n in lengths]).astype(np.int64)
    current = adata.X.toarray()[np.repeat(cells, lengths), genes].astype(np.float64)
    values = np.select(
        [rng.random(len(genes)) < 0.3, rng.random(len(genes)) < 0.3],
        [np.zeros(len(genes)), current],
        rng.poisson(3.0, len(genes)) + 1.0,
    )
    return Edits(cells, np.concatenate([[0], np.cumsum(lengths)]), genes, values)


def test_keeps_the_contract(geneformers, small):
    assert isinstance(geneformers[2], Encoder)
    testing.check_encoder(geneformers[2], small)
    testing.check_encoder(with_options(geneformers[2], layer=-1), small)


@pytest.mark.parametrize("version", [1, 2])
def test_edits_equal_cells_built_one_by_one(geneformers, few, version):
    encoder = geneformers[version]
    edits = mixed_edits(encoder, few, n_edits=30)
    np.testing.assert_array_equal(encoder.embed_edits(few, edits), reencode_edits(encoder, few, edits))


def test_batch_size_and_company_change_no_bit(geneformers, small):
    encoder = geneformers[2]
    embedded = encoder.embed(small).values
    edits = mixed_edits(encoder, small, 700)
    edited = encoder.embed_edits(small, edits)
    np.testing.assert_array_equal(encoder.embed(small, batch_size=1).values, embedded)
    np.testing.assert_array_equal(encoder.embed_edits(small, edits, batch_size=1), edited)
    np.testing.assert_array_equal(encoder.embed(small[[4]]).values, embedded[[4]])
    np.testing.assert_array_equal(encoder.embed(small[::-1]).values, embedded[::-1])


def test_an_edit_that_changes_nothing_gives_the_very_same_bits(geneformers, few):
    rows = np.arange(few.n_obs)
    columns = few.X.toarray().argmax(axis=1)
    own = Edits.single(rows, columns, few.X.toarray()[rows, columns].astype(np.float64))
    for encoder in (geneformers[2], with_options(geneformers[2], edit="delete")):
        embedded = encoder.embed(few).values
        np.testing.assert_array_equal(encoder.embed_edits(few, Edits.noop(few.n_obs)), embedded)
        np.testing.assert_array_equal(encoder.embed_edits(few, own), embedded)


def test_genes_may_come_in_any_order(geneformers, few):
    shuffled = few[:, np.random.default_rng(0).permutation(few.n_vars)]
    embedded = geneformers[2].embed(few).values
    np.testing.assert_array_equal(geneformers[2].embed(shuffled).values, embedded)


def test_half_precision_is_for_whole_cells_only(geneformers, small):
    single, half = geneformers[2], with_options(geneformers[2], precision="bfloat16")
    difference = np.abs(half.embed(small).values - single.embed(small).values).max()
    assert 1e-4 < difference < 0.1
    edits = mixed_edits(single, small, 20)
    np.testing.assert_array_equal(half.embed_edits(small, edits), single.embed_edits(small, edits))


def test_the_published_pooling_is_the_default(geneformers, small):
    first, mean = (
        with_options(geneformers[2], pooling=pooling).embed(small).values for pooling in ("cls", "mean")
    )
    np.testing.assert_array_equal(geneformers[2].embed(small).values, first)
    assert np.abs(first - mean).max() > 0.1
    found = with_options(geneformers[1], pooling="mean").embed(small).values
    np.testing.assert_array_equal(geneformers[1].embed(small).values, found)


def test_any_layer(geneformers, small):
    hidden = geneformers[2].states(small).hidden()
    for layer in range(1, hidden.shape[0]):
        found = with_options(geneformers[2], layer=layer).embed(small).values
        np.testing.assert_allclose(found, hidden[layer, :, 0], atol=1e-5)
        below = with_options(geneformers[2], layer=layer - hidden.shape[0]).embed(small).values
        np.testing.assert_array_equal(below, found)


def test_refuses_a_layer_that_is_not_there(geneformers):
    with pytest.raises(InputError) as caught:
        with_options(geneformers[2], layer=5)
    assert str(caught.value) == (
        "layer is 5, but the model has 4 layers: expected 0 (input of the first) to 4 (output of the last), "
        "or -1 to -5 from the end."
    )


def test_refuses_a_state_that_is_the_same_for_every_cell(geneformers, small):
    assert np.ptp(geneformers[2].states(small).hidden()[0, :, 0], axis=0).max() == 0.0
    with pytest.raises(InputError) as caught:
        with_options(geneformers[2], layer=-5)
    assert str(caught.value) == (
        "layer is -5, but the input of the first layer is the same at <cls> for every cell. Take a higher "
        "layer, or another pooling."
    )
    assert np.ptp(with_options(geneformers[2], layer=0, pooling="mean").embed(small).values, axis=0).min() > 0


def test_refuses_a_first_token_that_is_not_there(geneformers):
    with pytest.raises(InputError) as caught:
        with_options(geneformers[1], pooling="cls")
    assert str(caught.value) == "This Geneformer (V1) has no <cls> token. Take pooling='mean'."


def test_the_decoder_is_the_token_head(geneformers, small):
    encoder = with_options(geneformers[2], layer=-1)
    decoded = encoder.decoder.expression(encoder.embed(small).values, small)
    logits = encoder.states(small).mlm_logits(np.array([0]))[:, 0]
    np.testing.assert_allclose(decoded, logits[:, encoder.model.vocabulary.gene_tokens], atol=2e-5)
    assert encoder.decoder.genes.equals(encoder.genes)
    with pytest.raises(InputError, match="one row for each of the cells that are passed with it"):
        encoder.decoder.expression(encoder.embed(small).values[1:], small)
    assert geneformers[2].decoder is None
    assert with_options(geneformers[2], layer=-1, pooling="mean").decoder is None
    assert with_options(geneformers[1], layer=-1).decoder is None


@pytest.mark.parametrize("version", [1, 2])
def test_saved_and_loaded_is_the_same(geneformers, small, folder_of, version):
    options = GeneformerOptions(pooling="mean", layer=1, edit="delete")
    encoder = GeneformerEncoder(geneformers[version].model, options=options)
    folder = folder_of(encoder)
    again = load("geneformer", folder)
    assert (again.encoder_id, again.options) == (encoder.encoder_id, options)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "weights.safetensors"]
    np.testing.assert_array_equal(again.embed(small).values, encoder.embed(small).values)
    other = load("geneformer", folder, options=GeneformerOptions())
    assert other.encoder_id == geneformers[version].encoder_id


def test_the_identity_is_that_of_the_embedding(geneformers):
    one = geneformers[2]
    assert with_options(one, pooling="cls", edit="delete", gene_key="x").encoder_id == one.encoder_id
    others = [{"pooling": "mean"}, {"layer": -1}, {"precision": "bfloat16"}]
    assert len({one.encoder_id, *(with_options(one, **options).encoder_id for options in others)}) == 4


def test_refuses_cells_without_genes(geneformers, few):
    empty = few.copy()
    counts = few.X.toarray()
    counts[[1, 4]] = 0
    empty.X = counts
    with pytest.raises(InputError) as caught:
        geneformers[1].embed(empty)
    assert str(caught.value) == (
        f"2 cells express no gene known to Geneformer: {few.obs_names[1]}, {few.obs_names[4]}. "
        "Leave them out."
    )


@pytest.fixture
def with_one_gene(geneformers, few):
    """The first cell of `few` with a single gene, and the edit that removes it."""
    cells = few[[0]].copy()
    column = np.flatnonzero(geneformers[1].known(cells) & geneformers[2].known(cells))[0]
    counts = np.zeros(cells.shape, dtype=np.float32)
    counts[0, column] = 3.0
    cells.X = counts
    return cells, Edits.single(np.array([0]), np.array([column]), np.array([0.0]))


def test_refuses_an_edit_that_leaves_nothing(geneformers, with_one_gene):
    cells, removal = with_one_gene
    with pytest.raises(InputError) as caught:
        geneformers[1].embed_edits(cells, removal)
    assert str(caught.value) == (
        f"Edits leave no gene known to Geneformer in the cells {cells.obs_names[0]}, and an empty sequence "
        "has no embedding. Leave these cells out."
    )


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_what_is_left_without_genes_is_the_first_token(geneformers, with_one_gene, pooling):
    encoder = with_options(geneformers[2], pooling=pooling)
    found = encoder.embed_edits(*with_one_gene)
    special = torch.tensor([encoder.model.vocabulary.special])
    *_, before_last, _ = encoder._network.states(special, torch.ones_like(special, dtype=torch.bool))
    np.testing.assert_allclose(found, before_last[:, 0], atol=1e-5)


def test_refuses_negative_counts(geneformers, few):
    column = np.flatnonzero(geneformers[2].known(few))[0]
    edit = Edits.single(np.array([1]), np.array([column]), np.array([-2.0]))
    with pytest.raises(InputError, match=r"Edits set negative counts \(lowest -2\)"):
        geneformers[2].embed_edits(few, edit)


def test_says_how_to_install_transformers(shared, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'conceptome\[geneformer\]'"):
        GeneformerEncoder.load(shared / "fixtures" / "geneformer_tiny" / "Geneformer-V2-tiny")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device here")
@pytest.mark.parametrize("version", [1, 2])
def test_cuda_agrees_with_cpu(geneformers, few, version):
    encoder = geneformers[version]
    edits = mixed_edits(encoder, few)
    expected, edited = encoder.embed(few).values, encoder.embed_edits(few, edits)
    np.testing.assert_allclose(encoder.embed(few, device="cuda").values, expected, atol=1e-5)
    np.testing.assert_allclose(encoder.embed_edits(few, edits, device="cuda"), edited, atol=1e-5)


def test_a_device_that_is_not_there(geneformers, small, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="PyTorch finds no CUDA device here"):
        geneformers[2].embed(small, device="cuda")
    with pytest.raises(InputError, match="PyTorch finds no CUDA device here"):
        geneformers[2].embed_edits(small, Edits.noop(1), device="cuda")
