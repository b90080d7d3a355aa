"""Scores of the genes that respond: planted agreement is found, and told from expression level."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from conceptome.evaluation.indirect_agreement import indirect_agreement

N_CONCEPTS, N_GENES = 30, 200
NAMES = [f"P{i}" for i in range(8)]


@pytest.fixture(scope="module")
def table():
    """Genes of high expression respond more often; concepts move where their weights push them."""
    rng = np.random.default_rng(1)
    genes = [f"g{i}" for i in range(N_GENES)]
    level = pd.Series(np.linspace(0, 1, N_GENES), index=genes)
    responses = np.sign(rng.normal(size=(8, N_GENES))) * (rng.random((8, N_GENES)) < level.to_numpy() / 3)
    weights = rng.normal(size=(N_CONCEPTS, N_GENES))
    push = responses @ weights.T
    shifts = pd.DataFrame(
        [
            {"perturbation": name, "concept": k, "auroc": 0.5 + 0.3 * np.sign(push[i, k])}
            | {"q": 0.01 if abs(push[i, k]) > np.median(np.abs(push[i])) else 0.8}
            for i, name in enumerate(NAMES)
            for k in range(N_CONCEPTS)
        ]
    )
    index = pd.RangeIndex(N_CONCEPTS, name="concept")
    scores = {
        "good": pd.DataFrame(weights, index, genes),
        "level": pd.DataFrame(np.tile(level, (N_CONCEPTS, 1)), index, genes),
        "random": pd.DataFrame(rng.normal(size=weights.shape), index, genes),
    }
    found = indirect_agreement(
        shifts, scores, responses, level, names=NAMES, alpha=0.05, n_null=99, seed=0
    ).set_index("score")
    found.attrs["level_auroc"] = np.mean([roc_auc_score(row != 0, level) for row in responses])
    return found


def test_where_the_responding_genes_push_concepts_is_foretold(table):
    assert table.loc["good", ["push", "agreement"]].tolist() == [1.0, 1.0]
    assert table.loc["good", ["push_p", "agreement_p"]].tolist() == [0.01, 0.01]
    assert table.loc["random", "push_p"] > 0.05
    assert table.loc["random", "agreement_p"] > 0.05
    assert table.loc["good", "agreement_null"] == pytest.approx(0.5, abs=0.15)


def test_expression_level_explains_the_area_until_genes_are_matched(table):
    assert table.loc["level", "auroc"] == pytest.approx(table.attrs["level_auroc"])
    assert table.loc["level", "auroc"] == table.loc["level", "auroc_still"] > 0.6
    assert table.loc["level", "matched"] < table.loc["level", "auroc"] - 0.05
    assert table.loc["level", "push"] != table.loc["good", "push"]
    assert np.isnan(table.loc["level", "agreement"])
    assert table["n_perturbations"].tolist() == [8, 8, 8]
