import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptome.core import InputError
from conceptome.enrichment import running_sum
from conceptome.enrichment.rankings import Rankings


def textbook_es(scores, members):
    """Follow the whole ranking gene by gene and look at the sum only where the score changes."""
    order = np.argsort(-scores, kind="stable")
    total = np.abs(scores[members]).sum()
    if total == 0:
        return 0.0
    misses = len(scores) - len(members)
    value, seen = 0.0, [0.0]
    for rank, gene in enumerate(order):
        value += abs(scores[gene]) / total if gene in members else -1 / misses
        if rank + 1 == len(order) or scores[order[rank + 1]] != scores[gene]:
            seen.append(value)
    return max(seen) if max(seen) > -min(seen) else min(seen)


@st.composite
def ranked_sets(draw):
    n_genes = draw(st.integers(4, 40))
    levels = draw(st.integers(0, 6))
    scores = draw(st.lists(st.integers(-levels, levels), min_size=n_genes, max_size=n_genes))
    members = draw(st.lists(st.integers(0, n_genes - 1), min_size=1, max_size=n_genes - 1, unique=True))
    return np.array(scores, dtype=float), members


@settings(deadline=None)  # the first example compiles
@given(ranked_sets())
def test_es_equals_the_textbook_walk(case):
    scores, members = case
    rankings = Rankings.of(scores[None])
    own = rankings.scores_of([np.array(members)])
    expected = textbook_es(scores, members)
    ranks = np.sort(rankings.ranks[:, members])
    assert rankings.scores(ranks)[0, 0] == own.single[0, 0]  # the bits that null scores are compared by
    if abs(abs(own.es[0, 0]) - abs(expected)) < 1e-9 and np.sign(own.es[0, 0]) != np.sign(expected):
        return  # highest and lowest are equally far: rounding decides the sign
    assert own.es[0, 0] == pytest.approx(expected, abs=1e-12)
    assert abs(own.single[0, 0]) == pytest.approx(abs(expected), abs=1e-6)
    assert 0 <= own.peak[0, 0] < len(members)


@settings(deadline=None)  # the first example compiles
@given(ranked_sets(), st.randoms())
def test_the_order_of_genes_changes_nothing(case, random):
    scores, members = case
    shuffled = list(range(len(scores)))
    random.shuffle(shuffled)
    position = np.argsort(shuffled)
    one, other = Rankings.of(scores[None]), Rankings.of(scores[shuffled][None])
    of_one, of_other = one.scores_of([np.array(members)]), other.scores_of([position[members]])
    assert of_one.es[0, 0] == of_other.es[0, 0]
    assert of_one.single[0, 0] == of_other.single[0, 0]


@settings(deadline=None)  # the first example compiles
@given(ranked_sets(), st.integers(-1000, 900))
def test_the_unit_of_scores_changes_nothing(case, exponent):
    scores, members = case
    one, other = Rankings.of(scores[None]), Rankings.of(np.ldexp(scores, exponent)[None])
    ranks = np.sort(one.ranks[:, members])
    assert one.scores(ranks)[0, 0] == other.scores(ranks)[0, 0]


@settings(deadline=None)  # the first example compiles
@given(ranked_sets())
def test_the_curve_agrees_with_the_score(case):
    scores, members = case
    genes = [f"g{number:02d}" for number in range(len(scores))]
    curve = running_sum(pd.Series(scores, index=genes), [genes[member] for member in members])
    expected = textbook_es(scores, members)
    assert abs(curve.es) == pytest.approx(abs(expected), abs=1e-12)
    assert curve.value[0] == 0
    assert curve.value[-1] == pytest.approx(0, abs=1e-12)
    assert (curve.rank[0], curve.rank[-1]) == (0, len(scores))
    assert len(curve.hits) == len(members)
    edge = scores[[genes.index(gene) for gene in curve.leading_edge]]
    assert (np.diff(edge) <= 0).all() if curve.es > 0 else (np.diff(edge) >= 0).all()


def test_a_set_of_zeros_has_no_score():
    rankings = Rankings.of(np.array([[3.0, 0.0, 0.0, -2.0]]))
    assert rankings.scores(np.array([[1, 2]], dtype=np.uint32))[0, 0] == 0
    curve = running_sum(pd.Series([3.0, 0.0, 0.0, -2.0], index=list("abcd")), ["b", "c"])
    assert curve.es == 0
    assert curve.leading_edge == ()


def test_leading_edge_names_the_genes_before_the_peak():
    scores = pd.Series({"a": 5.0, "b": 4.0, "c": 1.0, "d": -1.0, "e": -4.0, "f": -5.0, "x": np.nan})
    assert running_sum(scores, ["a", "b", "d"]).leading_edge == ("a", "b")
    assert running_sum(scores, ["c", "e", "f"]).leading_edge == ("f", "e")


def test_a_set_outside_the_universe_is_refused():
    scores = pd.Series({"a": 1.0, "b": 0.0})
    for genes, found in ((["CD3E"], 0), (["a", "b"], 2)):
        with pytest.raises(InputError) as error:
            running_sum(scores, genes)
        assert str(error.value) == (
            f"{found} of the 2 scored genes belong to the set; the running sum needs at least one gene "
            "inside and one outside. Check that set and scores name genes alike."
        )
