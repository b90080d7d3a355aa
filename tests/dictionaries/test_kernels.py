import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from conceptome.dictionaries import kernels, strongest
from conceptome.dictionaries.selection import keep_strongest
from conceptome.dictionaries.strongest import choose_strongest, score


def find_candidates(bits, n_least):
    return strongest.find_candidates(bits, n_least, np.empty(bits.size + 1, np.int32))


def selected(pre, k):
    indices, values = np.empty((len(pre), k), np.int32), np.empty((len(pre), k), np.float32)
    candidates = find_candidates(pre.view(np.int32), k)
    of = np.repeat(np.arange(len(pre)), np.diff(candidates[0]))
    choose_strongest(candidates, pre[of, candidates[1]], indices, values)
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


@pytest.mark.parametrize("k", [1, 4, 20])
@pytest.mark.parametrize("where", [0, 13, 19])
def test_a_broken_number_is_not_hidden(k, where):
    pre = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)
    pre[1, where] = np.nan
    _, values = selected(pre, k)
    assert np.isnan(values[1]).any()
    assert np.isfinite(values[[0, 2]]).all()


@given(
    arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 300)), elements=st.integers(-20, 20)),
    st.data(),
)
@settings(deadline=None, max_examples=100)
def test_candidates_of_bfloat16_are_all_that_reach_a_bound(pre, data):
    torch = pytest.importorskip("torch")
    n_least = data.draw(st.integers(1, pre.shape[1]))
    rounded = torch.from_numpy(pre).bfloat16()  # exact, for integers so small
    starts, concepts = find_candidates(rounded.view(torch.int16).numpy(), n_least)
    for i, row in enumerate(pre):
        found = concepts[starts[i] : starts[i + 1]]
        assert len(set(found)) == len(found) >= n_least
        assert set(found) == set(np.flatnonzero(row >= row[found].min()))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_broken_number_is_a_candidate(sign):
    torch = pytest.importorskip("torch")
    pre = torch.randn(2, 200, generator=torch.Generator().manual_seed(0)).bfloat16()
    pre[1, 77] = np.copysign(np.nan, sign)
    starts, concepts = find_candidates(pre.view(torch.int16).numpy(), 3)
    assert 77 in concepts[starts[1] : starts[2]]


def test_scores_candidates():
    rng = np.random.default_rng(0)
    shifted, w_enc = (rng.normal(size=(n, 8)).astype(np.float32) for n in (3, 5))
    b_enc = rng.normal(size=5).astype(np.float32)
    starts, concepts = np.array([0, 2, 2, 5]), np.array([4, 1, 0, 4, 2], np.int32)
    expected = (shifted @ w_enc.T + b_enc)[[0, 0, 2, 2, 2], concepts]
    found = score(shifted, (w_enc, b_enc), (starts, concepts))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_groups_entries_by_concept_in_the_order_of_cells():
    concepts, kept = np.array([2, 0, 0, 1, 2, 1], np.int32), np.array([1, 1, 1, 0, 1, 1], bool)
    starts, entries = np.empty(5, np.int64), np.empty(6, np.int64)
    kernels.group_by_concept(concepts, kept, starts, entries)
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
