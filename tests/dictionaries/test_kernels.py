import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from conceptome.dictionaries import kernels
from conceptome.dictionaries.selection import keep_strongest
from conceptome.dictionaries.strongest import select_strongest


def selected(pre, k):
    indices, values = np.empty((len(pre), k), np.int32), np.empty((len(pre), k), np.float32)
    select_strongest(pre, k, indices, values)
    return indices, values


@given(
    arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 40)), elements=st.integers(-3, 3)),
    st.data(),
)
@settings(deadline=None, max_examples=200)
def test_selects_what_encoding_keeps_ties_included(pre, data):
    k = data.draw(st.integers(1, pre.shape[1]))
    indices, values = selected(pre, k)
    dense = np.zeros_like(pre)
    np.put_along_axis(dense, indices, values, axis=1)
    np.testing.assert_array_equal(dense, keep_strongest(pre, k))
    assert all(len(set(row)) == k for row in indices)
    assert (np.diff(values, axis=1) <= 0).all()


@pytest.mark.parametrize("k", [1, 4, 20])
@pytest.mark.parametrize("where", [0, 13, 19])
def test_a_broken_number_is_not_hidden(k, where):
    pre = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)
    pre[1, where] = np.nan
    _, values = selected(pre, k)
    assert np.isnan(values[1]).any()
    assert np.isfinite(values[[0, 2]]).all()


def test_groups_entries_by_concept_in_the_order_of_cells():
    indices = np.array([[2, 0], [0, 1], [2, 1]], np.int32)
    values = np.array([[1, 2], [3, 0], [4, 5]], np.float32)
    starts, entries = np.empty(5, np.int64), np.empty(6, np.int64)
    kernels.group_by_concept((indices, values), starts, entries)
    np.testing.assert_array_equal(starts, [0, 2, 3, 5, 5])
    np.testing.assert_array_equal(entries[:5], [1, 2, 5, 0, 4])


def test_adam_is_torchs():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    theirs = torch.nn.Parameter(torch.from_numpy(rng.normal(size=7)))
    ours, mean, square = theirs.detach().numpy().copy(), np.zeros(7), np.zeros(7)
    optimiser = torch.optim.Adam([theirs], lr=0.01)
    for step in range(1, 6):
        gradient = rng.normal(size=7)
        theirs.grad = torch.from_numpy(gradient)
        optimiser.step()
        rates = 0.9, 0.999, 1e-8, 0.01 / (1 - 0.9**step), (1 - 0.999**step) ** -0.5
        kernels.adam(ours, gradient, mean, square, rates)
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-12)
