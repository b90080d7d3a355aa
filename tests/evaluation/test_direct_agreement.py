"""Scores of the perturbed gene: planted agreement is found, and chance is chance."""

import numpy as np
import pandas as pd
import pytest

from conceptome.evaluation.direct_agreement import direct_agreement

GENES = [f"g{i}" for i in range(40)]
AIMED = GENES[:6]


@pytest.fixture(scope="module")
def planted():
    """Six genes perturbed; each of twenty concepts moves by the sign of its weight of the gene."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(20, len(GENES))) * (rng.random((20, len(GENES))) < 0.4)
    index = pd.RangeIndex(20, name="concept")
    rows = pd.DataFrame(
        [
            {"perturbation": f"KO {gene}", "gene": gene, "concept": concept, "auroc": 0.5, "q": 0.9}
            for gene in AIMED
            for concept in index
        ]
    )
    weight = np.array(
        [weights[c, GENES.index(g)] for g, c in zip(rows["gene"], rows["concept"], strict=True)]
    )
    rows["q"] = np.where(np.abs(weight) > 0.3, 0.01, 0.9)
    rows["auroc"] = 0.5 - 0.2 * np.sign(weight)
    level = pd.Series(rng.random(len(GENES)), index=GENES)
    scores = {
        "good": pd.DataFrame(weights, index, GENES),
        "level": pd.DataFrame(np.tile(level, (20, 1)), index, GENES),
        "random": pd.DataFrame(rng.normal(size=weights.shape), index, GENES),
    }
    return rows, scores, level


def measured(planted, action):
    rows, scores, level = planted
    table = direct_agreement(rows, scores, level, action=action, alpha=0.05, n_null=99, seed=0)
    return table.set_index("score")


def test_the_score_that_moves_concepts_is_told_from_level_and_chance(planted):
    table = measured(planted, "loss")
    assert table.loc["good", ["pooled", "within", "agreement"]].tolist() == [1.0, 1.0, 1.0]
    assert table.loc["good", ["pooled_p", "within_p", "agreement_p"]].tolist() == [0.01] * 3
    assert table.loc["good", "agreement_binomial_p"] < 1e-6
    assert table.loc["level", "within"] == 0.5
    assert np.isnan(table.loc["level", "agreement"])
    assert table.loc["random", "within_p"] > 0.05
    assert table.loc[["good", "random"], "pooled_null"].between(0.4, 0.6).all()


def test_a_gain_turns_the_sign_around(planted):
    assert measured(planted, "gain").loc["good", "agreement"] == 0.0


def test_nothing_is_measured_without_measured_targets(planted):
    rows, scores, level = planted
    table = direct_agreement(rows.iloc[:0], scores, level, action="loss", alpha=0.05, n_null=5, seed=0)
    assert table["n"].tolist() == [0, 0, 0]
    assert table[["pooled", "within", "agreement", "pooled_p"]].isna().all(axis=None)
