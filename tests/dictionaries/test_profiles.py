"""Similarities of profiles and of sets, beside chance within strata."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptome.dictionaries.profiles import overlap_draws, permuted_within, profile_draws


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.integers(0, 5))
def test_columns_stay_in_their_stratum(strata, seed):
    groups = np.array(strata)
    order = permuted_within(groups, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(len(groups)))
    assert (groups[order] == groups).all()


def test_profiles_correlate_as_numpy_says_and_chance_keeps_what_strata_explain():
    rng = np.random.default_rng(0)
    level = np.repeat([0.0, 5.0], 50)
    values = rng.normal(size=(5, 100)) + level
    values[4] = 1.0
    other = values + rng.normal(size=values.shape)
    strata = (level > 0).astype(np.int64)
    draws = profile_draws(values, other, strata, np.random.default_rng(1))
    observed = next(draws)
    expected = np.corrcoef(values[:4], other[:4])[:4, 4:]
    assert observed[:4, :4] == pytest.approx(expected)
    assert (observed[4] == 0).all()
    null = np.mean([next(draws) for _ in range(50)], axis=0)
    assert (null[:4, :4] > 0.7).all()  # the strata alone make them alike
    assert (np.diag(observed)[:4] > np.diag(null)[:4] + 0.03).all()


def test_sets_overlap_as_jaccard_says():
    few = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]], dtype=bool)
    many = np.array([[1, 0, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]], dtype=bool)
    strata = np.zeros(6, dtype=np.int64)
    draws = overlap_draws(few, many, strata, np.random.default_rng(0))
    assert next(draws) == pytest.approx(np.array([[1 / 3, 1, 0], [0, 0, 0]]))
    null = np.mean([next(draws)[0, 1] for _ in range(400)])
    assert null == pytest.approx(8 / 15 / 3 + 1 / 15, abs=0.05)  # two, one or no member of two among six
