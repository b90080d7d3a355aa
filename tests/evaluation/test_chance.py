"""Areas and shares beside chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from conceptome.evaluation.chance import against, area, expression_strata, mean_and_error, sign_p


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_area_is_that_of_scikit_learn(rows):
    score = np.array([float(value) for value, _ in rows])
    positive = np.array([side for _, side in rows])
    if positive.all() or not positive.any():
        assert np.isnan(area(score, positive))
    else:
        assert area(score, positive) == pytest.approx(roc_auc_score(positive, score))


def test_strata_are_of_equal_size_and_ordered():
    level = np.random.default_rng(0).random(50)
    strata = expression_strata(level)
    assert np.bincount(strata).tolist() == [10] * 5
    assert max(level[strata == 1]) < min(level[strata == 2])


def test_p_counts_the_observation_and_what_is_not_measured_is_nan():
    found = against("x", 0.6, np.array([0.5, 0.6, 0.7, np.nan]))
    assert found == {"x": 0.6, "x_null": pytest.approx(0.6), "x_p": 3 / 4}
    assert np.isnan(against("x", float("nan"), np.array([0.5]))["x_p"])
    assert sign_p(np.array([True, True, True])) == pytest.approx(1 / 8)
    assert np.isnan(sign_p(np.zeros(0, dtype=bool)))
    assert mean_and_error(np.array([1.0, 3.0, np.nan])) == (2.0, 1.0)
