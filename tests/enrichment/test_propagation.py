import time

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptome.core import InputError
from conceptome.enrichment import GeneSets, Ontology, match_terms, propagate


def graph(edges, n_terms, **more):
    """Terms T0, T1, ...; an edge goes from child to parent."""
    parents = sp.lil_array((n_terms, n_terms), dtype=bool)
    for child, parent in edges:
        parents[child, parent] = True
    ids = pd.Index([f"T:{term}" for term in range(n_terms)])
    names = tuple(f"term {term}" for term in range(n_terms))
    return Ontology(ids, names, ("space",) * n_terms, sp.csr_array(parents), **more)


def brute_force(members, edges):
    """Walk from every annotated term to all its parents, again and again."""
    closed = {term: set(genes) for term, genes in members.items()}
    changed = True
    while changed:
        changed = False
        for child, parent in edges:
            missing = closed.get(child, set()) - closed.get(parent, set())
            if missing:
                closed.setdefault(parent, set()).update(missing)
                changed = True
    return closed


@st.composite
def annotated_graphs(draw):
    n_terms = draw(st.integers(2, 12))
    below = [(child, parent) for child in range(n_terms) for parent in range(child)]
    edges = draw(st.lists(st.sampled_from(below), unique=True))
    some = st.lists(st.integers(0, 8), min_size=1, max_size=4)
    members = draw(st.dictionaries(st.integers(0, n_terms - 1), some, min_size=1))
    return n_terms, edges, members


@settings(max_examples=60, deadline=None)
@given(annotated_graphs())
def test_equals_walking_the_graph(drawn):
    n_terms, edges, members = drawn
    sets = GeneSets.from_mapping(
        {f"T:{term}": [f"g{gene}" for gene in genes] for term, genes in members.items()}
    )
    found = propagate(sets, graph(edges, n_terms))
    expected = {
        f"T:{term}": {f"g{gene}" for gene in genes} for term, genes in brute_force(members, edges).items()
    }
    assert dict(zip(found.terms, map(set, found.members), strict=True)) == expected
    assert found.terms[: len(sets)] == sets.terms


def test_keeps_order_names_and_what_is_not_in_the_ontology(caplog):
    sets = GeneSets(
        "mine", ("T:2", "other", "T:9"), ("my name", "Other", "old"), (("b", "a"), ("x",), ("c", "a"))
    )
    ontology = graph([(2, 1), (1, 0)], 3, alternatives={"T:9": "T:2"})
    found = propagate(sets, ontology)
    assert found.terms == ("T:2", "T:0", "T:1", "other")
    assert found.names == ("my name", "term 0", "term 1", "Other")
    assert found.members == (("b", "a", "c"), ("b", "a", "c"), ("b", "a", "c"), ("x",))
    assert "1 of the 3 terms of mine are not in the ontology, such as other; see match_terms." in caplog.text


def test_refuses_a_collection_of_something_else():
    with pytest.raises(InputError, match="None of the 1 terms of custom is in the ontology"):
        propagate(GeneSets.from_mapping({"HALLMARK": ["a"]}), graph([(1, 0)], 2))


def test_matches_by_every_flavour_of_name():
    ontology = Ontology(
        pd.Index(["GO:0000001", "GO:0000002", "GO:0000003"]),
        ("alpha-beta T cell activation", "binding", "binding"),
        ("biological_process", "molecular_function", "biological_process"),
        sp.csr_array((3, 3), dtype=bool),
        alternatives={"GO:0000009": "GO:0000002"},
        obsolete=frozenset({"GO:0000008"}),
    )
    labels = {
        "GO:0000001": ("GO:0000001", "identifier"),
        "alpha-beta T cell activation (GO:0000001)": ("GO:0000001", "identifier"),
        "GO:0000009": ("GO:0000002", "former identifier"),
        "GOBP_ALPHA_BETA_T_CELL_ACTIVATION": ("GO:0000001", "name"),
        "Alpha-Beta T cell activation": ("GO:0000001", "name"),
        "GOMF_BINDING": ("GO:0000002", "name"),
        "GOBP_BINDING": ("GO:0000003", "name"),
        "binding": ("", "unknown"),  # two terms have this name
        "GOCC_BINDING": ("", "unknown"),
        "GO:0000008": ("", "obsolete"),
        "HALLMARK_HYPOXIA": ("", "unknown"),
    }
    found = match_terms(GeneSets.from_mapping({label: ["a"] for label in labels}), ontology)
    assert (
        dict(zip(found["term"], zip(found["ontology_id"], found["how"], strict=True), strict=True)) == labels
    )


def test_the_gene_ontology_and_msigdb(gene_ontology, go_bp):
    """Names alone find the identifier that MSigDB gives; the closure equals a walk through the real graph."""
    ontology, sets = gene_ontology, go_bp
    by_id = match_terms(sets, ontology)
    assert dict(by_id["how"].value_counts()) == {"identifier": 7087, "unknown": 176}
    by_name = match_terms(GeneSets(sets.collection, sets.names, sets.names, sets.members), ontology)
    mapped = by_name["how"] == "name"
    assert mapped.sum() == 7049
    assert (by_name.loc[mapped, "ontology_id"] == by_id.loc[mapped, "ontology_id"]).all()

    start = time.perf_counter()
    found = propagate(sets, ontology)
    assert time.perf_counter() - start < 30
    rows = dict(zip(sets.terms, sets.members, strict=True))
    closed = brute_force(
        {ontology.position(term): rows[term] for term in by_id.loc[by_id["ontology_id"] != "", "term"]},
        list(zip(*ontology.parents.nonzero(), strict=True)),
    )
    after = dict(zip(found.terms, found.members, strict=True))
    assert len(after) == len(closed) + 176
    rng = np.random.default_rng(0)
    for position in rng.choice(sorted(closed), size=500, replace=False):
        assert set(after[ontology.ids[position]]) == closed[position]
