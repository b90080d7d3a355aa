import math

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from conceptome.core import InputError
from conceptome.enrichment import (
    GeneSets,
    Ontology,
    information_content,
    roll_up,
    semantic_similarity,
    slim_of,
)


@pytest.fixture(scope="module")
def ontology():
    """A:0 above A:1 and A:2; A:3 below A:1; A:4 below both; B:0 apart, in its own namespace; A:5 bare."""
    edges = [(1, 0), (2, 0), (3, 1), (4, 1), (4, 2), (6, 0)]
    parents = sp.lil_array((7, 7), dtype=bool)
    for child, parent in edges:
        parents[child, parent] = True
    ids = pd.Index(["A:0", "A:1", "A:2", "A:3", "A:4", "B:0", "A:5"])
    namespaces = ("a", "a", "a", "a", "a", "b", "a")
    names = ("root", "one", "two", "three", "four", "other", "bare")
    subsets = {"small": ("A:0", "A:1", "A:2"), "far": ("A:5",)}
    return Ontology(ids, names, namespaces, sp.csr_array(parents), subsets=subsets)


@pytest.fixture(scope="module")
def sets():
    genes = {"A:3": "ab", "A:4": "bc", "A:2": "cdefgh", "B:0": "xyz"}
    return GeneSets.from_mapping({term: list(letters) for term, letters in genes.items()})


def test_information_counts_genes_at_and_below(ontology, sets):
    found = information_content(sets, ontology)
    assert found["A:0"] == 0
    assert found["B:0"] == 0
    assert found["A:3"] == pytest.approx(math.log(8 / 2))
    assert found["A:1"] == pytest.approx(math.log(8 / 3))
    assert found["A:2"] == pytest.approx(math.log(8 / 7))
    assert np.isnan(found["A:5"])


def test_similarity_by_hand(ontology, sets):
    information = information_content(sets, ontology)
    terms = ["A:3", "A:4", "A:2", "B:0", "A:5"]
    lin = semantic_similarity(terms, ontology, information, measure="lin")
    relevance = semantic_similarity(terms, ontology, information)
    expected = 2 * math.log(8 / 3) / (2 * math.log(4))
    assert lin.loc["A:3", "A:4"] == pytest.approx(expected)
    assert relevance.loc["A:3", "A:4"] == pytest.approx(expected * (1 - 3 / 8))
    assert lin.loc["A:3", "A:3"] == pytest.approx(1)
    assert relevance.loc["A:3", "A:3"] == pytest.approx(1 - 2 / 8)
    assert (lin.loc["A:3", "A:2"], lin.loc["A:3", "B:0"]) == (0, 0)
    assert lin["A:5"].isna().all()
    pd.testing.assert_frame_equal(lin, lin.T)


def test_similarity_on_the_gene_ontology(gene_ontology, go_bp):
    """Kin are alike, strangers are not, and every pair equals a search through both terms' ancestors."""
    information = information_content(go_bp, gene_ontology)
    found = semantic_similarity(["GO:0030101", "GO:0042267", "GO:0006412"], gene_ontology, information)
    assert found.iloc[0, 2] < 0.1
    terms = list(np.random.default_rng(0).choice(go_bp.terms[2000:3000], size=40, replace=False))
    terms = [term for term in terms if term in gene_ontology.ids]
    found = semantic_similarity(terms, gene_ontology, information, measure="lin")
    above = {term: {term, *gene_ontology.ancestors_of(term)} for term in terms}
    for a in terms:
        for b in terms:
            shared = max((information[term] for term in above[a] & above[b]), default=0.0)
            assert found.loc[a, b] == pytest.approx(2 * shared / (information[a] + information[b]))


def test_rolls_annotations_up(ontology, sets):
    found = roll_up(sets, ontology, slim="small")
    assert found.terms == ("A:0", "A:1", "A:2")
    assert found.names == ("root", "one", "two")
    assert list(map(set, found.members)) == [set("abcdefgh"), set("abc"), set("bcdefgh")]
    assert roll_up(sets, ontology, slim=["A:2", "A:5"]).terms == ("A:2",)


def test_rolls_findings_up_to_the_nearest(ontology):
    found = slim_of(["A:3", "A:4", "A:0", "A:5", "B:0"], ontology, slim="small")
    assert list(zip(found["term"], found["slim_term"], strict=True)) == [
        ("A:3", "A:1"),
        ("A:4", "A:1"),
        ("A:4", "A:2"),
        ("A:0", "A:0"),
        ("A:5", "A:0"),
        ("B:0", ""),
    ]
    assert list(found["slim_name"])[:3] == ["one", "one", "two"]


def test_says_what_is_wrong_with_a_slim(ontology, sets):
    with pytest.raises(InputError, match="The ontology has no subset 'tiny'; it has far, small"):
        slim_of(["A:3"], ontology, slim="tiny")
    with pytest.raises(InputError, match="The slim holds no term"):
        roll_up(sets, ontology, slim=[])
    with pytest.raises(InputError, match="No gene of custom falls under the 1 terms of the slim"):
        roll_up(sets, ontology, slim="far")
