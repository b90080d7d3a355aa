from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

import conceptome as cm
from conceptome.attribution.edit_effects import open_probe
from conceptome.attribution.memory import Memory
from conceptome.attribution.response import Cells, Responder
from conceptome.core import Edits
from conceptome.dictionaries import (
    BatchTopKDictionary,
    KMeansDictionary,
    NeuronDictionary,
    TopKDictionary,
    Weights,
)

N_CELLS, N_GENES = 60, 40


@pytest.fixture(scope="module")
def shallow(shared):
    """A trained scVI of one hidden layer, and cells that it reads."""
    encoder = cm.encoders.load("scvi", shared / "fixtures" / "scvi_tiny" / "model_A")
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(0.5, 2.0, size=(N_CELLS, len(encoder.genes)))).astype(np.float64)
    counts[:, 0] += 1
    cells = AnnData(
        counts,
        pd.DataFrame(index=[f"cell{i}" for i in range(N_CELLS)]),
        pd.DataFrame(index=encoder.genes),
    )
    return encoder, cells


def dictionary_of(encoder, cells, make, seed):
    rng = np.random.default_rng(seed)
    z = encoder.embed(cells).values.astype(np.float64)
    directions = rng.normal(size=(24, encoder.d_embed))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    b_enc, b_dec = rng.normal(size=24) / 3, rng.normal(size=encoder.d_embed) / 3
    return make(Weights(directions, b_enc, directions, b_dec, z.mean(axis=0)), 1 / z.std())


FAMILIES = {
    "topk": lambda weights, scale: TopKDictionary(weights, 3, scale=scale),
    "topk of all": lambda weights, scale: TopKDictionary(weights, 24, scale=scale),
    "topk of one": lambda weights, scale: TopKDictionary(weights, 1, scale=scale),
    "batch_topk": lambda weights, scale: BatchTopKDictionary(weights, 0.4, scale=scale),
    "relu": lambda weights, scale: NeuronDictionary(weights, scale=scale),
}


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_the_hidden_layer_gives_what_encoding_gives(shallow, family, seed):
    encoder, cells = shallow
    dictionary = dictionary_of(encoder, cells, FAMILIES[family], seed)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(N_CELLS, 20, replace=False))
    lengths = rng.integers(0, 6, size=200)
    genes = [rng.choice(cells.n_vars, size=n, replace=False) for n in lengths]
    edits = Edits(
        rng.integers(20, size=200),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate(genes),
        rng.poisson(3.0, size=lengths.sum()).astype(float),
    )
    view = Cells.of(cells, encoder, rows)
    fast = Responder(encoder, dictionary, 64, "cpu")
    plain = replace(fast, short_cuts=False)
    for concept in rng.choice(24, 4, replace=False).tolist():
        one, other = fast.respond(view, edits, concept), plain.respond(view, edits, concept)
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", ["topk", "topk of all", "topk of one"])
def test_nothing_depends_on_how_many_rivals_are_listed(shallow, family, monkeypatch):
    encoder, cells = shallow
    responder = Responder(encoder, dictionary_of(encoder, cells, FAMILIES[family], 0), 64, "cpu")
    view, rng = Cells.of(cells, encoder, np.arange(N_CELLS)), np.random.default_rng(0)
    edits = Edits.single(rng.integers(N_CELLS, size=900), rng.integers(N_GENES, size=900), np.full(900, 9.0))
    expected = [responder.respond(view, edits, concept) for concept in range(24)]
    for listed in (1, 3, 100):
        monkeypatch.setattr("conceptome.attribution.response.LISTED_RIVALS", listed)
        found = [responder.respond(view, edits, concept) for concept in range(24)]
        np.testing.assert_array_equal(found, expected)


def test_equal_rivals_are_decided_by_index(shallow):
    """Two concepts with one direction tie exactly; the lower index is kept."""
    encoder, cells = shallow
    z = encoder.embed(cells).values.astype(np.float64)
    rng = np.random.default_rng(1)
    directions = np.repeat(rng.normal(size=(6, encoder.d_embed)), 2, axis=0)
    weights = Weights(directions, np.zeros(12), directions, np.zeros(encoder.d_embed), z.mean(axis=0))
    dictionary = TopKDictionary(weights, 1)
    view = Cells.of(cells, encoder, np.arange(N_CELLS))
    responder = Responder(encoder, dictionary, 64, "cpu")
    responses = [responder.respond(view, Edits.noop(N_CELLS), concept)[:, 0] for concept in range(12)]
    assert (np.array(responses[0::2]).sum(axis=0) > 0).any()
    assert not np.array(responses[1::2]).any()


def test_rivals_that_tie_after_an_edit_are_decided_by_index(shallow):
    """Twins move together, so that rounding must not part them, however far an edit moves both."""
    encoder, cells = shallow
    z = encoder.embed(cells).values.astype(np.float64)
    rng = np.random.default_rng(2)
    directions = np.repeat(rng.normal(size=(6, encoder.d_embed)), 2, axis=0)
    weights = Weights(directions, np.zeros(12), directions, np.zeros(encoder.d_embed), z.mean(axis=0))
    view = Cells.of(cells, encoder, np.arange(N_CELLS))
    edits = Edits.single(rng.integers(N_CELLS, size=500), rng.integers(N_GENES, size=500), np.full(500, 50.0))
    responder = Responder(encoder, TopKDictionary(weights, 1), 64, "cpu")
    lower, upper = (
        [responder.respond(view, edits, concept)[:, 0] for concept in range(start, 12, 2)] for start in (0, 1)
    )
    assert ((np.array(lower) > 0).sum(axis=0) == (np.array(lower).max(axis=0) > 0)).all()
    assert not np.array(upper).any()


def test_cells_that_are_held_are_those_that_are_read_anew(world, monkeypatch):
    """Where the cells of all pairs are too many to hold, each concept reads its own; no bit changes."""
    parts = (world.adata, world.encoder, world.dictionary, world.pairs)
    expected = cm.attribution.attribute(*parts, seed=3)
    monkeypatch.setattr("conceptome.attribution.response.HELD_CELLS", 5)
    found = cm.attribution.attribute(*parts, seed=3)
    np.testing.assert_array_equal(found.attribution, expected.attribution)
    np.testing.assert_array_equal(found.q, expected.q)


def test_families_that_share_what_they_explain_take_the_plain_way(shallow):
    encoder, cells = shallow
    dictionary = KMeansDictionary.fit(encoder.embed(cells).values, n_clusters=5, seed=0)
    assert dictionary.concept_rule(0) is None


def test_an_encoder_of_several_layers_takes_the_plain_way():
    options = cm.encoders.ScviOptions(n_latent=4, n_hidden=8, n_layers=2, max_epochs=1)
    adata = cm.data.demo()[:80].copy()
    assert cm.encoders.fit("scvi", adata, seed=0, options=options).hidden_layer(adata) is None


def test_effects_are_the_same_on_real_cells(shared):
    """The acceptance bar is 1e-5 relative; in double precision the two ways agree to rounding."""
    adata = cm.data.demo()
    options = cm.encoders.ScviOptions(n_latent=6, n_hidden=16, max_epochs=2)
    encoder = cm.encoders.fit("scvi", adata, seed=0, options=options)
    embeddings = encoder.embed(adata)
    dictionary = cm.dictionaries.train(
        embeddings, cm.dictionaries.TopK(n_concepts=24, k=3, max_epochs=5), seed=0
    )
    activations = dictionary.encode(embeddings)
    pairs = cm.counterfactuals.match(activations, embeddings, dictionary=dictionary, n_pairs=10, seed=0)
    probe = open_probe(adata, encoder, dictionary, pairs)
    plain = replace(probe, responder=replace(probe.responder, short_cuts=False))
    for concept in np.unique(pairs.concept)[:5].tolist():
        own = [pairs.take(pairs.concept == concept)]
        one, other = probe.effects(own, concept)[0], plain.effects(own, concept)[0]
        np.testing.assert_allclose(one.act, other.act, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(one.pre, other.pre, rtol=1e-9, atol=1e-12)


class Counting:
    """An encoder that counts the edits it embeds."""

    def __init__(self, encoder):
        self.encoder, self.n_embedded = encoder, 0

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def embed_edits(self, cells, edits, *, batch_size=4096, device="cpu"):
        self.n_embedded += len(edits)
        return self.encoder.embed_edits(cells, edits, batch_size=batch_size, device=device)


def test_concepts_share_equal_edits(world):
    """An edit is the same for every concept and counterfactual that asks for it; it is embedded once."""
    counting = Counting(world.encoder)
    found = cm.attribution.attribute(world.adata, counting, world.dictionary, world.pairs, seed=3)
    shared_count = counting.n_embedded
    expected = cm.attribution.attribute(world.adata, world.encoder, world.dictionary, world.pairs, seed=3)
    np.testing.assert_array_equal(found.attribution, expected.attribution)
    asked = 0
    for concept in np.unique(world.pairs.concept).tolist():
        for part in (world.pairs, world.pairs.null):
            if concept in part.concept:
                arguments = (world.adata, world.encoder, world.dictionary, part)
                asked += int(cm.attribution.effects(*arguments, concept=concept).differs.sum())
    assert shared_count < 0.8 * asked


def test_memory_holds_the_latest(monkeypatch):
    monkeypatch.setattr("conceptome.attribution.memory.CAPACITY_BYTES", 3 * 8 * 2)
    memory = Memory(2)
    for number in range(5):
        memory.hold([(number, 0, 1.0)], np.full((1, 2), float(number)))
    values, held = memory.recall([(number, 0, 1.0) for number in range(5)])
    np.testing.assert_array_equal(held, [False, False, True, True, True])
    np.testing.assert_array_equal(values[held, 0], [2.0, 3.0, 4.0])


def test_a_full_memory_changes_no_bit(world, monkeypatch):
    expected = cm.attribution.attribute(world.adata, world.encoder, world.dictionary, world.pairs, seed=3)
    monkeypatch.setattr("conceptome.attribution.memory.CAPACITY_BYTES", 8 * world.encoder.d_embed * 7)
    found = cm.attribution.attribute(world.adata, world.encoder, world.dictionary, world.pairs, seed=3)
    np.testing.assert_array_equal(found.attribution, expected.attribution)
