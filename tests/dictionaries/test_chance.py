"""Co-activation by chance, beside matrices that are shuffled with both kinds of totals kept."""

import numpy as np
import pytest
import scipy.sparse as sp

from conceptome.dictionaries.chance import coactivation_by_chance

FREQUENCIES = np.array([0.02, 0.05, 0.1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.73])


def drawn(rng, n_cells, n_active):
    """Draw concepts by frequency alone; `n_active` per cell, or as many as happen."""
    if n_active is None:
        complexity = rng.uniform(0.2, 1.2, size=(n_cells, 1))
        return rng.random((n_cells, len(FREQUENCIES))) < np.minimum(complexity * FREQUENCIES, 0.95)
    keys = np.log(rng.random((n_cells, len(FREQUENCIES)))) / (FREQUENCIES / (1 - FREQUENCIES))
    return keys >= -np.sort(-keys, axis=1)[:, [n_active - 1]]


def shuffled(active, rng, *, n_trades):
    """Let pairs of cells trade concepts that only one of them has [Strona14, the curveball]."""
    rows = [set(np.flatnonzero(row)) for row in active]
    for one, other in rng.integers(len(rows), size=(n_trades, 2)):
        both = rows[one] & rows[other]
        only = list((rows[one] | rows[other]) - both)
        rng.shuffle(only)
        n_own = len(rows[one]) - len(both)
        if one != other:
            rows[one], rows[other] = both | set(only[:n_own]), both | set(only[n_own:])
    result = np.zeros_like(active)
    for row, concepts in enumerate(rows):
        result[row, list(concepts)] = True
    return result


@pytest.mark.parametrize("n_active", [3, None])
def test_mean_spread_and_tail_are_those_of_shuffled_cells(n_active):
    rng = np.random.default_rng(0)
    active = drawn(rng, 300, n_active)
    found = coactivation_by_chance(sp.csr_array(active.astype(np.float32)))
    pairs = np.triu_indices(len(FREQUENCIES), k=1)
    state, counts = shuffled(active, rng, n_trades=3000), []
    for _ in range(150):
        state = shuffled(state, rng, n_trades=600).astype(bool)
        counts.append((state.T.astype(float) @ state)[pairs])
    assert (state.sum(axis=0) == active.sum(axis=0)).all()
    assert (state.sum(axis=1) == active.sum(axis=1)).all()
    counts = np.array(counts)
    sd = np.sqrt(found.variance[pairs])
    bias = (counts.mean(axis=0) - found.expected[pairs]) / sd
    assert np.abs(bias).mean() < 0.25
    assert 0.75 < (counts.std(axis=0) / sd).mean() < 1.1
    tails = np.array([_replaced(found, pairs, row).p()[pairs] for row in counts])
    assert (tails <= 0.05).mean() < 0.06
    assert (tails <= 0.3).mean() > 0.1
    independent = np.outer(active.mean(axis=0), active.mean(axis=0))[pairs] * len(active)
    naive = np.abs((counts.mean(axis=0) - independent) / sd).mean()
    assert naive > 3 * np.abs(bias).mean()


def _replaced(found, pairs, counts):
    from dataclasses import replace

    observed = found.observed.copy()
    observed[pairs] = counts
    return replace(found, observed=observed)


def test_totals_are_met():
    active = drawn(np.random.default_rng(1), 400, None)
    found = coactivation_by_chance(sp.csr_array(active.astype(np.float64)))
    np.testing.assert_array_equal(np.diag(found.observed), active.sum(axis=0))
    n_active = active.sum(axis=1)
    together = found.expected - np.diag(np.diag(found.expected))
    assert together.sum() == pytest.approx((n_active * (n_active - 1)).sum(), rel=1e-3)


def test_concepts_that_never_or_always_are_active_correlate_with_none():
    active = np.column_stack([np.zeros(300), np.ones(300), drawn(np.random.default_rng(3), 300, 3)])
    found = coactivation_by_chance(sp.csr_array(active))
    assert (found.spread[:2] == 0).all()
    assert (found.correlation()[:2] == 0).all()
    assert (found.p()[0] == 1).all()
    assert (found.p()[1] > 0.3).all()


def test_concepts_that_only_come_together_are_noticed():
    active = drawn(np.random.default_rng(4), 300, 3)
    twins = np.column_stack([active, active[:, 4]])
    found = coactivation_by_chance(sp.csr_array(twins.astype(float)))
    assert found.correlation()[4, -1] > 0.8
    assert found.p()[4, -1] < 1e-12


def test_a_single_concept_per_cell_excludes_all_others():
    active = np.eye(6)[np.random.default_rng(2).integers(6, size=600)]
    found = coactivation_by_chance(sp.csr_array(active))
    assert (np.abs(found.correlation()) < 0.1).all()
    assert (found.p()[~np.eye(6, dtype=bool)] == 1).all()


def test_without_activations_nothing_is_expected():
    found = coactivation_by_chance(sp.csr_array((5, 3)))
    assert (found.expected == 0).all()
    assert (found.p() == 1).all()
