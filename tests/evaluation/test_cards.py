"""Each part of the score against brute force, on cells made of known parts."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptome.core import (
    AREAS,
    ENRICHMENT_COLUMNS,
    DictionaryMismatchError,
    Embeddings,
    Enrichment,
    Faithfulness,
    InputError,
)
from conceptome.dictionaries import TopKDictionary, Weights
from conceptome.evaluation import SeedStability, card_scores, label_concepts, measure_seeds, read_cells
from conceptome.evaluation.cards import PARTS, SHUFFLES, above

D_EMBED, N_CELLS, N_CONCEPTS = 8, 300, 10
SILENT = N_CONCEPTS - 1


def planted(rows, *, silent):
    """Make a dictionary of given directions; one of its concepts is never active."""
    rows = np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)
    zeros, bias = np.zeros(D_EMBED, np.float32), np.zeros(N_CONCEPTS, np.float32)
    bias[silent] = -1e3
    return TopKDictionary(Weights(rows, bias, rows, zeros, zeros), 3, encoder_id="e")


ROWS = np.random.default_rng(0).normal(size=(N_CONCEPTS, D_EMBED))


@pytest.fixture(scope="module")
def dictionary():
    return planted(ROWS, silent=SILENT)


@pytest.fixture(scope="module")
def cells():
    anndata = pytest.importorskip("anndata")
    rng = np.random.default_rng(1)
    types = rng.integers(3, size=N_CELLS)
    strengths = rng.exponential(size=(N_CELLS, N_CONCEPTS)) * (rng.random((N_CELLS, N_CONCEPTS)) < 0.2)
    strengths[np.arange(N_CELLS), types] += 2
    ids = pd.Index([f"c{number:03}" for number in range(N_CELLS)])
    obs = pd.DataFrame({"type": [f"t{each}" for each in types], "noise": "a"}, index=ids)
    obs["noise"] = rng.choice(["a", "b"], N_CELLS)
    adata = anndata.AnnData(X=np.ones((N_CELLS, 2), np.float32), obs=obs)
    z = (strengths @ ROWS + 0.1 * rng.normal(size=(N_CELLS, D_EMBED))).astype(np.float32)
    embeddings = Embeddings(z, ids, "e", "planted")
    found, _ = read_cells(
        adata, None, embeddings, label_keys=["type", "noise"], group_key=None, batch_key=None, seed=0
    )
    return found


@pytest.fixture(scope="module")
def stability(dictionary, cells):
    noise = np.random.default_rng(2).normal(size=ROWS.shape)
    return measure_seeds([dictionary, planted(ROWS + 0.5 * noise, silent=SILENT)], cells.embeddings)


def faithful(areas, *, dictionary_id, methods=("substitute", "random")):
    """Make a record of ``concept: (deletion, insertion, random deletion, random insertion)``."""
    rows = [
        (concept, 0, method, 5, *values, *values)
        for concept, four in areas.items()
        for method, values in zip(methods, (four[:2], four[2:]), strict=False)
    ]
    table = pd.DataFrame(rows, columns=["concept", "pair", "method", "n_differing", *AREAS])
    curves = np.zeros((len(methods), len(areas), 2))
    return Faithfulness(table, curves, curves, methods, np.array([*areas]), dictionary_id, "e")


def enriched(rows, *, dictionary_id, calibration=None):
    """Make a record of ``(concept, term, nes, p, q, flag)``."""
    table = pd.DataFrame(rows, columns=["concept", "term", "nes", "p", "q_global", "flag"])
    table = table.assign(collection="sets", name=table["term"], es=table["nes"], no_signal=False)
    table = table.reindex(columns=list(ENRICHMENT_COLUMNS))
    return Enrichment(
        table, dictionary_id, calibration=pd.DataFrame() if calibration is None else calibration
    )


def test_fidelity_is_what_the_reconstruction_loses_without_the_concept(cells, dictionary):
    found = card_scores(cells, dictionary).set_index("concept")
    heldout = cells.heldout_by(dictionary, seed=0)
    mean = cells.z[~heldout].mean(axis=0, dtype=np.float64)
    seen = cells.z[heldout].astype(np.float64)
    dense = dictionary.encode(cells.z)[heldout].toarray()
    decoded = dictionary.decode(dense).astype(np.float64)
    everything = ((seen - mean) ** 2).sum()
    n_measured = 0
    for concept in range(N_CONCEPTS):
        without = dense.copy()
        without[:, concept] = 0
        lost = ((seen - dictionary.decode(without)) ** 2).sum() - ((seen - decoded) ** 2).sum()
        active = dense[:, concept] > 0
        if concept != SILENT:
            assert found.loc[concept, "variance_lost"] == pytest.approx(lost / everything, rel=1e-4, abs=1e-7)
        if active.sum() >= 5:
            share = lost / ((seen[active] - mean) ** 2).sum()
            assert found.loc[concept, "part_fidelity"] == pytest.approx(
                np.clip(share, 0, 1), rel=1e-4, abs=1e-6
            )
            n_measured += 1
    assert n_measured >= 5


def test_label_is_f1_above_that_of_shuffled_labels(cells, dictionary):
    found = card_scores(cells, dictionary, seed=3)["part_label"]
    activations, expected = dictionary.encode(cells.z), []
    for column in cells.labels:
        rng = np.random.default_rng(3)
        own = label_concepts(activations, column.labels, seed=3)["best_label_f1"]
        chance = sum(
            label_concepts(activations, rng.permutation(column.labels), seed=3)["best_label_f1"]
            for _ in range(SHUFFLES)
        )
        expected.append((own - chance / SHUFFLES) / (1 - chance / SHUFFLES))
    np.testing.assert_allclose(found, np.clip(np.max(expected, axis=0), 0, 1))
    assert found[:3].min() > 0.5  # these mark the types


def test_stability_is_above_its_null(cells, dictionary, stability):
    found = card_scores(cells, dictionary, stability=stability).set_index("concept")["part_stability"]
    table = stability.of("activations")
    for concept in range(SILENT):
        value, null = table.loc[concept, ["stability", "null"]]
        assert found[concept] == pytest.approx(max((value - null) / (1 - null), 0))
    assert found.max() > 0.5


def test_faithfulness_is_measured_from_random_orders(cells, dictionary):
    areas = {
        0: (0.2, 0.6, 0.8, 0.2),  # three quarters of deletion, a half of insertion
        1: (0.9, 0.1, 0.8, 0.2),  # worse than random
        2: (0.0, 1.0, 0.5, 0.5),
        3: (0.0, 1.0, 0.0, 1.0),  # nothing to gain
    }
    record = faithful(areas, dictionary_id=dictionary.dictionary_id)
    found = card_scores(cells, dictionary, faithfulness=record)["part_faithfulness"]
    np.testing.assert_allclose(found[:4], [0.625, 0, 1, 0])
    assert found[4:].isna().all()


def test_annotation_is_the_specificity_of_the_best_supported_finding(cells, dictionary):
    rows = [
        (0, "own", 2.0, 1e-6, 0.01, ""),
        (0, "common", 2.0, 1e-3, 0.01, ""),
        (1, "common", 2.0, 1e-3, 0.01, ""),
        (2, "common", 2.0, 1e-3, 0.01, ""),
        (2, "opposed", -2.0, 1e-9, 0.01, ""),
        (3, "ribosome", 2.0, 1e-9, 0.01, "ribosomal"),
        (4, "weak", 2.0, 0.04, 0.2, ""),
    ]
    own = dictionary.dictionary_id
    found = card_scores(cells, dictionary, enrichment=enriched(rows, dictionary_id=own))["part_annotation"]
    np.testing.assert_allclose(found[:5], [1, 0.5, 0.5, 1, 0])  # "common" is in two of four others
    assert found[5:].isna().all()
    calibration = pd.DataFrame({"flag": ["ribosomal"], "alpha": 0.05, "rate": 0.2, "ci_low": 0.1})
    suspect = enriched(rows, dictionary_id=own, calibration=calibration)
    assert card_scores(cells, dictionary, enrichment=suspect)["part_annotation"][3] == 0


def test_the_score_is_the_mean_of_what_was_measured(cells, dictionary, stability):
    record = faithful({1: (0.2, 0.6, 0.8, 0.2)}, dictionary_id=dictionary.dictionary_id)
    found = card_scores(cells, dictionary, stability=stability, faithfulness=record).set_index("concept")
    for concept, row in found.iterrows():
        parts = [row[name] for name in PARTS if np.isfinite(row[name])]
        assert row["card_parts"] == len(parts)
        assert concept == SILENT or row["card_score"] == pytest.approx(sum(parts) / len(parts))
    assert found.loc[1, "card_parts"] == 4
    assert found["part_annotation"].isna().all()
    assert found.loc[SILENT].drop("card_parts").isna().all()
    assert ((found[list(PARTS)] >= 0) & (found[list(PARTS)] <= 1) | found[list(PARTS)].isna()).all(axis=None)


def test_the_order_of_concepts_and_cells_changes_nothing(cells, dictionary):
    order = np.random.default_rng(5).permutation(N_CONCEPTS)
    weights = dictionary.weights
    turned = Weights(
        weights.w_enc[order], weights.b_enc[order], weights.directions[order], weights.b_dec, weights.mean
    )
    other = TopKDictionary(turned, 3, encoder_id="e")
    there = card_scores(cells, other).drop(columns="concept")
    here = card_scores(cells, dictionary).drop(columns="concept").iloc[order].reset_index(drop=True)
    pd.testing.assert_frame_equal(here, there, rtol=1e-5)


def test_records_of_other_dictionaries_are_refused(cells, dictionary):
    with pytest.raises(DictionaryMismatchError) as error:
        card_scores(cells, dictionary, enrichment=enriched([], dictionary_id="other"))
    own = dictionary.dictionary_id
    assert str(error.value) == (
        f"enrichment belongs to dictionary other, the concepts to {own}. Make it for this dictionary."
    )
    record = SeedStability(
        pd.DataFrame({"by": "activations", "concept": [0], "stability": 1.0, "null": 0.0}), pd.DataFrame(), ()
    )
    with pytest.raises(InputError) as refusal:
        card_scores(cells, dictionary, stability=record)
    assert str(refusal.value) == (
        "stability is of 1 concepts, the dictionary has 10. Measure it with measure_seeds, this dictionary "
        "first."
    )
    alone = faithful({0: (0.1, 0.9)}, dictionary_id=own, methods=("substitute",))
    with pytest.raises(InputError) as lacking:
        card_scores(cells, dictionary, faithfulness=alone)
    assert (
        str(lacking.value) == "faithfulness was measured without random orders. Measure it with n_random=5."
    )


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=8))
def test_chance_is_zero_and_more_is_never_less(pairs):
    value, chance = np.array(pairs).T
    found = above(value, chance)
    assert ((found >= 0) & (found <= 1)).all()
    assert (above(chance, chance) == 0).all()
    assert (above(np.minimum(value + 0.1, 1), chance) >= found).all()
    assert (above(np.ones_like(chance), chance)[chance < 1] == 1).all()
