"""A planted hierarchy over prefixes: three kinds, two of them with finer kinds within."""

import numpy as np
import pytest

from conceptome.core import InputError
from conceptome.dictionaries import MatryoshkaDictionary, TopKDictionary, Weights, hierarchy

CELLS = np.random.default_rng(0).choice(5, size=600, p=[0.2, 0.2, 0.2, 0.1, 0.3])  # A, A, B, B, C


def unit_dictionary(n_concepts=7, **settings):
    """A dictionary whose concept i is active where coordinate i is positive."""
    eye, zeros = np.eye(n_concepts, dtype=np.float32), np.zeros(n_concepts, dtype=np.float32)
    return MatryoshkaDictionary(Weights(eye, zeros, eye, zeros, zeros), (3, 7), threshold=0.0, **settings)


def planted():
    """Activations of A, B, C; of a kind in A and one in B; of one anywhere; of one that is never active."""
    rng = np.random.default_rng(1)
    anywhere, never = rng.random(600) < 0.3, np.zeros(600, dtype=bool)
    columns = [CELLS < 2, (CELLS == 2) | (CELLS == 3), CELLS == 4, CELLS == 0, CELLS == 3, anywhere, never]
    noise = rng.random((600, 7)) < 0.03
    active = np.column_stack(columns) ^ noise
    active[:, 6] = False
    return active.astype(np.float32)


def test_finer_kinds_lie_within_their_coarser_ones():
    active = planted()
    found = hierarchy(unit_dictionary(), active)
    table = found.concepts.set_index("concept")
    assert table["level"].tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert table["parent"].dropna().to_dict() == {3: 0, 4: 1}
    np.testing.assert_allclose(table["frequency"], active.mean(axis=0))
    child = active[:, 3] > 0
    assert table.loc[3, "share"] == pytest.approx(active[child, 0].mean())
    assert 0 < table.loc[3, "expected"] < 0.6
    line = table.loc[3]
    assert line["within"] == pytest.approx((line["share"] - line["expected"]) / (1 - line["expected"]))
    assert line["cosine"] == 0
    assert found.prefixes == (3, 7)
    assert found.links[["child", "parent"]].to_numpy().tolist() == [[3, 0], [4, 1]]
    assert (found.links["q"] < 1e-6).all()


def test_a_stricter_bound_leaves_fewer_links():
    active = planted()
    assert len(hierarchy(unit_dictionary(), active, min_within=0.99).links) == 0
    assert len(hierarchy(unit_dictionary(), active, min_within=0.01, fdr=1.0).links) >= 2


def test_independent_concepts_lie_within_none():
    n_false = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        active = (rng.random((500, 7)) < [0.6, 0.4, 0.2, 0.3, 0.1, 0.05, 0.02]).astype(np.float32)
        n_false += len(hierarchy(unit_dictionary(), active).links) > 0
    assert n_false <= 3  # 1 of 20 is expected at this false discovery rate


def test_a_trained_dictionary_nests_real_cells(demo_records):
    """The numbers are those of the activations, whatever was found."""
    from conceptome.dictionaries import Matryoshka, train

    cells = demo_records.activations.values.toarray()[:, :8].astype(np.float32)
    dictionary = train(cells, Matryoshka(prefixes=(4, 16), k=4, max_epochs=20), progress=False)
    found = hierarchy(dictionary, cells, min_within=0.01)
    active = dictionary.encode(cells).toarray() > 0
    assert len(found.links)
    for line in found.links.to_dict("records"):
        assert line["parent"] < 4 <= line["child"]
        both = active[:, line["parent"]] & active[:, line["child"]]
        assert line["share"] == pytest.approx(both.sum() / active[:, line["child"]].sum())
        assert line["share"] > line["expected"]


def test_refuses_dictionaries_without_prefixes():
    weights = unit_dictionary().weights
    flat = TopKDictionary(weights, 2)
    with pytest.raises(InputError) as none:
        hierarchy(flat, planted())
    assert str(none.value) == (
        f"Dictionary {flat.dictionary_id} is of kind 'topk' with prefixes (), a hierarchy needs two or more. "
        "Train with cm.dictionaries.Matryoshka."
    )
    single = MatryoshkaDictionary(weights, (7,), k=2)
    with pytest.raises(InputError, match=r"is of kind 'matryoshka' with prefixes \(7,\), a hierarchy needs"):
        hierarchy(single, planted())
    with pytest.raises(InputError) as share:
        hierarchy(unit_dictionary(), planted(), min_within=0.0)
    assert str(share.value) == "min_within is 0.0, expected a share above 0 and at most 1."
