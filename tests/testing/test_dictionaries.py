"""Dictionaries that keep the contract, and for every promise dictionaries that break it."""

from dataclasses import replace
from functools import partial
from importlib.metadata import entry_points

import numpy as np
import pandas as pd
import pytest

import conceptome as cm
from conceptome.core import Embeddings, InputError
from conceptome.dictionaries import TopK, TopKDictionary
from conceptome.testing import ContractError, check_dictionary


@pytest.fixture(scope="module")
def embeddings():
    values = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    return Embeddings(values, pd.RangeIndex(300).astype(str), "encoder", "scvi")


@pytest.fixture(scope="module")
def trained(embeddings):
    return cm.dictionaries.train(embeddings, TopK(n_concepts=24, k=4, max_epochs=3), seed=0)


SIZE = {"n_concepts": 24, "max_epochs": 2}
OURS = {
    "neurons": cm.dictionaries.NeuronDictionary.fit,
    "pca": partial(cm.dictionaries.PcaDictionary.fit, n_components=4),
    "ica": partial(cm.dictionaries.IcaDictionary.fit, n_components=4, seed=0),
    "nmf": partial(cm.dictionaries.NmfDictionary.fit, n_components=4, seed=0),
    "kmeans": partial(cm.dictionaries.KMeansDictionary.fit, n_clusters=10, seed=0),
    "random_sae": partial(cm.dictionaries.RandomSaeDictionary.fit, n_concepts=24, k=4, seed=0),
    "topk": partial(cm.dictionaries.train, options=TopK(k=4, **SIZE), progress=False),
    "batch_topk": partial(
        cm.dictionaries.train, options=cm.dictionaries.BatchTopK(k=4, **SIZE), progress=False
    ),
    "jumprelu": partial(cm.dictionaries.train, options=cm.dictionaries.JumpReLU(k=4, **SIZE), progress=False),
    "matryoshka": partial(
        cm.dictionaries.train, options=cm.dictionaries.Matryoshka(k=4, **SIZE), progress=False
    ),
    "relu_l1": partial(cm.dictionaries.train, options=cm.dictionaries.ReluL1(**SIZE), progress=False),
}


@pytest.mark.parametrize("kind", OURS)
def test_ours_keep_everything(kind, embeddings):
    report = check_dictionary(OURS[kind](embeddings), embeddings)
    assert str(report) == f"{kind} keeps all 9 promises that were checked."
    assert not report.skipped


def test_no_registered_kind_is_left_out():
    assert {entry.name for entry in entry_points(group="conceptome.dictionaries")} == set(OURS)


class OtherBias(TopKDictionary):
    def concept_rule(self, concept):
        rule = super().concept_rule(concept)
        return replace(rule, biases=rule.biases + 0.5)


class MoreActive(TopKDictionary):
    def concept_rule(self, concept):
        return replace(super().concept_rule(concept), k=self.k + 1)


@pytest.mark.parametrize(
    ("family", "words"),
    [
        (OtherBias, "concept_rule(0): weights and biases do not give the pre-activations."),
        (MoreActive, "concept_rule(0): threshold and k do not give the activations."),
    ],
)
def test_a_rule_that_does_not_hold(trained, embeddings, family, words):
    broken = family(trained.weights, trained.k, scale=trained.scale)
    with pytest.raises(ContractError) as caught:
        check_dictionary(broken, embeddings.values)
    assert words.partition(": ")[2] in str(caught.value)
    assert list(caught.value.report.failures) == ["rule"]


def test_takes_a_bare_array(trained, embeddings):
    assert len(check_dictionary(trained, embeddings.values).kept) == 9


def test_refuses_too_few_cells(trained, embeddings):
    with pytest.raises(InputError) as caught:
        check_dictionary(trained, embeddings.values[:1])
    assert str(caught.value) == "The number of cells to check with is 1, expected at least 2."


class NoKind(TopKDictionary):
    kind = ""


class Scaled(TopKDictionary):
    def __init__(self, weights, k, **kwargs):
        super().__init__(weights, k, **kwargs)
        self.directions = 2 * self.directions


class Narrow(TopKDictionary):
    def preactivations(self, z):
        return super().preactivations(z)[:, 1:]


class Doubles(TopKDictionary):
    def preactivations(self, z):
        return super().preactivations(z.astype(np.float64))


class Centres(TopKDictionary):
    def preactivations(self, z):
        return super().preactivations(z - z.mean(axis=0))


class Signed(TopKDictionary):
    def activate(self, pre):
        return pre

    def activate_one(self, pre, concept):
        return pre[:, concept]


class OneDiffers(TopKDictionary):
    def activate_one(self, pre, concept):
        return np.maximum(pre[:, concept], 0)


class Dense(TopKDictionary):
    def encode(self, embeddings):
        return super().encode(embeddings).toarray()


class EncodesTwice(TopKDictionary):
    def encode(self, embeddings):
        found = super().encode(embeddings)
        return found * 2 if not isinstance(embeddings, Embeddings) else found


class NoRecord(TopKDictionary):
    def encode(self, embeddings):
        return super().encode(embeddings.values if isinstance(embeddings, Embeddings) else embeddings)


class DecodesNan(TopKDictionary):
    def decode(self, activations):
        return super().decode(activations) * np.nan


class DenseDiffers(TopKDictionary):
    def decode(self, activations):
        return super().decode(activations) + isinstance(activations, np.ndarray)


class Writes(TopKDictionary):
    def activate(self, pre):
        found = super().activate(pre)
        pre[:] = found
        return found


class Forgets(TopKDictionary):
    @classmethod
    def load(cls, path):
        loaded = super().load(path)
        return cls(loaded.weights, 1)


BROKEN = {
    NoKind: ("members", "kind is '', expected a text."),
    Scaled: ("directions", "directions have lengths from 2 to 2, expected 1."),
    Narrow: ("preactivations", "preactivations() has shape (300, 23), expected finite numbers, cells x "),
    Doubles: ("preactivations", "preactivations() of float32 are float64. Compute in the type of the input."),
    Centres: ("preactivations", "preactivations() of a cell depend on the other cells of the call."),
    Signed: ("activations", "activate() returns -"),
    OneDiffers: ("activations", "activate_one(pre, "),
    Dense: ("encode", "encode() of an array returns ndarray, expected a CSR array."),
    EncodesTwice: ("encode", "encode() is not activate() of preactivations()."),
    NoRecord: ("encode", "encode() of Embeddings returns csr_array, expected Activations."),
    DecodesNan: (
        "decode",
        "decode() has shape (300, 8), expected finite numbers, cells x d_embed = (300, 8).",
    ),
    DenseDiffers: ("decode", "decode() of a CSR array differs from decode() of a dense array."),
    Writes: ("untouched", "the caller's arrays are changed. Copy before writing."),
    Forgets: ("saving", "loaded again it has the dictionary_id "),
}


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_says_which_promise_is_broken(kind, trained, embeddings):
    promise, sentence = BROKEN[kind]
    dictionary = kind(trained.weights, trained.k, scale=trained.scale, encoder_id=trained.encoder_id)
    with pytest.raises(ContractError) as caught:
        check_dictionary(dictionary, embeddings)
    failures = caught.value.report.failures
    assert set(failures) == {promise}
    assert any(found.startswith(sentence) for found in failures[promise]), failures[promise]
