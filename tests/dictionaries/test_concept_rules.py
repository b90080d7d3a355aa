"""The short description of a concept says what the dictionary does."""

import numpy as np
import pytest

from conceptome.dictionaries import (
    BatchTopKDictionary,
    IcaDictionary,
    JumpReluDictionary,
    KMeansDictionary,
    MatryoshkaDictionary,
    NeuronDictionary,
    NmfDictionary,
    PcaDictionary,
    RandomSaeDictionary,
    ReluL1Dictionary,
    ThresholdedWeights,
    TopKDictionary,
    Weights,
)

N_CELLS, N_CONCEPTS, D_EMBED = 300, 24, 6
RNG = np.random.default_rng(0)
Z = RNG.normal(size=(N_CELLS, D_EMBED))
DIRECTIONS = RNG.normal(size=(N_CONCEPTS, D_EMBED)) * RNG.gamma(2, size=(N_CONCEPTS, 1))
PARTS = (DIRECTIONS, RNG.normal(size=N_CONCEPTS), DIRECTIONS, RNG.normal(size=D_EMBED), Z.mean(axis=0))
WEIGHTS = Weights(*PARTS)
JUMPS = ThresholdedWeights(*PARTS, RNG.gamma(2, size=N_CONCEPTS))

WITH_RULES = {
    "topk": lambda: TopKDictionary(WEIGHTS, 3, scale=0.7),
    "batch_topk": lambda: BatchTopKDictionary(WEIGHTS, threshold=1.5, scale=0.7),
    "jumprelu": lambda: JumpReluDictionary(JUMPS, scale=0.7),
    "matryoshka": lambda: MatryoshkaDictionary(WEIGHTS, [8, N_CONCEPTS], k=3),
    "relu_l1": lambda: ReluL1Dictionary(WEIGHTS, scale=1.3),
    "neurons": lambda: NeuronDictionary.fit(Z),
    "pca": lambda: PcaDictionary.fit(Z),
    "ica": lambda: IcaDictionary.fit(Z),
}
WITHOUT_RULES = {
    "kmeans": lambda: KMeansDictionary.fit(Z, n_clusters=5),
    "nmf": lambda: NmfDictionary.fit(Z),
    "random_sae": lambda: RandomSaeDictionary.fit(Z, n_concepts=N_CONCEPTS, k=3),
}


@pytest.mark.parametrize("name", WITH_RULES)
def test_a_rule_gives_the_activations_of_its_dictionary(name):
    dictionary = WITH_RULES[name]()
    some = 0
    for concept in range(dictionary.n_concepts):
        rule = dictionary.concept_rule(concept)
        p = Z @ rule.weights.T + rule.biases
        own = p[:, [concept]]
        stronger = (p > own) | ((p == own) & (np.arange(dictionary.n_concepts) < concept))
        through = (own[:, 0] > rule.threshold) & (rule.k is None or stronger.sum(axis=1) < (rule.k or 0))
        expected = dictionary.activate_one(dictionary.preactivations(Z), concept)
        np.testing.assert_allclose(np.where(through, own[:, 0], 0.0), expected, atol=1e-9)
        some += int((expected > 0).sum())
    assert some > N_CELLS


@pytest.mark.parametrize("name", WITHOUT_RULES)
def test_no_rule_where_activations_follow_another(name):
    assert WITHOUT_RULES[name]().concept_rule(0) is None
