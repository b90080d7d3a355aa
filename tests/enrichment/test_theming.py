import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from conceptome.core import ENRICHMENT_COLUMNS, Enrichment, InputError
from conceptome.enrichment import GeneSets, Ontology, themes


@pytest.fixture(scope="module")
def ontology():
    """Two branches below a root: T:1 with T:3 and T:4, T:2 with T:5."""
    parents = sp.lil_array((6, 6), dtype=bool)
    for child, parent in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)]:
        parents[child, parent] = True
    ids = pd.Index([f"T:{term}" for term in range(6)])
    return Ontology(ids, tuple(f"term {term}" for term in range(6)), ("",) * 6, sp.csr_array(parents))


@pytest.fixture(scope="module")
def sets():
    genes = [f"g{number}" for number in range(100)]
    members = {"T:3": genes[:4], "T:4": genes[2:6], "T:1": genes[:7], "T:5": genes[50:60], "T:0": genes}
    return GeneSets.from_mapping({**members, "HALLMARK": genes[:4]}, collection="mine")


def enrichment(*rows):
    """Rows of term, NES, p and leading edge; q is p."""
    frame = pd.DataFrame(rows, columns=["term", "nes", "p", "leading_edge"])
    frame = frame.assign(concept=7, collection="mine", name=frame["term"].str.lower(), size=20, overlap=1.0)
    frame = frame.assign(es=0.5, p_empirical=0.01, q_concept=frame["p"], q_global=frame["p"], no_signal=False)
    frame["flag"] = ""
    return Enrichment(frame[list(ENRICHMENT_COLUMNS)])


ROWS = [
    ("T:5", 2.0, 0.001, "g50;g51"),
    ("T:3", 2.0, 0.002, "g0;g1"),
    ("T:1", 2.0, 0.003, "g0;g1;g2"),
    ("T:4", -2.0, 0.004, "g2;g3"),
    ("HALLMARK", 2.0, 0.005, "g50;g51;g52"),
    ("T:0", 2.0, 0.2, "g0"),
]


def test_groups_by_meaning_and_the_rest_by_leading_edges(ontology, sets):
    found = themes(enrichment(*ROWS), ontology, gene_sets=sets, measure="lin").set_index("term")
    assert list(found.index) == ["T:5", "HALLMARK", "T:3", "T:1", "T:4"]
    assert list(found["theme"]) == [0, 0, 1, 1, 2]
    assert list(found["theme_term"]) == ["T:5", "T:5", "T:3", "T:3", "T:4"]
    assert list(found["theme_name"]) == ["term 5", "term 5", "term 3", "term 3", "term 4"]
    assert list(found["n_terms"]) == [2, 2, 2, 2, 1]
    assert found.loc["HALLMARK", "basis"] == "leading-edge overlap"
    assert found.loc["HALLMARK", "similarity"] == pytest.approx(2 / 3)
    assert found.loc["T:1", "basis"] == "semantic similarity"
    shared, own = -np.log(7 / 100), -np.log(4 / 100)
    assert found.loc["T:1", "similarity"] == pytest.approx(2 * shared / (shared + own))
    assert found.loc["T:3", "information_content"] == pytest.approx(own)


def test_without_an_ontology_leading_edges_decide(sets):
    found = themes(enrichment(*ROWS))
    assert (found["basis"] == "leading-edge overlap").all()
    assert list(found["term"]) == ["T:5", "HALLMARK", "T:3", "T:1", "T:4"]
    assert list(found["theme_name"]) == ["t:5", "t:5", "t:3", "t:3", "t:4"]
    assert found["information_content"].isna().all()
    assert list(themes(enrichment(*ROWS), min_overlap=0.7)["theme"]) == [0, 1, 2, 3, 4]


def test_the_order_of_rows_does_not_matter(ontology, sets):
    one = themes(enrichment(*ROWS), ontology, gene_sets=sets)
    other = themes(enrichment(*ROWS[::-1]), ontology, gene_sets=sets)
    pd.testing.assert_frame_equal(one, other)


def test_nothing_significant_makes_no_theme():
    found = themes(enrichment(*ROWS), alpha=1e-9)
    assert found.empty
    assert "theme_name" in found.columns


def test_an_ontology_needs_the_sets_it_knows(ontology):
    with pytest.raises(InputError, match=r"The ontology knows no term of the gene sets given \(none\)"):
        themes(enrichment(*ROWS), ontology)
    others = GeneSets.from_mapping({"HALLMARK": ["a"]})
    with pytest.raises(InputError, match=r"The ontology knows no term of the gene sets given \(custom\)"):
        themes(enrichment(*ROWS), ontology, gene_sets=others)


def test_terms_without_leading_edges_share_nothing(sets):
    record = enrichment(("A", 2.0, 0.001, ""), ("B", 2.0, 0.002, ""), ("C", 2.0, 0.003, "g1"))
    found = themes(record, gene_sets=sets)
    assert list(found["n_terms"]) == [1, 1, 1]
    assert list(found["similarity"]) == [1.0, 1.0, 1.0]
