import numpy as np
import pytest
import scipy.sparse as sp

from conceptome.core import Edits, InputError
from conceptome.encoders.cells import edits_by_cell, to_model_genes


def gather(values, edits, columns, n_genes, batch_size=512):
    return list(edits_by_cell(values, edits, columns, n_genes=n_genes, batch_size=batch_size))


def test_arranges_columns_in_the_order_of_the_model():
    values = sp.csr_array(np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 4.0]]))
    arranged = to_model_genes(values, np.array([2, -1, 0]))
    np.testing.assert_array_equal(arranged.toarray(), [[2, 0, 1], [4, 0, 0]])
    assert arranged.has_canonical_format


def test_every_edit_comes_once_with_its_old_and_new_values(cells, make_edits):
    edits = make_edits(cells, 1300)
    columns = np.random.default_rng(1).permutation(cells.n_vars)
    columns[:8] = -1
    counts = sp.csr_array(cells.X, dtype=np.float64)
    values = to_model_genes(counts, columns)
    parts = gather(values, edits, columns, cells.n_vars)
    assert [len(part.positions) for part in parts] == [512, 512, 276]
    np.testing.assert_array_equal(np.sort(np.concatenate([p.positions for p in parts])), np.arange(1300))
    dense = counts.toarray()
    for part in parts:
        np.testing.assert_array_equal(part.cells[part.cell], edits.cells[part.positions])
        for row, position in enumerate(part.positions):
            changes = slice(edits.indptr[position], edits.indptr[position + 1])
            wanted = {
                gene: (dense[edits.cells[position], gene], value)
                for gene, value in zip(edits.genes[changes], edits.values[changes], strict=True)
                if gene in columns
            }
            own = slice(part.indptr[row], part.indptr[row + 1])
            pairs = zip(part.old[own], part.new[own], strict=True)
            assert dict(zip(columns[part.genes[own]], pairs, strict=True)) == wanted


def test_edits_come_sorted_by_cell(cells, make_edits):
    edits = make_edits(cells, 1300)
    values = sp.csr_array(cells.X, dtype=np.float64)
    parts = gather(values, edits, np.arange(cells.n_vars), cells.n_vars)
    order = np.concatenate([part.cells[part.cell] for part in parts])
    assert (np.diff(order) >= 0).all()


def test_no_edits_give_no_parts(cells):
    values = sp.csr_array(cells.X, dtype=np.float64)
    assert gather(values, Edits.noop(0), np.arange(cells.n_vars), cells.n_vars) == []


def test_cells_without_counts_are_read_as_zero():
    edits = Edits.single(np.array([0, 1]), np.array([1, 2]), np.array([5.0, 6.0]))
    (part,) = gather(sp.csr_array((2, 3)), edits, np.arange(3), 3)
    np.testing.assert_array_equal(part.old, [0, 0])


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (
            Edits.single(np.array([2]), np.array([0]), np.array([1.0])),
            "Edits name cells 2 to 2, but the AnnData has 2 cells. Give row and column positions in the "
            "AnnData that is passed with the edits.",
        ),
        (
            Edits.single(np.array([0, 1]), np.array([-1, 3]), np.array([1.0, 1.0])),
            "Edits name genes -1 to 3, but the AnnData has 3 genes. Give row and column positions in the "
            "AnnData that is passed with the edits.",
        ),
        (
            Edits.single(np.array([0]), np.array([0]), np.array([np.nan])),
            "1 new values of the edits are NaN or infinite. Give a finite number for every change.",
        ),
        (
            Edits(np.array([0, 1]), np.array([0, 1, 4]), np.array([1, 2, 0, 2]), np.ones(4)),
            "Edit 1 sets gene column 2 more than once. Name each gene of an edit once.",
        ),
    ],
)
def test_refuses_edits_that_cannot_be_meant(edits, message):
    with pytest.raises(InputError) as caught:
        gather(sp.csr_array(np.ones((2, 3))), edits, np.arange(3), 3)
    assert str(caught.value) == message
