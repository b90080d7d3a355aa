"""Shifts of concepts: against scikit-learn and against all permutations, and that blocks are respected."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import kstest
from sklearn.metrics import roc_auc_score

import conceptome as cm
from conceptome.core import Activations, InputError
from conceptome.evaluation import concept_shifts


def activations(values):
    cells = pd.Index([f"c{i}" for i in range(len(values))])
    return Activations(sp.csr_array(np.asarray(values, dtype=np.float64)), cells, "d")


def test_area_difference_and_p_are_those_of_all_shuffles_within_blocks():
    rng = np.random.default_rng(0)
    values = np.maximum(rng.normal(size=(10, 3)), 0)
    group = np.array(list("pppccpcccc"))
    block = np.array(list("aaaaabbbbb"))
    table = concept_shifts(
        activations(values), group, control="c", blocks=block, n_permutations=20_000, seed=1
    )
    sizes = {"a": 6, "b": 4}
    for concept in range(3):
        row = table[table["concept"] == concept].iloc[0]
        parts = [
            (roc_auc_score(group[block == b] == "p", values[block == b, concept]), sizes[b]) for b in "ab"
        ]
        assert row["auroc"] == pytest.approx(sum(area * n for area, n in parts) / 10)
        means = [
            values[(block == b) & (group == "p"), concept].mean()
            - values[(block == b) & (group == "c"), concept].mean()
            for b in "ab"
        ]
        assert row["difference"] == pytest.approx((6 * means[0] + 4 * means[1]) / 10)
        assert row["p"] == pytest.approx(exact_p(values[:, concept], group == "p", block), abs=0.012)


def exact_p(values, perturbed, block):
    """Enumerate every way to choose three of the five cells of block a and one of block b."""

    def statistic(label):
        return sum(
            np.sign(values[i] - values[j])
            for i, j in product(np.flatnonzero(label), np.flatnonzero(~label))
            if block[i] == block[j]
        )

    labels = [np.array(bits, dtype=bool) for bits in product([0, 1], repeat=10)]
    allowed = [label for label in labels if label[:5].sum() == 3 and label[5:].sum() == 1]
    observed = abs(statistic(perturbed))
    return np.mean([abs(statistic(label)) >= observed - 1e-9 for label in allowed])


def test_p_is_uniform_where_nothing_moves_and_blocks_differ():
    rng = np.random.default_rng(2)
    block = rng.choice(["a", "b"], size=300)
    group = np.where(rng.random(300) < np.where(block == "a", 0.8, 0.2), "p", "c")
    values = np.maximum(rng.normal(size=(300, 200)) + 2.0 * (block == "a")[:, None], 0)
    inside = concept_shifts(activations(values), group, control="c", blocks=block, n_permutations=199)
    across = concept_shifts(activations(values), group, control="c", n_permutations=199)
    assert kstest(inside["p"], "uniform").pvalue > 0.01
    assert (inside["q"] <= 0.05).sum() == 0
    assert (across["q"] <= 0.05).mean() > 0.99


def test_a_planted_shift_is_found_and_a_block_without_controls_says_nothing():
    rng = np.random.default_rng(3)
    values = rng.random((200, 2))
    group = np.array(["up", "c"] * 100, dtype=object)
    values[group == "up", 1] += 0.5
    group[0] = None
    table = concept_shifts(activations(values), group, control="c")
    assert table["n_perturbed"].tolist() == [99, 99]
    assert table["q"].to_numpy()[1] < 0.01 < table["q"].to_numpy()[0]
    assert table["auroc"].to_numpy()[1] > 0.8
    alone = concept_shifts(activations(values), group, control="c", blocks=group.astype(str))
    assert alone[["difference", "auroc", "p", "q"]].isna().all(axis=None)


def test_mistakes_are_told():
    found = activations(np.ones((4, 1)))
    with pytest.raises(InputError) as nobody:
        concept_shifts(found, ["ctrl", "A", "A", "B"], control="ctr")
    assert str(nobody.value) == (
        "No cell is a control: the perturbations are A, B, ctrl, and none is 'ctr'. Did you mean 'ctrl'?"
    )
    with pytest.raises(
        InputError, match=r"^Every cell is a control \('c'\)\. Give the perturbed cells too\.$"
    ):
        concept_shifts(found, ["c"] * 4, control="c")
    with pytest.raises(InputError, match=r"^perturbation has 3 entries, expected one for each of 4 cells\.$"):
        concept_shifts(found, ["c"] * 3, control="c")
    assert cm.evaluation.concept_shifts is concept_shifts
