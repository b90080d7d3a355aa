import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conceptome.core import InputError, Pairs
from conceptome.counterfactuals import hold_out
from conceptome.counterfactuals.clusters import cluster_labels

CELLS = pd.Index([f"cell{i}" for i in range(400)])


def pairs_of(concept, pair, factual, counterfactual, **options):
    n = len(concept)
    return Pairs(
        concept=np.asarray(concept),
        pair=np.asarray(pair),
        factual=np.asarray(factual),
        counterfactual=np.asarray(counterfactual),
        activation=np.ones(n),
        distance=np.ones(n),
        distance_percentile=np.ones(n),
        library_ratio=np.ones(n),
        matched=np.full(n, "", dtype=object),
        cell_ids=CELLS,
        dictionary_id="d",
        **options,
    )


def distinct(concept, n, start=0):
    cells = start + np.arange(n)
    return pairs_of(np.full(n, concept), np.arange(n), cells, 200 + cells)


def test_factuals_are_divided_by_the_share():
    kept, held_out = hold_out(distinct(3, 40), share=0.3, seed=1)
    assert (len(kept), len(held_out)) == (28, 12)
    assert sorted([*kept.factual, *held_out.factual]) == list(range(40))
    again = hold_out(distinct(3, 40), share=0.3, seed=1)[1]
    np.testing.assert_array_equal(again.factual, held_out.factual)
    other = hold_out(distinct(3, 40), share=0.3, seed=2)[1]
    assert set(other.factual) != set(held_out.factual)


@given(seed=st.integers(0, 10_000), n_lenders=st.integers(3, 80), n_counterfactuals=st.integers(1, 3))
def test_pairs_that_share_a_cell_are_never_divided(seed, n_lenders, n_counterfactuals):
    rng = np.random.default_rng(seed)
    pair = np.repeat(np.arange(30), n_counterfactuals)
    pairs = pairs_of(np.zeros(len(pair), int), pair, 10 + pair, 200 + rng.integers(n_lenders, size=len(pair)))
    kept, held_out = hold_out(pairs, min_pairs=1, seed=seed)
    cluster = dict(zip(pairs.factual, cluster_labels(pairs.factual, pairs.counterfactual), strict=True))
    ours, theirs = ({cluster[cell] for cell in part.factual} for part in (kept, held_out))
    assert ours.isdisjoint(theirs)
    assert set(kept.counterfactual).isdisjoint(held_out.counterfactual)
    assert len(kept) + len(held_out) == len(pairs)
    assert len(np.unique(held_out.pair)) <= 15


def test_a_concept_does_not_depend_on_the_others():
    one, other = distinct(1, 20), distinct(2, 30, start=40)
    names = ("concept", "pair", "factual", "counterfactual")
    both = pairs_of(*(np.concatenate([getattr(one, name), getattr(other, name)]) for name in names))
    together = hold_out(both)[1]
    np.testing.assert_array_equal(together.factual[together.concept == 2], hold_out(other)[1].factual)


def test_too_few_are_not_attributable_and_null_pairs_stay_with_the_first():
    null = pairs_of([1, 1, 2, 2], [0, 1, 0, 1], [0, 1, 40, 41], [2, 3, 42, 43])
    one, other = distinct(1, 12), distinct(2, 30, start=40)
    names = ("concept", "pair", "factual", "counterfactual")
    both = pairs_of(
        *(np.concatenate([getattr(one, name), getattr(other, name)]) for name in names),
        null=null,
        not_attributable={7: "active in 3 cells, needs 8"},
        n_dropped={2: 4},
    )
    kept, held_out = hold_out(both, share=0.4)
    assert held_out.not_attributable == {
        1: "5 factuals were held out, needs 8",
        7: "active in 3 cells, needs 8",
    }
    assert kept.not_attributable == {
        1: "7 factuals are left after the others were held out, needs 8",
        7: "active in 3 cells, needs 8",
    }
    assert (len(kept), len(held_out)) == (18, 12)
    np.testing.assert_array_equal(kept.null.factual, [40, 41])
    assert held_out.null is None
    assert (kept.n_dropped, held_out.n_dropped) == ({2: 4}, {})


def test_a_chain_longer_than_the_share_is_kept():
    pairs = pairs_of(np.zeros(30, int), np.arange(30), np.arange(30), np.full(30, 399))
    kept, held_out = hold_out(pairs)
    assert (len(kept), len(held_out)) == (30, 0)
    assert held_out.not_attributable == {0: "0 factuals were held out, needs 8"}


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, np.nan])
def test_a_share_out_of_range_is_refused(share):
    message = f"share is {share}, expected a share of the factuals between 0 and 1."
    with pytest.raises(InputError, match=re.escape(message)):
        hold_out(distinct(0, 20), share=share)
