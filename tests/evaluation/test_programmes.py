from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from conceptome.core import Activations, InputError
from conceptome.data import SimulationOptions, simulate
from conceptome.evaluation import recovery

SMALL = SimulationOptions(n_cells=400, n_genes=300, genes_per_programme=12, n_programmes=9)
GENES = [f"gene_{column}" for column in range(12)]
values = st.integers(-3, 3).map(float)


def planted(activity, weights=None):
    weights = np.eye(12)[:, : activity.shape[1]] if weights is None else weights
    empty = sp.csr_array(np.zeros((len(activity), 12), dtype=np.float32))
    return AnnData(
        empty,
        obs=pd.DataFrame(index=[f"cell_{row}" for row in range(len(activity))]),
        var=pd.DataFrame(index=GENES),
        obsm={"programmes": activity},
        varm={"programmes": weights},
    )


def correlation(a, b):
    return 0.0 if np.ptp(a) == 0 or np.ptp(b) == 0 else np.corrcoef(a, b)[0, 1]


@pytest.mark.parametrize("sign", ["positive", "either"])
@pytest.mark.parametrize("n_units", [2, 3, 5])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_the_matching_is_the_best_of_all(sign, n_units, data):
    activity = data.draw(
        arrays(np.float64, (15, 3), elements=values).filter(lambda a: (np.ptp(a, 0) > 0).any())
    )
    units = data.draw(arrays(np.float64, (15, n_units), elements=values))
    found = recovery(planted(activity), units, sign=sign, n_null=1)
    varying = np.flatnonzero(np.ptp(activity, axis=0))
    alike = np.array([[correlation(activity[:, p], units[:, u]) for u in range(n_units)] for p in varying])
    alike = np.abs(alike) if sign == "either" else np.maximum(alike, 0)
    padded = np.hstack([alike, np.zeros((len(varying), len(varying)))])  # a programme may stay without
    best = max(
        sum(padded[row, column] for row, column in enumerate(chosen))
        for chosen in permutations(range(padded.shape[1]), len(varying))
    )
    assert found.mcc == pytest.approx(best / len(varying), abs=1e-9)
    assert found.programmes["programme"].tolist() == varying.tolist()
    matched = found.programmes[found.programmes["unit"] >= 0]
    assert matched["unit"].is_unique
    for row in matched.itertuples():
        position = varying.tolist().index(row.programme)
        assert row.correlation == pytest.approx(alike[position, row.unit], abs=1e-9)


def test_the_truth_recovers_itself_in_any_order():
    adata = simulate(SMALL, seed=0)
    order = np.random.default_rng(0).permutation(9)
    weights = pd.DataFrame(adata.varm["programmes"].T[order], columns=adata.var_names)
    found = recovery(adata, adata.obsm["programmes"][:, order], scores=weights)
    assert found.mcc == pytest.approx(1)
    np.testing.assert_array_equal(order[found.programmes["unit"]], np.arange(9))
    assert found.summary()["precision"] == 1
    assert found.summary()["precision_null"] < 0.4
    assert found.p == pytest.approx(1 / 101)


def test_coordinates_that_fall_with_a_programme_count_where_they_may():
    adata = simulate(SMALL, seed=0)
    signs = np.where(np.arange(9) % 2, -1.0, 1.0)
    units = adata.obsm["programmes"] * signs
    weights = pd.DataFrame((adata.varm["programmes"] * signs).T, columns=adata.var_names)
    either = recovery(adata, units, scores=weights, sign="either")
    assert either.mcc == pytest.approx(1)
    assert either.summary()["precision"] == 1
    positive = recovery(adata, units, scores=weights)
    right = positive.programmes["programme"] % 2 == 0
    assert positive.programmes.loc[right, "correlation"].min() > 0.99
    assert positive.programmes.loc[~right, "correlation"].max() < 0.7


def test_units_without_truth_reach_the_chance_level():
    adata = simulate(SMALL, seed=0)
    rng = np.random.default_rng(1)
    scores = pd.DataFrame(rng.normal(size=(40, 300)), columns=adata.var_names)
    found = recovery(adata, rng.gamma(1, size=(400, 40)), scores=scores)
    summary = found.summary()
    assert found.p > 0.02
    assert abs(summary["mcc"] - summary["mcc_null"]) < 0.03
    assert summary["precision_null"] == pytest.approx(12 / 300, abs=0.02)
    assert found.null.shape == (100,)
    assert found.null.mean() == pytest.approx(found.programmes["null"].mean())


def test_the_seed_decides_the_permutations():
    adata = simulate(SMALL, seed=0)
    units = np.random.default_rng(1).gamma(1, size=(400, 10))
    same = [recovery(adata, units, seed=2, n_null=5).null for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert not np.array_equal(same[0], recovery(adata, units, seed=3, n_null=5).null)


@given(arrays(np.float64, (3, 12), elements=st.one_of(values, st.just(np.nan))), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_precision_equals_counting(scores, k):
    activity = np.random.default_rng(0).gamma(1, size=(30, 3))
    weights = np.zeros((12, 3))
    for programme in range(3):
        weights[programme * 3 : programme * 3 + 5, programme] = 1
    table = pd.DataFrame(scores, columns=GENES)
    found = recovery(planted(activity, weights), activity, scores=table, k=k, n_null=1).programmes
    shares = np.zeros((3, 3))
    for unit in range(3):
        positive = [gene for gene in range(12) if scores[unit, gene] > 0]
        named = sorted(positive, key=lambda gene: (-scores[unit, gene], gene))[:k]
        for programme in range(3):
            shares[unit, programme] = sum(weights[gene, programme] > 0 for gene in named) / k
    np.testing.assert_allclose(found["precision"], np.diag(shares))
    np.testing.assert_allclose(found["precision_null"], shares.mean(axis=0))


def test_a_programme_without_a_unit_counts_zero():
    activity = np.random.default_rng(0).gamma(1, size=(50, 3))
    table = pd.DataFrame(np.eye(12)[:1], columns=GENES)
    found = recovery(planted(activity), activity[:, :1], scores=table, k=1, n_null=1)
    assert found.programmes["unit"].tolist() == [0, -1, -1]
    assert found.mcc == pytest.approx(1 / 3)
    assert found.summary()["precision"] == pytest.approx(1 / 3)


def test_scores_may_name_some_units_and_genes_only():
    activity = np.random.default_rng(0).gamma(1, size=(50, 2))
    units = np.hstack([np.zeros((50, 3)), activity])
    table = pd.DataFrame([[0.1, 1.0], [2.0, 0.0]], index=[4, 3], columns=[GENES[1], GENES[0]])
    found = recovery(planted(activity), units, scores=table, k=1, n_null=1).programmes
    assert found["unit"].tolist() == [3, 4]
    # unit 3 belongs to programme 0, whose gene is gene_0, and names gene_1; unit 4 the other way round
    assert found["precision"].tolist() == [0.0, 0.0]


def test_records_are_taken(demo_records):
    adata = demo_records.adata.copy()
    activations = demo_records.activations
    adata.obsm["programmes"] = activations.values.toarray()[:, :3]
    adata.varm["programmes"] = (demo_records.attributions.scores().iloc[:3] > 0).to_numpy().T.astype(float)
    for scores in (demo_records.attributions, demo_records.de):
        found = recovery(adata, activations, scores=scores, n_null=2).programmes
        assert found["unit"].tolist() == [0, 1, 2]
        assert found["correlation"].tolist() == pytest.approx([1, 1, 1])
    assert recovery(adata, activations, scores=demo_records.attributions).summary()["precision"] == 1
    other = Activations(activations.values, activations.cell_ids[::-1], activations.dictionary_id)
    with pytest.raises(InputError) as caught:
        recovery(adata, other)
    assert str(caught.value) == (
        "The activations name other cells (700) than adata (700), or in another order. "
        "Encode this adata again."
    )


ACTIVITY = np.random.default_rng(0).gamma(1, size=(20, 2))


def test_what_does_not_fit_is_refused():
    adata = planted(ACTIVITY)

    def refusal(units=ACTIVITY, cells=adata, **options):
        with pytest.raises(InputError) as caught:
            recovery(cells, units, **options)
        return str(caught.value)

    assert refusal(ACTIVITY[:5]) == "activations has 5 rows, expected one for each of 20 cells."
    assert refusal(scores=pd.DataFrame(np.ones((2, 1)), columns=["other"])) == (
        "scores has 1 genes that adata lacks, such as other. Give one column for each gene, named as in "
        "adata.var_names."
    )
    assert refusal(scores=pd.DataFrame(np.ones((1, 12)), columns=GENES), k=1) == (
        "Programmes were matched with the units 1, which scores lacks. Score these too."
    )
    assert refusal(scores=pd.DataFrame(np.ones((2, 12)), columns=GENES)) == (
        "A programme has 1 genes, so that 10 can never all be its own. Choose a smaller k."
    )
    assert refusal(np.ones((20, 2)), planted(np.ones((20, 2)))) == (
        "None of the programmes varies between these cells. Take more cells."
    )
    del adata.obsm["programmes"]
    assert refusal() == (
        "Known programmes are read from obsm['programmes'] and varm['programmes'], and this AnnData lacks "
        "one or both. Simulate cells with data.simulate, or write yours there."
    )
