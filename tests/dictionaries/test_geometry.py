"""Neighbours of concepts in planted dictionaries."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from conceptome.core import Activations, DictionaryMismatchError, InputError
from conceptome.dictionaries import TopKDictionary, Weights, nearest_concepts
from conceptome.dictionaries.geometry import coactivation

ANGLES = np.array([0.0, 0.2, 1.5, 1.9, 3.1])
ROWS = np.column_stack([np.cos(ANGLES), np.sin(ANGLES)]).astype(np.float32)
ZEROS = np.zeros(2, dtype=np.float32)
DICTIONARY = TopKDictionary(Weights(ROWS, np.zeros(5, dtype=np.float32), ROWS, ZEROS, ZEROS), 2)
ACTIVE = sp.csr_array(np.array([[1.0, 0, 2, 0, 0], [0, 1, 0, 0, 0], [3, 0, 4, 0, 0], [0, 1, 0, 1, 0]]))


def test_neighbours_by_direction_are_the_nearest_angles():
    table = nearest_concepts(DICTIONARY, ACTIVE, n_neighbours=2)
    assert list(table) == ["concept", "rank", "neighbour", "similarity", "shared", "expected"]
    for concept, rows in table.groupby("concept"):
        gaps = np.abs(ANGLES - ANGLES[concept])
        assert rows["neighbour"].tolist() == np.argsort(gaps)[1:3].tolist()
        assert rows["rank"].tolist() == [1, 2]
        np.testing.assert_allclose(rows["similarity"], np.cos(np.sort(gaps)[1:3]), atol=1e-6)


def test_concepts_that_exclude_each_other_share_fewer_cells_than_expected():
    table = nearest_concepts(DICTIONARY, ACTIVE, n_neighbours=4).set_index(["concept", "neighbour"])
    twins, partners = table.loc[(0, 1)], table.loc[(0, 2)]
    assert (twins["shared"], twins["expected"]) == (0, 0.25)
    assert (partners["shared"], partners["expected"]) == (0.5, 0.25)


def test_neighbours_by_activation_are_those_of_the_same_cells():
    table = nearest_concepts(DICTIONARY, ACTIVE, by="activations", n_neighbours=4)
    first = table[table["rank"] == 1].set_index("concept")
    assert first.loc[0, "neighbour"] == 2
    dense = ACTIVE.toarray()
    assert first.loc[0, "similarity"] == pytest.approx(np.corrcoef(dense[:, 0], dense[:, 2])[0, 1])
    silent = table[table["concept"] == 4]
    assert silent["similarity"].tolist() == [0, 0, 0, 0]
    assert silent["neighbour"].tolist() == [0, 1, 2, 3]
    for _, rows in table.groupby("concept"):
        assert all(one >= other for one, other in pairwise(rows["similarity"]))


def test_at_most_all_others_are_listed():
    assert len(nearest_concepts(DICTIONARY, ACTIVE, n_neighbours=50)) == 5 * 4


def test_coactivation_counts_cells():
    shared, frequency = coactivation(ACTIVE)
    active = ACTIVE.toarray() > 0
    np.testing.assert_array_equal(frequency, active.mean(axis=0))
    for one in range(5):
        for other in range(5):
            assert shared[one, other] == (active[:, one] & active[:, other]).mean()


def test_refuses_activations_of_another_dictionary():
    foreign = Activations(ACTIVE, pd.RangeIndex(4).astype(str), "another")
    with pytest.raises(DictionaryMismatchError) as other:
        nearest_concepts(DICTIONARY, foreign)
    assert str(other.value) == (
        f"These activations come from dictionary another, not from {DICTIONARY.dictionary_id}. Give those of "
        "the same dictionary."
    )
    with pytest.raises(DictionaryMismatchError, match=r"^The activations have 4 concepts, dictionary "):
        nearest_concepts(DICTIONARY, ACTIVE[:, :4])
    own = Activations(ACTIVE, pd.RangeIndex(4).astype(str), DICTIONARY.dictionary_id)
    pd.testing.assert_frame_equal(nearest_concepts(DICTIONARY, own), nearest_concepts(DICTIONARY, ACTIVE))
    with pytest.raises(InputError) as none:
        nearest_concepts(DICTIONARY, ACTIVE, n_neighbours=0)
    assert str(none.value) == "n_neighbours is 0, expected at least 1."
