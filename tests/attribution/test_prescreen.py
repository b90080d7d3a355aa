"""The prescreen on a transformer: its estimates, what it measures, and what it may call a driver."""

import anndata as ad
import numpy as np
import pytest
from scipy.stats import spearmanr

import conceptome as cm
from conceptome.attribution.prescreen import _places_within
from conceptome.core import Edits, InputError
from conceptome.dictionaries import TopKDictionary, Weights
from conceptome.encoders import ScgptEncoder, ScgptOptions

FAST = {"n_bootstrap": 20, "n_flips": 1000}
ALL_GENES = 10_000


@pytest.fixture(scope="module")
def cells(shared):
    """A third of the genes, so that whole pairs can be measured in a test."""
    adata = ad.read_h5ad(shared / "fixtures" / "scgpt_tiny" / "input.h5ad")
    return adata[:, ::6].copy()


@pytest.fixture(scope="module")
def encoder(shared):
    return ScgptEncoder.load(
        shared / "fixtures" / "scgpt_tiny" / "checkpoint", options=ScgptOptions(gene_key="feature_name")
    )


@pytest.fixture(scope="module")
def dictionary(cells, encoder):
    rng = np.random.default_rng(0)
    z = encoder.embed(cells).values.astype(np.float64)
    w_enc = rng.normal(size=(8, z.shape[1]))
    bias = -np.median((z - z.mean(axis=0)) @ w_enc.T, axis=0)
    weights = Weights(w_enc, bias, w_enc, z.mean(axis=0), np.zeros(z.shape[1]))
    return TopKDictionary(weights, 3, encoder_id=encoder.encoder_id)


@pytest.fixture(scope="module")
def pairs(cells, encoder, dictionary):
    embeddings = encoder.embed(cells)
    activations = dictionary.encode(embeddings)
    settings = {"dictionary": dictionary, "n_pairs": 3, "min_pairs": 2, "concepts": [1, 4]}
    return cm.counterfactuals.match(activations, embeddings, **settings)


@pytest.fixture(scope="module")
def exact(cells, encoder, dictionary, pairs):
    return cm.attribution.attribute(cells, encoder, dictionary, pairs, **FAST)


def single_edits(cells, encoder, *, cell, lender):
    """Edits that turn the genes of one cell into those of another, one by one."""
    values = encoder.expression(cells)[[cell, lender]].toarray()
    gene = np.flatnonzero((values[0] != values[1]) & encoder.known(cells))
    return Edits.single(np.full(len(gene), cell), gene, values[1, gene]), values[:, gene]


@pytest.mark.parametrize("edit", ["values", "binned"])
@pytest.mark.parametrize(("cell", "lender"), [(3, 5), (20, 7)])
def test_estimates_follow_the_exact_effects(cells, encoder, cell, lender, edit):
    encoder = ScgptEncoder(encoder.model, options=ScgptOptions(gene_key="feature_name", edit=edit))
    edits, (old, new) = single_edits(cells, encoder, cell=cell, lender=lender)
    cotangent = np.random.default_rng(cell).normal(size=encoder.d_embed)
    before = encoder.embed_edits(cells, Edits.noop(cells.n_obs))[cell]
    found = (encoder.embed_edits(cells, edits) - before) @ cotangent
    guessed = (encoder.estimate_edits(cells, edits, cotangent=cotangent) - before) @ cotangent
    for kind in (old == 0, new == 0, (old > 0) & (new > 0)):  # a token joins, leaves, changes
        assert kind.sum() >= 5
        assert spearmanr(found[kind], guessed[kind])[0] > 0.85
        assert np.abs(guessed - found)[kind].mean() < 0.5 * np.abs(found[kind]).mean()


def test_an_edit_to_the_same_value_is_estimated_as_nothing(cells, encoder):
    values = encoder.expression(cells).toarray()
    gene = np.flatnonzero(encoder.known(cells))[:40]
    same = Edits.single(np.full(40, 3), gene, values[3, gene])
    before = encoder.embed_edits(cells, Edits.noop(cells.n_obs))[3]
    guessed = encoder.estimate_edits(cells, same, cotangent=np.ones(encoder.d_embed))
    np.testing.assert_allclose(guessed, np.tile(before, (40, 1)), atol=2e-6)


@pytest.mark.parametrize("max_length", [1200, 40])  # of 51 genes, and some of the edited ones enter
def test_one_layer_has_exact_estimates(cells, encoder, max_length):
    """With one layer, <cls> reads keys and values that no other token has touched."""
    settings = {"gene_key": "feature_name", "edit": "binned", "layer": 1}
    shallow = ScgptEncoder(encoder.model, options=ScgptOptions(max_length=max_length, **settings))
    edits, _ = single_edits(cells, shallow, cell=3, lender=5)
    guessed = shallow.estimate_edits(cells, edits, cotangent=np.ones(shallow.d_embed))
    np.testing.assert_allclose(guessed, shallow.embed_edits(cells, edits), atol=2e-6)


def test_estimates_do_not_depend_on_their_company(cells, encoder, monkeypatch):
    edits, _ = single_edits(cells, encoder, cell=3, lender=5)
    cotangent = np.ones(encoder.d_embed)
    together = encoder.estimate_edits(cells, edits, cotangent=cotangent)
    monkeypatch.setattr("conceptome.encoders.scgpt_own_stream.EDITS_AT_ONCE", 7)
    reverse = np.arange(len(edits))[::-1].copy()
    apart = encoder.estimate_edits(cells, edits.take(reverse), cotangent=cotangent)
    np.testing.assert_allclose(apart[::-1], together, atol=2e-6)


def test_an_edit_of_an_unknown_gene_is_estimated_as_nothing(cells, encoder):
    unknown, known = (np.flatnonzero(encoder.known(cells) == state)[0] for state in (False, True))
    edits = Edits.single(np.full(3, 3), np.array([known, unknown, known]), np.array([9.0, 9.0, 0.0]))
    cotangent = np.ones(encoder.d_embed)
    found = encoder.estimate_edits(cells, edits, cotangent=cotangent)
    np.testing.assert_allclose(found[1], encoder.embed_edits(cells, Edits.noop(4))[3], atol=2e-6)
    apart = encoder.estimate_edits(cells, edits.take(np.array([2])), cotangent=cotangent)
    np.testing.assert_allclose(found[2], apart[0], atol=2e-6)


def test_several_genes_are_refused(cells, encoder):
    edits = Edits(np.array([0]), np.array([0, 2]), np.array([0, 1]), np.ones(2))
    with pytest.raises(InputError, match=r"Found 1 edits of 2 genes, pooling='cls'; estimates need edits of"):
        encoder.estimate_edits(cells, edits, cotangent=np.ones(encoder.d_embed))


def test_measuring_all_genes_equals_no_prescreen(cells, encoder, dictionary, pairs, exact):
    found = cm.attribution.attribute(cells, encoder, dictionary, pairs, prescreen=ALL_GENES, **FAST)
    for name in ("attribution", "effect_pre", "se", "p", "q"):
        np.testing.assert_allclose(getattr(found, name), getattr(exact, name), atol=1e-4)
    assert (found.exact == 1).all()
    np.testing.assert_array_equal(found.recall[:, :2], 1)
    assert np.isnan(exact.recall).all()
    assert (exact.exact == 1).all()


def test_the_largest_are_measured_and_the_others_estimated(cells, encoder, dictionary, pairs, exact):
    found = cm.attribution.attribute(cells, encoder, dictionary, pairs, prescreen=10, **FAST)
    differing = found.n_differing > 0
    measured = (found.exact == 1) & differing
    assert measured.sum(axis=1).min() >= 10
    assert (found.exact < 1).sum(axis=1).min() >= 10
    np.testing.assert_allclose(found.effect_pre[measured], exact.effect_pre[measured], atol=1e-6)
    assert not found.drives[found.exact < 1].any()
    for row in range(len(found.concepts)):
        known = np.isfinite(exact.effect_pre[row])
        assert spearmanr(found.effect_pre[row][known], exact.effect_pre[row][known])[0] > 0.9
    assert ((found.recall >= 0) & (found.recall <= 1)).all()
    assert (found.recall[:, 2] > 0.8).all()


def test_an_estimate_that_fails_is_measured(cells, encoder, dictionary, pairs, exact, monkeypatch):
    estimate = ScgptEncoder.estimate_edits

    def failing(self, *args, **settings):
        result = estimate(self, *args, **settings)
        result[::2] = np.nan
        return result

    monkeypatch.setattr(ScgptEncoder, "estimate_edits", failing)
    found = cm.attribution.attribute(cells, encoder, dictionary, pairs, prescreen=1, **FAST)
    known = np.isfinite(exact.effect_pre)
    assert np.isfinite(found.effect_pre[known]).all()
    assert np.isfinite(found.recall).all()


def test_a_linear_encoder_has_no_estimates(world):
    message = r"There are no estimates with encoder 'linear'\. Leave prescreen out\."
    with pytest.raises(InputError, match=message):
        cm.attribution.attribute(
            world.adata, world.encoder, world.dictionary, world.pairs, prescreen=5, **FAST
        )


def test_gradients_are_not_prescreened(world):
    message = r"intervention='gradient' edits no single genes to prescreen\. Leave prescreen out\."
    with pytest.raises(InputError, match=message):
        cm.attribution.attribute(
            world.adata, world.encoder, world.dictionary, world.pairs, intervention="gradient", prescreen=5
        )


def test_places_count_within_groups():
    group, value = np.array([1, 0, 1, 0, 1]), np.array([0.3, 5.0, 0.1, 4.0, 0.2])
    np.testing.assert_array_equal(_places_within(group, value), [2, 1, 0, 0, 1])
