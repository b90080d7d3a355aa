import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

import conceptome as cm
from conceptome.attribution import gradient_effects
from conceptome.core import DictionaryMismatchError, InputError, Pairs
from conceptome.dictionaries import KMeansDictionary, NmfDictionary, PcaDictionary, TopKDictionary, Weights
from conceptome.encoders import LinearEncoder, LinearOptions, ScviEncoder

NORMALISED = LinearOptions(target_sum=1e4, log1p=True)


def pair_up(dictionary, cells, concept, *, factual, counterfactual, activation):
    n = len(factual)
    return Pairs(
        concept=np.full(n, concept),
        pair=np.arange(n),
        factual=np.asarray(factual),
        counterfactual=np.asarray(counterfactual),
        activation=np.asarray(activation, dtype=np.float64),
        distance=np.ones(n),
        distance_percentile=np.full(n, 50.0),
        library_ratio=np.ones(n),
        matched=np.full(n, "", dtype=object),
        cell_ids=cells.obs_names,
        dictionary_id=dictionary.dictionary_id,
    )


def golden(shared, name, *, baseline):
    """The golden model and its cells, each followed by its baseline."""
    data = dict(np.load(shared / "fixtures" / "attribution_golden" / f"{name}.npz"))
    x = data["X"]
    genes = pd.Index([f"gene{i}" for i in range(x.shape[1])])
    bare = LinearOptions(target_sum=None, log1p=False)
    encoder = LinearEncoder(data["We"], data["be"], genes, options=bare)
    directions = np.ascontiguousarray(data["Wd"].T)
    weights = Weights(data["Ws"], data["bs"], directions, data["bdec"], np.zeros(len(data["bdec"])))
    dictionary = TopKDictionary(weights, int(data["k"]), encoder_id=encoder.encoder_id)
    rows = pd.DataFrame(index=[f"cell{i}" for i in range(2 * len(x))])
    cells = AnnData(np.vstack([x, baseline(x)]), rows, pd.DataFrame(index=genes))

    def measure(concept, **options):
        n, activation = len(x), data["f"][:, concept]
        own = pair_up(
            dictionary,
            cells,
            concept,
            factual=np.arange(n),
            counterfactual=n + np.arange(n),
            activation=activation,
        )
        return gradient_effects(cells, encoder, dictionary, own, concept=concept, **options)

    return data, measure


@pytest.mark.parametrize("name", ["stable", "general", "planted"])
def test_gradients_equal_the_golden_ones(shared, name):
    for key, baseline in (("gradient", lambda x: x - 1), ("grad_x_input", np.zeros_like)):
        data, measure = golden(shared, name, baseline=baseline)
        for concept in range(data["f"].shape[1]):
            found = measure(concept, method="gradient")
            np.testing.assert_allclose(found.act, data[key][:, :, concept], atol=1e-9, rtol=0)
            np.testing.assert_allclose(found.activation, data["f"][:, concept], atol=1e-9, rtol=0)
        assert np.abs(data[key]).max() > 0.1


@pytest.mark.parametrize("name", ["stable", "general", "planted"])
def test_integrated_gradients_from_zero_equal_the_golden_ones(shared, name):
    """At n midpoints, each place where TopK switches adds at most 1/(2n) of the gene's whole contribution."""
    data, measure = golden(shared, name, baseline=np.zeros_like)
    n_steps, switches = 60, 4
    for concept in range(0, data["f"].shape[1], 4):
        found = measure(concept, method="integrated_gradients", n_steps=n_steps)
        whole = data["X"] * data["M"][concept]
        error = np.abs(found.act - data["ig_zero_baseline_exact"][:, :, concept])
        assert (error <= switches / (2 * n_steps) * np.abs(whole) + 1e-9).all()
        np.testing.assert_allclose(found.pre, whole, atol=1e-9, rtol=0)


def by_loop(world, concept, *, fractions):
    """Gradients pair by pair and step by step, with the whole Jacobian of the normalisation, in numpy."""
    columns = [world.adata.var_names.get_loc(gene) for gene in world.encoder.genes]
    weights, options = world.dictionary.weights, world.encoder.options
    rows = np.flatnonzero(world.pairs.concept == concept)
    act, pre = np.full((2, len(rows), world.adata.n_vars), np.nan)
    for i, row in enumerate(rows):
        x, other = (
            world.adata.X[cell][columns]
            for cell in (world.pairs.factual[row], world.pairs.counterfactual[row])
        )
        total_act, total_pre = np.zeros((2, len(columns)))
        for fraction in fractions:
            here = other + fraction * (x - other)
            y, jacobian = here, np.eye(len(here))
            if options.target_sum is not None:
                scaled = here * options.target_sum / here.sum()
                jacobian = (options.target_sum * np.eye(len(here)) - scaled[:, None]) / here.sum()
                jacobian = jacobian / (1 + scaled[:, None])
                y = np.log1p(scaled)
            z = world.encoder.weights @ y + world.encoder.bias
            p = weights.w_enc @ (z - weights.mean - weights.b_dec) + weights.b_enc
            slope = weights.w_enc[concept] @ world.encoder.weights @ jacobian
            is_active = p[concept] > 0 and concept in np.argsort(-p, kind="stable")[: world.dictionary.k]
            total_pre += slope
            total_act += slope * is_active
        act[i, columns] = total_act / len(fractions) * (x - other)
        pre[i, columns] = total_pre / len(fractions) * (x - other)
    return act, pre


@pytest.mark.parametrize(
    "linear", [LinearOptions(target_sum=None, log1p=False), NORMALISED], ids=["bare", "CP10k"]
)
@pytest.mark.parametrize(
    ("options", "fractions"),
    [({"n_steps": 7}, (np.arange(7) + 0.5) / 7), ({"method": "gradient"}, [1.0])],
    ids=["integrated", "gradient"],
)
def test_gradients_between_cells_equal_a_plain_loop(build_world, counts, linear, options, fractions):
    world = build_world(counts, linear=linear)
    gated = 0
    for concept in np.unique(world.pairs.concept)[:4].tolist():
        parts = (world.adata, world.encoder, world.dictionary, world.pairs)
        found = gradient_effects(*parts, concept=concept, **options)
        act, pre = by_loop(world, concept, fractions=fractions)
        np.testing.assert_allclose(found.act, act, atol=1e-9, rtol=0)
        np.testing.assert_allclose(found.pre, pre, atol=1e-9, rtol=0)
        gated += int((np.abs(act - pre) > 1e-6).sum())
    assert gated > 0 or "method" in options, "the concept must be inactive on a part of some way"


def test_what_is_measured_beside_the_effects_is_as_for_substitution(build_world, counts):
    world = build_world(counts, linear=NORMALISED)
    concept = int(world.pairs.concept[0])
    parts = (world.adata, world.encoder, world.dictionary, world.pairs)
    found = gradient_effects(*parts, concept=concept)
    expected = cm.attribution.effects(*parts, concept=concept)
    for name in ("differs", "cluster", "factual", "concept"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_allclose(found.activation, expected.activation, rtol=1e-12)
    np.testing.assert_array_equal(np.isnan(found.act), np.isnan(expected.act))
    assert not found.act[~found.differs & ~np.isnan(found.act)].any()


def completeness(adata, encoder, dictionary, pairs, concept, *, n_steps):
    """Sum of integrated gradients over genes, and the difference of pre-activations that it should be."""
    found = gradient_effects(adata, encoder, dictionary, pairs, concept=concept, n_steps=n_steps)
    own = pairs.concept == concept
    noop = cm.core.Edits.noop(adata.n_obs)
    p = dictionary.preactivations(encoder.embed_edits(adata, noop))[:, concept]
    return np.nansum(found.pre, axis=1), p[pairs.factual[own]] - p[pairs.counterfactual[own]]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_integrated_gradients_are_complete(build_world, counts, seed):
    rng = np.random.default_rng(seed)
    world = build_world(counts[:, rng.permutation(counts.n_vars)].copy(), seed=seed, concepts=list(range(12)))
    concept = int(rng.choice(world.pairs.concept))
    parts = (world.adata, world.encoder, world.dictionary, world.pairs)
    total, expected = completeness(*parts, concept, n_steps=2)
    np.testing.assert_allclose(total, expected, atol=1e-9 * np.abs(expected).max())


def test_ten_times_the_steps_leave_a_hundredth_of_the_error(build_world, counts):
    """Through a normalisation that bends little from one count to the next, as in real cells."""
    world = build_world(counts, linear=LinearOptions(target_sum=30.0, log1p=True))
    parts = (world.adata, world.encoder, world.dictionary, world.pairs)
    errors = []
    for n_steps in (20, 200):
        total, expected = completeness(*parts, int(world.pairs.concept[0]), n_steps=n_steps)
        errors.append(np.abs(total - expected).max() / np.abs(expected).max())
    assert 0 < errors[1] < errors[0] / 80
    assert errors[1] < 1e-3


@pytest.fixture(scope="module")
def scvi_world(shared):
    adata = ad.read_h5ad(shared / "fixtures" / "scvi_tiny" / "train.h5ad")
    encoder = ScviEncoder.load(shared / "fixtures" / "scvi_tiny" / "model_A")
    embeddings = encoder.embed(adata)
    dictionary = PcaDictionary.fit(embeddings)
    activations = dictionary.encode(embeddings)
    pairs = cm.counterfactuals.match(
        activations, embeddings, dictionary=dictionary, n_pairs=20, concepts=[0, 1]
    )
    return adata, encoder, dictionary, pairs


def test_integrated_gradients_through_scvi_are_complete(scvi_world):
    for n_steps, tolerance in ((20, 5e-2), (200, 2e-3)):
        total, expected = completeness(*scvi_world, 1, n_steps=n_steps)
        np.testing.assert_allclose(total, expected, atol=tolerance * np.abs(expected).max())
    assert np.abs(expected).min() > 0.1


def test_gradients_resemble_substitution_through_scvi(scvi_world):
    """Substituting a gene moves counts by little on the scale of the network: both must rank genes alike."""
    edited = cm.attribution.effects(*scvi_world, concept=0).pre.mean(axis=0)
    for options in ({"method": "gradient"}, {"method": "integrated_gradients"}):
        found = gradient_effects(*scvi_world, concept=0, **options).pre.mean(axis=0)
        assert np.corrcoef(found, edited)[0, 1] > 0.95


def test_the_number_of_pairs_in_a_call_changes_nothing(scvi_world, monkeypatch):
    whole = gradient_effects(*scvi_world, concept=0, n_steps=3)
    monkeypatch.setattr(cm.attribution.gradients, "PAIRS_PER_CALL", 7)
    pieces = gradient_effects(*scvi_world, concept=0, n_steps=3)
    np.testing.assert_array_equal(pieces.act, whole.act)
    np.testing.assert_array_equal(pieces.pre, whole.pre)


@pytest.mark.parametrize("family", [KMeansDictionary, NmfDictionary])
def test_a_dictionary_without_simple_gradients_is_refused(world, family):
    options = {"n_clusters": 4} if family is KMeansDictionary else {}
    dictionary = family.fit(world.encoder.embed(world.adata), **options)
    pairs = pair_up(dictionary, world.adata, 0, factual=[0, 1], counterfactual=[2, 3], activation=[1, 1])
    found = (
        f"Concepts of a '{dictionary.kind}' dictionary have no simple gradient: an activation is not a linear"
    )
    with pytest.raises(InputError, match=found):
        gradient_effects(world.adata, world.encoder, dictionary, pairs, concept=0)


class _WithoutGradients:
    """An encoder that has what every encoder must have, and no more."""

    def __init__(self, encoder):
        for name in ("name", "encoder_id", "genes", "d_embed", "decoder", "embed", "expression", "known"):
            setattr(self, name, getattr(encoder, name))
        self.embed_edits, self.save = encoder.embed_edits, encoder.save


def test_an_encoder_without_gradients_is_refused(world):
    encoder = _WithoutGradients(world.encoder)
    with pytest.raises(InputError, match="Geneformer has none because it reads ranks"):
        gradient_effects(
            world.adata, encoder, world.dictionary, world.pairs, concept=int(world.pairs.concept[0])
        )


def test_options_and_parts_are_checked(world):
    parts, concept = (world.adata, world.encoder, world.dictionary, world.pairs), int(world.pairs.concept[0])
    with pytest.raises(InputError, match="n_steps is 0"):
        gradient_effects(*parts, concept=concept, n_steps=0)
    with pytest.raises(InputError, match=r"Concept 99 has no pairs: it was not paired\. Ask for one"):
        gradient_effects(*parts, concept=99)
    other = PcaDictionary.fit(world.encoder.embed(world.adata))
    with pytest.raises(DictionaryMismatchError, match="Match again with the activations of this dictionary"):
        gradient_effects(world.adata, world.encoder, other, world.pairs, concept=concept)
