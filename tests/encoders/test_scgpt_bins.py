import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptome.encoders.scgpt_bins import N_EDGES, bin_ranges


@settings(deadline=None, max_examples=200)  # the first call compiles
@given(seed=st.integers(0, 2**32 - 1), n_genes=st.integers(1, 120), counts=st.booleans())
def test_bins_are_those_of_numpy_quantiles(seed, n_genes, counts):
    """The published pipeline digitises by ``numpy.quantile``; equal to the bit, ties and all."""
    rng = np.random.default_rng(seed)
    cells = rng.poisson(1.5, size=(4, n_genes)).astype(float) if counts else rng.gamma(1, 3, (4, n_genes))
    cells[:3, 0] += 1  # the last may be empty
    of = np.array([0, 2, 2, 3])
    low, high = bin_ranges(sp.csr_array(cells), sp.csr_array(cells[of]), np.arange(4))
    start = 0
    for row, among in zip(cells, cells[of], strict=True):
        values, others = row[row > 0].astype(np.float32), among[among > 0].astype(np.float32)
        if not len(others):
            continue
        edges = np.quantile(others, np.linspace(0, 1, N_EDGES))
        upto = np.maximum(np.digitize(values, edges), 1)
        own = slice(start, start + len(values))
        np.testing.assert_array_equal(high[own], upto)
        np.testing.assert_array_equal(low[own], np.minimum(np.digitize(values, edges, right=True) + 1, upto))
        start += len(values)
