import re

import numpy as np
import pandas as pd
import pytest

from conceptome.core import Enrichment, InputError
from conceptome.enrichment import contrast, gsea

N_TERMS = 40


def record(found, *, n_concepts=6, seed=0):
    """Make an enrichment that finds the terms of `found[concept]`; a negative number is found with ES < 0."""
    rng = np.random.default_rng(seed)
    rows = []
    for concept in range(n_concepts):
        signs = {abs(term): np.sign(term) for term in found.get(concept, ())}
        for term in range(1, N_TERMS + 1):
            es = 0.5 * signs.get(term, rng.choice([-1, 1]))
            q = 0.01 if term in signs else 0.8
            rows.append(
                (concept, "c", f"t{term:02d}", f"t{term:02d}", 10 + term % 5, 1.0, es, es * 2, q, q, q, q)
            )
    columns = ["concept", "collection", "term", "name", "size", "overlap", "es", "nes", "p", "p_empirical"]
    frame = pd.DataFrame(rows, columns=[*columns, "q_concept", "q_global"])
    return Enrichment(frame.assign(no_signal=False, leading_edge="", flag=""))


def test_names_what_both_find_and_what_only_one_finds():
    result = contrast(record({0: [1, 2, 3, -4], 1: [5]}), record({0: [2, 3, 4, 9], 2: [7]}))
    found = result.findings.set_index(["concept", "term"])["found"]
    assert found[0].to_dict() == {
        "t01": "only attribution",
        "t02": "both",
        "t03": "both",
        "t04": "opposite",
        "t09": "only expression",
    }
    assert found[1, "t05"] == "only attribution"
    assert found[2, "t07"] == "only expression"
    concepts = result.concepts.set_index("concept")
    counts = ["n_both", "n_opposite", "n_only_attribution", "n_only_expression"]
    assert concepts.loc[0, counts].tolist() == [2, 1, 1, 1]
    assert concepts.loc[0, "jaccard"] == pytest.approx(2 / 5)
    assert concepts.loc[[1, 2], "p"].isna().all()  # one of the two found nothing
    assert np.isnan(concepts.loc[3, "jaccard"])
    assert result.jaccard == pytest.approx((2 / 5 + 0 + 0) / 3)
    columns = ["es_attribution", "nes_attribution", "q_global_attribution"]
    columns += ["es_expression", "nes_expression", "q_global_expression"]
    assert list(result.findings.columns[-6:]) == columns


def test_agreement_beyond_chance_has_a_small_p():
    rng = np.random.default_rng(1)
    sets = {concept: list(rng.choice(np.arange(1, 41), size=8, replace=False)) for concept in range(6)}
    same = contrast(record(sets), record(sets, seed=1), n_permutations=500)
    assert same.jaccard == 1
    assert same.p < 0.02
    assert same.expected < 0.4
    assert (same.concepts["p"] < 0.01).all()
    assert (same.concepts["expected"] < 4).all()


def test_chance_agreement_keeps_its_level():
    """Findings drawn alike for both: the p of a concept is uniform, as is that of the dictionary."""
    rng = np.random.default_rng(2)
    by_concept, whole = [], []
    for run in range(40):
        one, other = (
            {concept: list(rng.choice(np.arange(1, 41), size=10, replace=False)) for concept in range(6)}
            for _ in range(2)
        )
        result = contrast(record(one), record(other, seed=1), n_permutations=200, seed=run)
        by_concept.extend(result.concepts["p"])
        whole.append(result.p)
    assert (np.array(by_concept) <= 0.05).mean() < 0.09  # 240 tests: 0.05 + 2.8 standard errors
    assert (np.array(whole) <= 0.05).sum() <= 6


def test_findings_common_to_all_concepts_are_no_agreement_of_the_dictionary():
    common = {concept: [1, 2, 3, 4] for concept in range(6)}
    result = contrast(record(common), record(common, seed=1))
    assert result.jaccard == result.expected == 1
    assert result.p == 1


def test_nothing_found_and_nothing_in_common():
    empty = contrast(record({}), record({}))
    assert len(empty.findings) == 0
    assert np.isnan([empty.jaccard, empty.p]).all()
    other = record({})
    elsewhere = Enrichment(other.table.assign(collection="other"))
    with pytest.raises(InputError) as error:
        contrast(record({}), elsewhere)
    assert str(error.value) == (
        "The enrichments by attribution and by expression have no concept and term in common; expected two "
        "of the same dictionary with the same gene sets."
    )


def test_real_enrichments(demo_records):
    result = contrast(demo_records.enrichment, demo_records.enrichment_de, alpha=0.2)
    assert set(result.concepts["concept"]) <= set(demo_records.enrichment.table["concept"])
    again = contrast(demo_records.enrichment, demo_records.enrichment_de, alpha=0.2)
    pd.testing.assert_frame_equal(result.concepts, again.concepts)
    by_t = gsea(demo_records.de.scores("t_test"), demo_records.gene_sets, min_size=5, n_permutations=200)
    similar = contrast(demo_records.enrichment_de, by_t, names=("wilcoxon", "t"), alpha=0.2)
    assert similar.jaccard > result.jaccard


def test_one_name_for_two_is_refused():
    found = record({0: [1]})
    message = "names is ('gsea', 'gsea'), expected two that differ."
    with pytest.raises(InputError, match=re.escape(message)):
        contrast(found, found, names=("gsea", "gsea"))
