"""The rule that chooses among settings, on tables made by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptome.dictionaries.recommendation import pareto_front, recommend

SCORES = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=12)


@settings(deadline=None)
@given(SCORES)
def test_a_setting_is_on_the_front_unless_another_beats_it(scores):
    r2, l0, excess = np.array(scores, dtype=float).T
    front = pareto_front(r2=r2, l0=l0, excess=excess)
    for one in range(len(r2)):
        beaten = any(
            r2[other] >= r2[one]
            and l0[other] <= l0[one]
            and excess[other] >= excess[one]
            and (r2[other], l0[other], excess[other]) != (r2[one], l0[one], excess[one])
            for other in range(len(r2))
        )
        assert front[one] == (not beaten)
    assert front.any()


def tables(rows):
    """Settings from (n_concepts, l0, r2, activations, r2_recurring by seed)."""
    rows_of_settings, trained = [], []
    for n_concepts, l0, r2, activations, kept in rows:
        rows_of_settings.append(
            {
                "n_concepts": n_concepts,
                "l0": l0,
                "r2": r2,
                "r2_sd": 0.01,
                "activations": activations,
                "activations_sd": 0.02,
                "activations_null": 0.05,
                "activations_random": 0.3,
                "directions": 0.6,
                "directions_null": 0.4,
                "directions_random": 0.5,
                "excess": activations - 0.3,
                "recurring_activations": 5.0,
                "r2_recurring": np.mean(kept),
                "r2_recurring_sd": np.std(kept, ddof=1),
                "on_front": True,
            }
        )
        trained += [{"n_concepts": n_concepts, "r2": r2, "r2_recurring": each} for each in kept]
    return pd.DataFrame(rows_of_settings), pd.DataFrame(trained)


def test_recurring_variance_decides_and_is_explained():
    chosen, reason = recommend(
        *tables(
            [
                (200, 16.0, 0.85, 0.4, (0.25, 0.30, 0.26)),
                (24, 4.0, 0.67, 0.7, (0.60, 0.61, 0.59)),
                (50, 4.0, 0.68, 0.5, (0.40, 0.45, 0.41)),
            ]
        )
    )
    assert chosen == 1
    assert reason == (
        "24 concepts, 4 active per cell: the 5.0 concepts that come back with every seed keep 60.0% "
        "(sd 1.0%) of the variance of held-out cells, all together 67.0% (sd 1.0%). Their activations "
        "correlate with those of another seed by 0.70 (chance 0.05, random encoder 0.30), directions by 0.60 "
        "(chance 0.40, random encoder 0.50). Next comes 50 concepts, 4 active, with 42.0% (sd 2.6%) in "
        "concepts that come back. Given up: 200 concepts, 16 active keep most, 85.0%, but 27.0% in the 5.0 "
        "concepts that come back."
    )


def test_of_equals_the_sparsest_is_taken_and_the_others_are_named():
    chosen, reason = recommend(
        *tables(
            [
                (24, 8.0, 0.75, 0.7, (0.60, 0.63, 0.57)),
                (48, 4.0, 0.68, 0.7, (0.58, 0.65, 0.56)),
                (24, 4.0, 0.67, 0.7, (0.57, 0.64, 0.58)),
                (12, 2.0, 0.55, 0.8, (0.50, 0.52, 0.49)),
            ]
        )
    )
    assert chosen == 2
    equals = "counted as equal: 24 concepts, 8 active; 48 concepts, 4 active. Of equals the one with fewest"
    assert equals in reason
    assert "Next comes 12 concepts, 2 active, with 50.3% (sd 1.5%)" in reason


def test_differences_are_judged_seed_by_seed():
    """Held-out cells differ between seeds and not between settings, so a steady lead of 1% is a lead."""
    by_seed = np.array([0.4, 0.6, 0.5])
    rows = [(24, 8.0, 0.7, 0.7, tuple(by_seed + 0.01)), (24, 4.0, 0.6, 0.7, tuple(by_seed))]
    assert recommend(*tables(rows))[0] == 0


@pytest.mark.parametrize("activations", [0.29, 0.31])
def test_without_stability_fidelity_decides_and_the_reason_warns(activations):
    rows = [(80, 8.0, 0.9, activations, (0.1, 0.1, 0.2)), (10, 2.0, 0.7, activations, (0.3, 0.3, 0.2))]
    chosen, reason = recommend(*tables(rows))
    assert chosen == 0
    assert reason.startswith(
        "In no setting of the front are concepts clearly more stable over seeds than those of a random "
        "encoder: do not rely on single ones. Fidelity alone decides: 80 concepts, 8 active per cell, keep "
        "90.0% (sd 1.0%) of the variance of held-out cells; their activations correlate"
    )
    assert reason.endswith("Next comes 10 concepts, 2 active, with 70.0% (sd 1.0%) of the variance. "
                           "No other setting keeps more.")  # fmt: skip


def test_settings_off_the_front_take_no_part():
    table, trained = tables([(24, 4.0, 0.7, 0.7, (0.5, 0.5, 0.5)), (24, 8.0, 0.6, 0.6, (0.9, 0.9, 0.9))])
    table["on_front"] = [True, False]
    assert recommend(table, trained)[0] == 0
