import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptome.enrichment.gene_overlap import gene_overlap

SETS = st.lists(st.frozensets(st.sampled_from("abcdefgh")), min_size=1, max_size=6)


@settings(max_examples=50, deadline=None)
@given(sets=SETS, measure=st.sampled_from(["jaccard", "overlap"]))
def test_equals_the_definition_on_sets(sets, measure):
    found = gene_overlap([sorted(genes) for genes in sets], measure=measure)
    for i, one in enumerate(sets):
        for j, other in enumerate(sets):
            of = len(one | other) if measure == "jaccard" else min(len(one), len(other))
            assert found[i, j] == (len(one & other) / of if of else 0.0)


def test_thousands_of_terms_are_compared_in_little_time():
    rng = np.random.default_rng(0)
    sets = [rng.choice(8000, size=40, replace=False).astype(str).tolist() for _ in range(2000)]
    found = gene_overlap(sets)
    assert (np.diag(found) == 1).all()
    assert found[0, 1] == len({*sets[0]} & {*sets[1]}) / len({*sets[0]} | {*sets[1]})


def test_genes_of_one_name_count_once():
    assert gene_overlap([["a", "a", "b"], ["a", "c"]]).tolist() == [[1.0, 1 / 3], [1 / 3, 1.0]]
