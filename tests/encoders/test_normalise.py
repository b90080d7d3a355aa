import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scanpy.pp import normalize_total

from conceptome.core import Edits, InputError
from conceptome.encoders.cells import edits_by_cell
from conceptome.encoders.normalise import log_normalise, recount

NAMES = pd.Index(["first", "second", "third"], dtype=object)


def test_normalises_as_scanpy_does(cells):
    found = log_normalise(
        sp.csr_array(cells.X, dtype=np.float64), cells.obs_names, target_sum=1e4, log1p=True
    )
    cells.X = cells.X.astype(np.float64)
    normalize_total(cells, target_sum=1e4)
    np.testing.assert_allclose(found.toarray(), np.log1p(cells.X.toarray()), rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31))
def test_recount_equals_normalising_the_edited_cells(seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.5, size=(3, 9)).astype(np.float64)
    counts[:, 0] += 1
    by_gene = rng.normal(size=(9, 2))
    rows, genes = rng.integers(0, 3, 40), rng.integers(1, 9, 40)
    values = rng.choice([0, 1, 2, 0.25, 30], 40).astype(np.float64)
    edited = counts[rows]
    edited[np.arange(40), genes] = values
    edits = Edits.single(rows, genes, values)
    (part,) = edits_by_cell(sp.csr_array(counts), edits, np.arange(9), n_genes=9, batch_size=512)
    found = np.empty((40, 2))
    found[part.positions] = recount(part, NAMES[part.cells], by_gene, target_sum=100.0, log1p=True)
    expected = np.log1p(100.0 * edited / edited.sum(1, keepdims=True)) @ by_gene
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


def test_names_the_cells_that_cannot_be_scaled():
    counts = sp.csr_array(np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(InputError) as caught:
        log_normalise(counts, NAMES, target_sum=1e4, log1p=True)
    assert str(caught.value) == (
        "2 cells have no counts in the genes of the encoder: second, third. Leave them out: they cannot be "
        "scaled."
    )


def test_without_scaling_empty_cells_stay_empty():
    counts = sp.csr_array(np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 3.0]]))
    found = log_normalise(counts, NAMES, target_sum=None, log1p=True)
    np.testing.assert_array_equal(found.toarray(), np.log1p(counts.toarray()))
