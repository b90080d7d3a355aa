import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from conceptome.counterfactuals import mask_edits, substitution_edits

counts = arrays(np.float64, (6, 9), elements=st.sampled_from([0.0, 0.0, 1.0, 2.0, 0.5]))
masks = arrays(np.bool_, 9)


def apply(matrix, edits, edit):
    row = matrix[edits.cells[edit]].copy()
    changes = slice(edits.indptr[edit], edits.indptr[edit + 1])
    row[edits.genes[changes]] = edits.values[changes]
    return row


@given(counts, masks, st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
@settings(deadline=None)
def test_substitution_gives_each_differing_known_gene_the_counterfactuals_value(matrix, known, pairs):
    factual, counterfactual = (np.array(side) for side in zip(*pairs, strict=True))
    edits, differs = substitution_edits(
        sp.csr_array(matrix), known, factual=factual, counterfactual=counterfactual
    )
    np.testing.assert_array_equal(differs, (matrix[factual] != matrix[counterfactual]) & known)
    assert len(edits) == differs.sum()
    for edit, (pair, gene) in enumerate(np.argwhere(differs)):
        expected = matrix[factual[pair]].copy()
        expected[gene] = matrix[counterfactual[pair], gene]
        np.testing.assert_array_equal(apply(matrix, edits, edit), expected)


@given(counts, masks)
@settings(deadline=None)
def test_mask_sets_each_expressed_known_gene_to_zero(matrix, known):
    edits, differs = mask_edits(sp.csr_array(matrix), known, factual=np.array([4, 1]))
    np.testing.assert_array_equal(differs, (matrix[[4, 1]] > 0) & known)
    for edit, (row, gene) in enumerate(np.argwhere(differs)):
        expected = matrix[[4, 1][row]].copy()
        expected[gene] = 0
        np.testing.assert_array_equal(apply(matrix, edits, edit), expected)


def test_a_cell_paired_with_itself_needs_no_edit():
    matrix = sp.csr_array(np.arange(6.0).reshape(2, 3))
    edits, differs = substitution_edits(
        matrix, np.ones(3, dtype=bool), factual=np.array([1]), counterfactual=np.array([1])
    )
    assert len(edits) == 0
    assert not differs.any()
