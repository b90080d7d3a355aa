import numpy as np
import pytest

from conceptome.attribution import effects
from conceptome.core import DictionaryMismatchError, Edits, InputError
from conceptome.dictionaries import TopKDictionary, Weights
from conceptome.encoders import LinearEncoder, LinearOptions, reencode_edits


def masked(encoder, dictionary, cells, activation, pairs_of):
    """Effects of masking for every active (cell, concept), with those cells."""
    for concept in range(activation.shape[1]):
        active = np.flatnonzero(activation[:, concept] > 0)
        if len(active):
            pairs = pairs_of(
                concept,
                active,
                active,
                activation=activation[active, concept],
                cells=cells,
                dictionary=dictionary,
            )
            yield (
                concept,
                active,
                effects(cells, encoder, dictionary, pairs, concept=concept, intervention="mask"),
            )


@pytest.mark.parametrize("name", ["stable", "general", "planted"])
def test_masking_equals_the_golden_knock_outs(golden, pairs_of, name):
    encoder, dictionary, cells, data = golden(name)
    n_concepts = 0
    for concept, active, found in masked(encoder, dictionary, cells, data["f"], pairs_of):
        np.testing.assert_allclose(found.pre, data["ko_delta_pre"][active][:, :, concept], atol=1e-9, rtol=0)
        np.testing.assert_allclose(
            found.act, data["ko_delta_recomputed"][active][:, :, concept], atol=1e-9, rtol=0
        )
        np.testing.assert_allclose(found.activation, data["f"][active, concept], atol=1e-9, rtol=0)
        np.testing.assert_array_equal(found.differs, data["X"][active] != 0)
        assert (found.act[~found.differs] == 0).all()
        n_concepts += 1
    assert n_concepts >= 4


@pytest.mark.parametrize(
    ("edit", "key"), [("values", "ko_counts_renormalised"), ("normalised", "ko_normalised_space")]
)
def test_masking_counts_equals_the_golden_knock_outs(golden, pairs_of, edit, key):
    encoder, dictionary, cells, data = golden("counts", target_sum=1e4, log1p=True, edit=edit)
    for concept, active, found in masked(encoder, dictionary, cells, data["f"], pairs_of):
        np.testing.assert_allclose(found.act, data[key][active][:, :, concept], atol=1e-9, rtol=0)


def by_loop(world, concept):
    """Substitution gene by gene, in plain numpy."""
    matrix, encoder, weights = world.adata.X, world.encoder, world.dictionary.weights
    columns = [world.adata.var_names.get_loc(gene) for gene in encoder.genes]
    rows = np.flatnonzero(world.pairs.concept == concept)

    def respond(cell):
        x = cell[columns]
        if encoder.options.target_sum is not None:
            x = np.log1p(encoder.options.target_sum * x / x.sum())
        z = encoder.weights @ x + encoder.bias
        pre = weights.w_enc @ (z - weights.mean - weights.b_dec) + weights.b_enc
        active = concept in np.argsort(-pre, kind="stable")[: world.dictionary.k]
        return np.array([max(pre[concept], 0) if active else 0.0, pre[concept]])

    result = np.full((len(rows), matrix.shape[1], 2), np.nan)
    for i, row in enumerate(rows):
        x, other = matrix[world.pairs.factual[row]], matrix[world.pairs.counterfactual[row]]
        for gene in columns:
            edited = x.copy()
            edited[gene] = other[gene]
            result[i, gene] = respond(x) - respond(edited)
    return result[..., 0], result[..., 1]


@pytest.mark.parametrize(
    "linear",
    [LinearOptions(target_sum=None, log1p=False), LinearOptions(target_sum=1e4, log1p=True)],
    ids=["bare", "log1p CP10k"],
)
def test_substitution_equals_a_plain_loop(build_world, counts, linear):
    world = build_world(counts, linear=linear)
    evicted = 0
    for concept in np.unique(world.pairs.concept):
        found = effects(world.adata, world.encoder, world.dictionary, world.pairs, concept=int(concept))
        act, pre = by_loop(world, concept)
        np.testing.assert_allclose(found.act, act, atol=1e-9, rtol=0)
        np.testing.assert_allclose(found.pre, pre, atol=1e-9, rtol=0)
        evicted += int((np.abs(act - pre) > 1e-6).sum())
    assert evicted > 0, "the example must contain evictions by TopK"


def test_unknown_genes_are_nan_and_equal_values_are_zero(world):
    concept = int(world.pairs.concept[0])
    found = effects(world.adata, world.encoder, world.dictionary, world.pairs, concept=concept)
    unknown = ~world.adata.var_names.isin(world.encoder.genes)
    assert np.isnan(found.act[:, unknown]).all()
    assert np.isnan(found.pre[:, unknown]).all()
    assert not found.differs[:, unknown].any()
    rows = world.pairs.concept == concept
    equal = world.adata.X[world.pairs.factual[rows]] == world.adata.X[world.pairs.counterfactual[rows]]
    assert (found.act[:, ~unknown][equal[:, ~unknown]] == 0).all()
    assert not found.differs[equal].any()


def test_positive_means_that_the_gene_supports_the_concept(world):
    """Through a linear map: the effect has the sign of (weight * (x - x'))."""
    concept = int(world.pairs.concept[0])
    found = effects(world.adata, world.encoder, world.dictionary, world.pairs, concept=concept)
    rows = world.pairs.concept == concept
    change = world.adata.X[world.pairs.factual[rows]] - world.adata.X[world.pairs.counterfactual[rows]]
    known = world.adata.var_names.isin(world.encoder.genes)
    weight = world.dictionary.weights.w_enc[concept] @ world.encoder.weights
    np.testing.assert_allclose(found.pre[:, known], change[:, known] * weight, atol=1e-9)


def test_permuting_genes_permutes_effects(world):
    concept = int(world.pairs.concept[0])
    order = np.random.default_rng(0).permutation(world.adata.n_vars)
    one, other = (
        effects(data, world.encoder, world.dictionary, world.pairs, concept=concept)
        for data in (world.adata, world.adata[:, order].copy())
    )
    np.testing.assert_allclose(other.act, one.act[:, order], atol=1e-12)
    np.testing.assert_array_equal(other.differs, one.differs[:, order])


def test_null_pairs_are_measured_like_real_ones(world):
    concept = int(world.pairs.null.concept[0])
    found = effects(world.adata, world.encoder, world.dictionary, world.pairs.null, concept=concept)
    rows = world.pairs.null.concept == concept
    assert found.act.shape == (rows.sum(), world.adata.n_vars)
    np.testing.assert_allclose(found.activation, world.pairs.null.activation[rows], rtol=1e-4)


def test_pairs_that_share_a_counterfactual_share_a_cluster(build_world, counts):
    world = build_world(counts, pairing="nearest")
    concept = int(world.pairs.concept[0])
    found = effects(world.adata, world.encoder, world.dictionary, world.pairs, concept=concept)
    counterfactual = world.pairs.counterfactual[world.pairs.concept == concept]
    same_cluster = found.cluster[:, None] == found.cluster[None, :]
    np.testing.assert_array_equal(same_cluster, counterfactual[:, None] == counterfactual[None, :])
    assert len(np.unique(found.cluster)) < len(found.cluster), "the example must share counterfactuals"


def test_null_pairs_that_edit_one_cell_share_a_cluster(world):
    shared = 0
    for concept in np.unique(world.pairs.null.concept):
        found = effects(world.adata, world.encoder, world.dictionary, world.pairs.null, concept=int(concept))
        rows = world.pairs.null.concept == concept
        for cells in (world.pairs.null.factual[rows], world.pairs.null.counterfactual[rows]):
            for cell in np.unique(cells):
                assert len(np.unique(found.cluster[cells == cell])) == 1
                shared += (cells == cell).sum() > 1
    assert shared > 0, "the example must edit or lend a cell twice"


def test_frame_has_a_row_for_each_pair_and_gene(world):
    concept = int(world.pairs.concept[0])
    found = effects(world.adata, world.encoder, world.dictionary, world.pairs, concept=concept)
    frame = found.to_frame()
    assert list(frame.columns) == ["pair", "gene", "act", "pre", "differs"]
    assert frame["differs"].sum() == found.differs.sum()
    row = frame[(frame["pair"] == found.factual[3]) & (frame["gene"] == 5)]
    assert row["act"].item() == found.act[3, 5]
    assert row["pre"].item() == found.pre[3, 5]


def test_several_counterfactuals_chain_clusters(build_world, counts):
    world = build_world(counts, n_counterfactuals=2, pairing="nearest")
    concept = int(world.pairs.concept[0])
    found = effects(world.adata, world.encoder, world.dictionary, world.pairs, concept=concept)
    rows = world.pairs.concept == concept
    for key in (found.factual, world.pairs.counterfactual[rows]):
        for value in np.unique(key):
            assert len(np.unique(found.cluster[key == value])) == 1


def test_mask_needs_each_factual_once(build_world, counts):
    world = build_world(counts, n_counterfactuals=3)
    concept = int(world.pairs.concept[0])
    found = effects(
        world.adata, world.encoder, world.dictionary, world.pairs, concept=concept, intervention="mask"
    )
    factuals = np.unique(world.pairs.pair[world.pairs.concept == concept])
    np.testing.assert_array_equal(found.factual, factuals)
    assert len(np.unique(found.cluster)) == len(factuals)


class PlainEncoder:
    """The same encoder without the short cut: every edited cell is built and embedded."""

    def __init__(self, encoder):
        self.encoder = encoder
        self.calls = []

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def embed_edits(self, cells, edits, *, batch_size=4096, device="cpu"):
        self.calls.append(len(edits))
        return reencode_edits(self.encoder, cells, edits, batch_size=batch_size, device=device)


def test_short_cuts_of_the_encoder_do_not_matter(world):
    concept = int(world.pairs.concept[0])
    plain = PlainEncoder(world.encoder)
    one = effects(world.adata, world.encoder, world.dictionary, world.pairs, concept=concept)
    other = effects(world.adata, plain, world.dictionary, world.pairs, concept=concept)
    np.testing.assert_allclose(one.pre, other.pre, atol=1e-4)  # plain embeddings are float32
    rows = world.pairs.concept == concept
    cells = np.union1d(world.pairs.factual[rows], world.pairs.counterfactual[rows])
    assert plain.calls == [len(cells) + one.differs.sum()], "equal values must not be embedded"


def test_long_edit_lists_are_cut_into_calls(world, monkeypatch):
    concept = int(world.pairs.concept[0])
    whole = effects(world.adata, world.encoder, world.dictionary, world.pairs, concept=concept)
    monkeypatch.setattr("conceptome.attribution.response.EDITS_PER_CALL", 7)
    cut = effects(world.adata, world.encoder, world.dictionary, world.pairs, concept=concept)
    np.testing.assert_allclose(cut.act, whole.act, atol=1e-12)


def message(error, call):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_concept_without_pairs(world):
    text = message(
        InputError, lambda: effects(world.adata, world.encoder, world.dictionary, world.pairs, concept=999)
    )
    assert text == "Concept 999 has no pairs: it was not paired. Ask for one of those in pairs.concept."


def test_pairs_of_another_dictionary(world):
    other = TopKDictionary(world.dictionary.weights, 3, encoder_id=world.encoder.encoder_id)
    text = message(
        DictionaryMismatchError, lambda: effects(world.adata, world.encoder, other, world.pairs, concept=0)
    )
    assert text == (
        f"pairs belongs to dictionary {world.dictionary.dictionary_id}, not to {other.dictionary_id}. "
        "Match again with the activations of this dictionary."
    )


def test_encoder_that_the_dictionary_was_not_trained_on(world):
    other = LinearEncoder(2 * world.encoder.weights, world.encoder.bias, world.encoder.genes)
    text = message(
        DictionaryMismatchError,
        lambda: effects(world.adata, other, world.dictionary, world.pairs, concept=0),
    )
    assert f"was trained on encoder {world.encoder.encoder_id}, not on {other.encoder_id}." in text


def test_other_cells(world):
    text = message(
        InputError,
        lambda: effects(world.adata[:50], world.encoder, world.dictionary, world.pairs, concept=0),
    )
    assert text == (
        "adata has 50 cells, pairs was made from 90, and the ids or their order differ. "
        "Pass the cells that were encoded, in their order."
    )


def test_data_that_were_not_encoded(world):
    changed = world.adata.copy()
    changed.X = np.round(changed.X * 3 + 1)
    concept = int(world.pairs.concept[0])
    text = message(
        InputError, lambda: effects(changed, world.encoder, world.dictionary, world.pairs, concept=concept)
    )
    assert text.startswith(f"Concept {concept} has mean activation")
    assert text.endswith("in pairs: adata or the encoder is not what was encoded.")


def test_width_of_the_embedding(world, pairs_of):
    weights = world.dictionary.weights
    narrow = Weights(
        weights.w_enc[:, :4], weights.b_enc, weights.directions[:, :4], weights.b_dec[:4], weights.mean[:4]
    )
    dictionary = TopKDictionary(narrow, 4)
    pairs = pairs_of(0, [0], [1], activation=[1.0], cells=world.adata, dictionary=dictionary)
    text = message(
        DictionaryMismatchError, lambda: effects(world.adata, world.encoder, dictionary, pairs, concept=0)
    )
    assert (
        text == f"the encoder's embedding has 5 coordinates, dictionary {dictionary.dictionary_id} expects 4."
    )


def test_noop_edit_is_part_of_the_protocol(world):
    base = world.encoder.embed_edits(world.adata, Edits.noop(world.adata.n_obs))
    np.testing.assert_allclose(base, world.encoder.embed(world.adata).values, rtol=1e-5, atol=1e-5)
