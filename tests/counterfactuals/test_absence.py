import numpy as np
import pandas as pd
import pytest

import conceptome as cm
from conceptome.core import Activations, DictionaryMismatchError, Embeddings
from conceptome.counterfactuals.absence import barred_cells


@pytest.fixture(scope="module")
def encoded():
    embeddings = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    dictionary = cm.dictionaries.train(
        embeddings, cm.dictionaries.TopK(n_concepts=24, k=2, max_epochs=20), seed=0, progress=False
    )
    ids = pd.Index([f"cell{i}" for i in range(400)])
    return embeddings, dictionary, Activations(dictionary.encode(embeddings), ids, dictionary.dictionary_id)


def test_without_a_dictionary_only_active_cells_are_barred(encoded):
    embeddings, _, activations = encoded
    barred = barred_cells(activations, embeddings, None)
    np.testing.assert_array_equal(barred, activations.values.toarray() > 0)


def test_with_one_the_pre_activation_must_be_low_too(encoded):
    embeddings, dictionary, activations = encoded
    barred = barred_cells(activations, embeddings, dictionary)
    pre, active = dictionary.preactivations(embeddings), activations.values.toarray() > 0
    evicted = (pre > 0) & ~active
    assert evicted.sum() > 100, "the case that matters must occur"
    np.testing.assert_array_equal(barred, active | evicted)


def test_match_pairs_with_cells_that_lack_the_concept(encoded):
    embeddings, dictionary, activations = encoded
    pairs = cm.counterfactuals.match(activations, embeddings, dictionary=dictionary, n_pairs=16, seed=0)
    pre = dictionary.preactivations(embeddings)
    assert (pre[pairs.counterfactual, pairs.concept] <= 0).all()
    for k in np.unique(pairs.concept):
        used = pairs.counterfactual[pairs.concept == k]
        assert len(np.unique(used)) == len(used)
    plain = cm.counterfactuals.match(activations, embeddings, n_pairs=16, pairing="nearest", seed=0)
    assert (pre[plain.counterfactual, plain.concept] > 0).any()
    assert plain.distance.mean() < pairs.distance.mean()


def test_the_reason_names_the_rules(encoded):
    embeddings, dictionary, activations = encoded
    obs = pd.DataFrame({"well": np.arange(400)}, index=activations.cell_ids)
    pairs = cm.counterfactuals.match(
        activations, embeddings, dictionary=dictionary, obs=obs, match_on=["well"], n_pairs=8, concepts=[0]
    )
    assert dict(pairs.not_attributable) == {
        0: "no admissible counterfactual for 8 of 8 factuals "
        "(pairing=distinct, pre-activation at most 0, match_on=well)"
    }


def test_embeddings_of_another_encoder_are_refused(encoded):
    embeddings, _, activations = encoded
    dictionary = cm.dictionaries.NeuronDictionary.fit(Embeddings(embeddings, activations.cell_ids, "e1"))
    other = Embeddings(embeddings, activations.cell_ids, "e2")
    with pytest.raises(DictionaryMismatchError, match=r"^The embeddings come from encoder e2, dictionary "):
        cm.counterfactuals.match(
            dictionary.encode(Embeddings(embeddings, activations.cell_ids, "e1")),
            other,
            dictionary=dictionary,
        )


def test_another_dictionary_is_refused(encoded):
    embeddings, dictionary, activations = encoded
    other = cm.dictionaries.NeuronDictionary.fit(embeddings)
    with pytest.raises(DictionaryMismatchError) as error:
        barred_cells(activations, embeddings, other)
    assert str(error.value) == (
        f"the activations belong to dictionary {dictionary.dictionary_id}, not to {other.dictionary_id}. "
        "Pass the dictionary that encoded them."
    )
