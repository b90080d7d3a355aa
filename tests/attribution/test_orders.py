import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from conceptome.attribution.orders import (
    counts_between,
    cumulative_edits,
    drawn_keys,
    gene_orders,
    ranks_by_name,
)
from conceptome.core import Edits


def test_keys_follow_the_genes():
    genes = pd.Index([f"g{i}" for i in range(40)])
    order = np.random.default_rng(1).permutation(40)
    keys, permuted = (
        drawn_keys(ranks_by_name(names), 3, rng=np.random.default_rng(0)) for names in (genes, genes[order])
    )
    np.testing.assert_array_equal(permuted, keys[:, order])
    assert len(np.unique(keys)) == 120


def test_scores_come_first_and_keys_decide_ties():
    scores = np.array([[0.0, 3.0, 0.0, -1.0, 3.0, 9.0]])
    keys = np.array([[0.5, 0.9, 0.1, 0.0, 0.2, 0.0], [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]])
    found = gene_orders(scores, keys, among=np.arange(5), n_genes=4)
    np.testing.assert_array_equal(found, [[4, 1, 2, 0], [4, 3, 2, 1]])


@given(n_genes=st.integers(0, 300), every=st.integers(1, 60))
def test_counts_are_dense_at_first_and_end_with_the_last(n_genes, every):
    counts = counts_between(n_genes, every)
    assert (counts[0], counts[-1]) == (0, n_genes)
    assert (np.diff(counts) > 0).all()
    assert set(range(min(20, n_genes) + 1)) <= set(counts.tolist())
    assert set(range(20, n_genes, every)) <= set(counts.tolist())
    if every == 1:
        np.testing.assert_array_equal(counts, np.arange(n_genes + 1))


def test_cumulative_edits_take_ever_more_genes():
    values = np.arange(10.0) * 10
    edits = cumulative_edits(7, values, np.array([[3, 1, 2], [5, 9, 0]]), counts=np.array([0, 1, 3]))
    taken = [edits.genes[a:b].tolist() for a, b in zip(edits.indptr[:-1], edits.indptr[1:], strict=True)]
    assert taken == [[], [3], [3, 1, 2], [], [5], [5, 9, 0]]
    np.testing.assert_array_equal(edits.values, edits.genes * 10)
    assert (edits.cells == 7).all()


def test_joined_edits_keep_their_order():
    one = cumulative_edits(1, np.arange(5.0), np.array([[4, 2]]), counts=np.array([0, 2]))
    other = Edits.single(np.array([3, 0]), np.array([1, 2]), np.array([7.0, 8.0]))
    found = Edits.joined([one, Edits.noop(1), other, one])
    assert found.cells.tolist() == [1, 1, 0, 3, 0, 1, 1]
    assert found.indptr.tolist() == [0, 0, 2, 2, 3, 4, 4, 6]
    assert found.genes.tolist() == [4, 2, 1, 2, 4, 2]
    assert found.values.tolist() == [4, 2, 7, 8, 4, 2]
