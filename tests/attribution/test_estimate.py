import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

import conceptome as cm
from conceptome.attribution import attribute, effects
from conceptome.core import InputError
from conceptome.dictionaries import NeuronDictionary
from conceptome.encoders.precomputed import PrecomputedEncoder

MATRICES = (
    "attribution",
    "se",
    "ci_low",
    "ci_high",
    "effect_act",
    "effect_pre",
    "p",
    "q",
    "sign_consistency",
)


@pytest.fixture(scope="module")
def result(world):
    return attribute(world.adata, world.encoder, world.dictionary, world.pairs, seed=3)


def assert_same(one, other, *, genes=slice(None)):
    for name in (*MATRICES, "n_differing", "drives", "null_attribution"):
        np.testing.assert_array_equal(getattr(other, name), getattr(one, name)[:, genes], err_msg=name)
    for name in ("floor", "null_driver_rate", "n_pairs", "status", "concepts"):
        np.testing.assert_array_equal(getattr(other, name), getattr(one, name), err_msg=name)


def test_rows_summarise_the_effects(world, result):
    for row, concept in enumerate(result.concepts):
        if result.n_pairs[row] == 0:
            continue
        found = effects(world.adata, world.encoder, world.dictionary, world.pairs, concept=int(concept))
        np.testing.assert_allclose(result.attribution[row], found.act.sum(axis=0) / found.activation.sum())
        np.testing.assert_allclose(result.effect_act[row], found.act.mean(axis=0))
        np.testing.assert_allclose(result.effect_pre[row], found.pre.mean(axis=0))
        np.testing.assert_array_equal(result.n_differing[row], found.differs.sum(axis=0))
        assert result.n_pairs[row] == len(found.activation)


def test_genes_drive_by_q_and_floor(result):
    expected = (result.q <= 0.05) & (np.abs(result.attribution) > result.floor[:, None])
    np.testing.assert_array_equal(result.drives, expected)
    assert result.drives.any()
    tested = ~np.isnan(result.p)
    np.testing.assert_array_equal(tested, result.n_differing >= 6)
    for p, q in zip(result.p, result.q, strict=True):
        if (~np.isnan(p)).any():
            np.testing.assert_array_equal(q[~np.isnan(q)], false_discovery_control(p[~np.isnan(p)]))


def test_floor_is_set_by_the_even_null_pairs_and_the_score_kept_for_the_odd(world, result):
    null = world.pairs.null
    for row, concept in enumerate(result.concepts):
        found = effects(world.adata, world.encoder, world.dictionary, null, concept=int(concept))
        even = null.pair[null.concept == concept] % 2 == 0
        first, second = (found.act[half].sum(axis=0) / found.activation[half].sum() for half in (even, ~even))
        differs = found.differs[even].any(axis=0)
        np.testing.assert_allclose(result.floor[row], np.percentile(np.abs(first[differs]), 95))
        np.testing.assert_allclose(result.null_attribution[row], second)
        assert 0 <= result.null_driver_rate[row] <= 1


def test_unknown_genes_are_nan_untouched_genes_zero(world, result):
    unknown = ~world.adata.var_names.isin(world.encoder.genes)
    for name in MATRICES:
        assert np.isnan(getattr(result, name)[:, unknown]).all(), name
    assert not result.drives[:, unknown].any()
    untouched = (result.n_differing == 0) & ~unknown
    for name in ("attribution", "se", "ci_low", "ci_high", "effect_act"):
        assert (getattr(result, name)[untouched] == 0).all(), name
    measured = ~np.isnan(result.attribution)
    assert (result.ci_low[measured] <= result.ci_high[measured]).all()


def test_batch_size_changes_no_bit(world, result):
    other = attribute(world.adata, world.encoder, world.dictionary, world.pairs, seed=3, batch_size=17)
    assert_same(result, other)


def test_same_seed_same_result_and_concepts_do_not_depend_on_each_other(world, result):
    pairs = cm.counterfactuals.match(
        world.activations,
        world.encoder.embed(world.adata),
        dictionary=world.dictionary,
        n_pairs=20,
        seed=0,
        concepts=[int(result.concepts[1])],
    )
    alone = attribute(world.adata, world.encoder, world.dictionary, pairs, seed=3)
    for name in MATRICES:
        np.testing.assert_array_equal(getattr(alone, name)[0], getattr(result, name)[1], err_msg=name)
    assert alone.floor[0] == result.floor[1]


def test_another_seed_changes_only_what_is_random(world, result):
    other = attribute(world.adata, world.encoder, world.dictionary, world.pairs, seed=4)
    np.testing.assert_array_equal(other.attribution, result.attribution)
    assert (other.se != result.se).any()
    np.testing.assert_allclose(np.nansum(other.se), np.nansum(result.se), rtol=0.05)


def test_permuting_genes_permutes_the_result(world, result):
    order = np.random.default_rng(1).permutation(world.adata.n_vars)
    other = attribute(world.adata[:, order].copy(), world.encoder, world.dictionary, world.pairs, seed=3)
    for name in ("attribution", "se", "ci_low", "ci_high", "effect_pre", "n_differing"):
        np.testing.assert_allclose(
            getattr(other, name), getattr(result, name)[:, order], atol=1e-12, err_msg=name
        )
    assert list(other.genes) == list(world.adata.var_names[order])


def test_permuting_cells_changes_nothing(world, result):
    order = np.random.default_rng(2).permutation(world.adata.n_obs)
    adata = world.adata[order].copy()
    embeddings = world.encoder.embed(adata)
    activations = world.dictionary.encode(embeddings)
    pairs = cm.counterfactuals.match(activations, embeddings, dictionary=world.dictionary, n_pairs=20, seed=0)
    assert_same(result, attribute(adata, world.encoder, world.dictionary, pairs, seed=3))


def test_pre_aggregates_effects_on_the_preactivation(world, result):
    other = attribute(world.adata, world.encoder, world.dictionary, world.pairs, aggregate="pre", seed=3)
    np.testing.assert_array_equal(other.attribution, result.effect_pre)
    np.testing.assert_array_equal(other.p, result.p)
    assert other.aggregate == "pre"


def test_mask_has_no_null(world):
    other = attribute(world.adata, world.encoder, world.dictionary, world.pairs, intervention="mask")
    assert np.isnan(other.floor).all()
    assert np.isnan(other.null_attribution).all()
    assert not other.drives.any()
    assert (other.q <= 0.05).any()
    assert other.intervention == "mask"


def test_several_counterfactuals_are_averaged(build_world, counts):
    world = build_world(counts, n_counterfactuals=3)
    result = attribute(world.adata, world.encoder, world.dictionary, world.pairs, n_bootstrap=50)
    concept = int(result.concepts[0])
    found = effects(world.adata, world.encoder, world.dictionary, world.pairs, concept=concept)
    means = pd.DataFrame(found.act).groupby(found.factual).mean()
    activation = pd.Series(found.activation).groupby(found.factual).first()
    expected = means.sum(min_count=1) / activation.sum()
    np.testing.assert_allclose(result.attribution[0], expected, atol=1e-15)
    assert result.n_pairs[0] == len(means)


def test_concepts_that_are_not_attributable_are_listed_and_nan(build_world, counts):
    world = build_world(counts, n_pairs=40, min_pairs=35)
    assert world.pairs.not_attributable
    result = attribute(world.adata, world.encoder, world.dictionary, world.pairs, n_bootstrap=50)
    assert sorted(result.concepts) == sorted({*world.pairs.concept, *world.pairs.not_attributable})
    for concept, reason in world.pairs.not_attributable.items():
        row = int(np.flatnonzero(result.concepts == concept)[0])
        assert result.status[row] == f"not attributable: {reason}"
        assert np.isnan(result.attribution[row]).all()
        assert result.n_pairs[row] == 0
    assert len(result.to_frame()) == len(result.concepts) * world.adata.n_vars


def test_noise_floor_of_a_deterministic_encoder_is_rounding(result):
    assert result.noise_floor < 1e-12


class NoisyEncoder:
    def __init__(self, encoder):
        self.encoder, self.random = encoder, np.random.default_rng(0)

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def embed_edits(self, cells, edits, *, batch_size=4096, device="cpu"):
        z = self.encoder.embed_edits(cells, edits, batch_size=batch_size, device=device)
        return z + self.random.normal(0, 1e-3, z.shape)


def test_noise_floor_shows_an_encoder_that_is_not_a_function(world):
    noisy = NoisyEncoder(world.encoder)
    result = attribute(world.adata, noisy, world.dictionary, world.pairs, n_bootstrap=10, n_flips=1000)
    assert 1e-3 < result.noise_floor < 1e-1


def test_precomputed_embeddings_cannot_be_attributed(world):
    adata = world.adata.copy()
    adata.obsm["X_mine"] = world.encoder.embed(adata).values
    encoder = PrecomputedEncoder("X_mine")
    embeddings = encoder.embed(adata)
    dictionary = NeuronDictionary.fit(embeddings)
    pairs = cm.counterfactuals.match(dictionary.encode(embeddings), embeddings, n_pairs=10)
    with pytest.raises(
        InputError, match=r"is a finished embedding\. Attribution needs the model that made it"
    ):
        attribute(adata, encoder, dictionary, pairs)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"alpha": 0.0}, "alpha is 0.0, expected a false discovery rate between 0 and 1."),
        ({"n_bootstrap": 1}, "n_bootstrap is 1, expected at least 2."),
        ({"n_flips": 999}, "n_flips is 999, expected at least 1000."),
        ({"seed": -1}, "seed is -1, expected at least 0."),
        ({"batch_size": 0}, "batch_size is 0, expected at least 1."),
    ],
)
def test_options_are_checked(world, options, text):
    with pytest.raises(InputError) as caught:
        attribute(world.adata, world.encoder, world.dictionary, world.pairs, **options)
    assert str(caught.value) == text


def test_p_rests_on_the_nearest_counterfactual(build_world, counts):
    """A mean over several counterfactuals is skewed where nothing is there, and would call drivers."""
    world = build_world(counts, n_counterfactuals=3)
    several = attribute(world.adata, world.encoder, world.dictionary, world.pairs, seed=3)
    first = np.unique(np.column_stack([world.pairs.concept, world.pairs.pair]), axis=0, return_index=True)[1]
    nearest = attribute(world.adata, world.encoder, world.dictionary, world.pairs.take(first), seed=3)
    np.testing.assert_array_equal(several.p == 1, nearest.p == 1)
    exact = np.isfinite(nearest.p) & (nearest.n_differing <= 16)
    np.testing.assert_allclose(several.p[exact], nearest.p[exact])
    assert (several.attribution != nearest.attribution).any()
