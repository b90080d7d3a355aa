import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptome.attribution.listing import LOGARITHMS, changes, differences
from conceptome.core import Edits


def sparse(seed, *, n_genes):
    rng = np.random.default_rng(seed)
    matrix = rng.poisson(0.4, size=(6, n_genes)).astype(np.float64)
    matrix[rng.integers(6)] = 0
    return matrix, sp.csr_array(matrix), rng


@settings(deadline=None)  # the first call compiles
@given(seed=st.integers(0, 2**16), n_genes=st.integers(1, 40))
def test_differences_are_those_of_dense_rows(seed, n_genes):
    matrix, cells, rng = sparse(seed, n_genes=n_genes)
    edited, lender = rng.integers(6, size=(2, 9))
    known = rng.random(n_genes) < 0.8
    for other, lent in ((lender, matrix[lender]), (None, np.zeros((9, n_genes)))):
        indptr, gene, value = differences(cells, edited, other, known)
        expected = (matrix[edited] != lent) & known
        row, column = np.nonzero(expected)
        np.testing.assert_array_equal(np.repeat(np.arange(9), np.diff(indptr)), row)
        np.testing.assert_array_equal(gene, column)
        np.testing.assert_array_equal(value, lent[row, column])


def test_a_stored_zero_is_a_zero():
    cells = sp.csr_array(([0.0, 2.0], [0, 1], [0, 1, 2]), shape=(2, 2))
    indptr, gene, _ = differences(cells, np.array([0]), np.array([1]), np.ones(2, dtype=bool))
    assert gene[: indptr[-1]].tolist() == [1]


@settings(deadline=None)  # the first call compiles
@given(seed=st.integers(0, 2**16), n_genes=st.integers(1, 200), ordered=st.booleans(), log1p=st.booleans())
def test_changes_are_found_in_any_order(seed, n_genes, ordered, log1p):
    matrix, cells, rng = sparse(seed, n_genes=n_genes)
    lengths = rng.integers(0, 4, size=150)
    cell, gene = rng.integers(6, size=150), rng.integers(n_genes, size=lengths.sum())
    if ordered:
        cell, gene = np.sort(cell), np.sort(gene)
    value = rng.choice([0.0, 1.0, 2.5, 1023.0, 1024.0, 1e6], size=len(gene))
    edits = Edits(cell, np.concatenate([[0], np.cumsum(lengths)]), gene, value)
    before = matrix[np.repeat(cell, lengths), gene]
    expected = np.log1p(value) - np.log1p(before) if log1p else value - before
    np.testing.assert_allclose(changes(cells, edits, log1p=log1p), expected, rtol=1e-14)


def test_logarithms_are_listed_for_whole_numbers():
    assert LOGARITHMS[[0, 1, 7]].tolist() == np.log1p([0.0, 1.0, 7.0]).tolist()
