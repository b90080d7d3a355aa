"""A product in bfloat16 leaves out no concept that is among the strongest."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptome.dictionaries.screening import error_bound, round_rows
from conceptome.dictionaries.strongest import find_candidates


def candidates(x, w, b, k, *, certain=True):
    """Columns that may be among the k strongest, by row."""
    bits = [np.empty(rows.shape, np.int16) for rows in (x, w)]
    of_cells, of_weights = (round_rows(rows, out) for rows, out in zip((x, w), bits, strict=True))
    cells, weights = (torch.from_numpy(out).view(torch.bfloat16) for out in bits)
    pre = torch.addmm(torch.from_numpy(b).bfloat16(), cells, weights.T)
    slack = 2 * error_bound(of_cells, of_weights.max(axis=0), b, x.shape[1]) if certain else None
    room = np.empty(pre.numel() + 1, np.int32)
    starts, concepts = find_candidates(pre.view(torch.int16).numpy(), k, room, slack)
    return [set(concepts[starts[i] : starts[i + 1]].tolist()) for i in range(len(x))]


def strongest(x, w, b, k):
    exact = x.astype(float) @ w.astype(float).T + b
    return [set(np.argsort(-row)[:k].tolist()) for row in exact]


@given(st.integers(0, 10_000), st.integers(1, 80), st.integers(1, 12), st.sampled_from([0, 1e-3, 0.1, 1]))
@settings(deadline=None, max_examples=80)
def test_all_of_the_strongest_are_candidates(seed, d_embed, k, spread):
    """Also where all concepts are nearly the same, so that rounding mixes them up."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(4, d_embed)), rng.normal(size=d_embed) + spread * rng.normal(size=(300, d_embed))
    x, w = (rows * np.exp(rng.normal(size=(len(rows), 1))) for rows in (x, w))
    b = rng.normal(size=300) * rng.choice([0, 0.1, 3])
    x, w, b = (array.astype(np.float32) for array in (x, w, b))
    found = candidates(x, w, b, k)
    assert all(wanted <= own for wanted, own in zip(strongest(x, w, b, k), found, strict=True))


def test_without_the_bound_some_are_missed_and_with_it_few_are_added():
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=(n, 64)).astype(np.float32) for n in (200, 2048))
    b, wanted = np.zeros(2048, np.float32), strongest(x, w, np.zeros(2048), 16)
    missed = [
        len(own - found) for own, found in zip(wanted, candidates(x, w, b, 16, certain=False), strict=True)
    ]
    assert sum(missed) > 0
    found = candidates(x, w, b, 16)
    assert all(own <= those for own, those in zip(wanted, found, strict=True))
    assert np.mean([len(those) for those in found]) < 3 * 16


def test_rounds_as_torch_does():
    rng = np.random.default_rng(0)
    rows = np.exp(rng.normal(scale=20, size=(5, 33))).astype(np.float32) * rng.choice([-1, 1], (5, 33))
    rows = rows.astype(np.float32)
    bits = np.empty(rows.shape, np.int16)
    squares = round_rows(rows, bits)
    rounded = torch.from_numpy(rows).bfloat16()
    np.testing.assert_array_equal(bits, rounded.view(torch.int16).numpy())
    lost = rows - rounded.float().numpy()
    np.testing.assert_allclose(squares, np.stack([(rows**2).sum(1), (lost**2).sum(1)], axis=1), rtol=1e-5)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_broken_cell_has_candidates(broken):
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=(n, 8)).astype(np.float32) for n in (2, 100))
    x[1, 3] = broken
    found = candidates(x, w, np.zeros(100, np.float32), 4)
    assert all(len(own) >= 4 for own in found)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("where", ["weight", "bias"])
def test_a_broken_concept_hides_no_other(where, sign):
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=(n, 8)).astype(np.float32) for n in (2, 100))
    b = np.zeros(100, np.float32)
    if where == "bias":
        b[7] = np.copysign(np.nan, sign)
    else:
        w[7, 3] = np.copysign(np.nan, sign)
    assert all(len(own) >= 4 for own in candidates(x, w, b, 4))
