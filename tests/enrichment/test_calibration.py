import numpy as np
import pandas as pd
import pytest

from conceptome.core import Attributions
from conceptome.enrichment import gsea
from conceptome.enrichment.calibration import control_sets, rates

N_GENES = 1200
GENES = [f"G{number:04d}" for number in range(N_GENES)]


def attributions(values, null):
    n_concepts = len(values)
    same = dict.fromkeys(("se", "ci_low", "ci_high", "effect_act", "effect_pre", "p", "q"), values)
    return Attributions(
        attribution=values,
        **same,
        n_differing=np.full(values.shape, 10),
        sign_consistency=values,
        drives=values > 1,
        floor=np.zeros(n_concepts),
        null_driver_rate=np.zeros(n_concepts),
        n_pairs=np.full(n_concepts, 64),
        status=np.array(["ok"] * n_concepts),
        concepts=np.arange(n_concepts),
        genes=pd.Index(GENES),
        dictionary_id="d1",
        encoder_id="e1",
        null_attribution=null,
        null_se=np.ones_like(values),
    )


@pytest.fixture(scope="module")
def terms():
    rng = np.random.default_rng(4)
    sizes = rng.integers(10, 60, size=80)
    return {f"t{n}": list(rng.choice(GENES, size=size, replace=False)) for n, size in enumerate(sizes)}


def rate(result, control, alpha=0.05):
    rows = result.calibration.query("control == @control and alpha == @alpha")
    assert len(rows) == 1
    return rows.iloc[0]


def test_the_test_keeps_its_level_on_noise(terms):
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, 6, N_GENES))
    noise[:, 3] = np.nan  # not attributable
    result = gsea(attributions(*noise), terms, expression=rng.random(N_GENES))
    assert result.dictionary_id == "d1"
    assert 3 not in set(result.table["concept"])
    for control in ("gene-permuted scores", "null-pair scores", "expression-matched sets"):
        found = rate(result, control)
        assert 0.02 < found["rate"] < 0.08
        assert found["ci_low"] < found["rate"] < found["ci_high"]
    assert rate(result, "gene-permuted scores")["n_tests"] >= 2000
    assert rate(result, "null-pair scores")["n_tests"] == 5 * len(terms)


def test_null_pairs_that_favour_a_term_are_seen(terms):
    rng = np.random.default_rng(1)
    values, null = rng.standard_normal((2, 4, N_GENES))
    null[:, :300] += 2.0
    loaded = {f"t{n}": list(rng.choice(GENES[:300], size=20, replace=False)) for n in range(30)}
    result = gsea(attributions(values, null), loaded)
    assert rate(result, "null-pair scores")["rate"] > 0.9
    assert rate(result, "gene-permuted scores")["rate"] < 0.08


def test_scores_that_follow_expression_fool_gene_permutation_and_the_control_says_so():
    rng = np.random.default_rng(2)
    expression = rng.gamma(0.5, size=N_GENES)
    scores = pd.DataFrame([expression * 3 + rng.standard_normal(N_GENES) for _ in range(4)], columns=GENES)
    high = np.array(GENES)[np.argsort(-expression)[:200]]
    loaded = {f"t{number}": list(rng.choice(high, size=25, replace=False)) for number in range(30)}
    result = gsea(scores, loaded, expression=pd.Series(expression, index=GENES))
    assert rate(result, "expression-matched sets")["rate"] > 0.5
    assert rate(result, "gene-permuted scores")["rate"] < 0.08


def test_controls_need_what_they_measure(terms):
    scores = pd.DataFrame(np.random.default_rng(3).standard_normal((2, N_GENES)), columns=GENES)
    assert set(gsea(scores, terms).calibration["control"]) == {"gene-permuted scores"}
    assert len(gsea(scores, terms, calibrate=False).calibration) == 0
    without = attributions(scores.to_numpy(), np.full(scores.shape, np.nan))
    assert set(gsea(without, terms).calibration["control"]) == {"gene-permuted scores"}


def test_matched_sets_keep_size_and_expression():
    rng = np.random.default_rng(0)
    expression = rng.gamma(0.5, size=N_GENES)
    genes = [np.argsort(-expression)[:30], np.argsort(expression)[:15]]
    sets = control_sets(genes, n_genes=N_GENES, expression=expression, n_sets=300, rng=rng)
    matched = sets["expression-matched sets"]
    assert len(matched) == 300
    for found in matched:
        assert len(set(found)) == len(found)
        assert len(found) in (30, 15)
        rank = np.argsort(np.argsort(-expression))[found]
        assert (rank < 60).all() if len(found) == 30 else (rank >= N_GENES - 60).all()
    assert len({tuple(sorted(found)) for found in matched}) > 290


def test_rates_come_with_binomial_intervals():
    table = rates({"a": np.array([0.001, 0.02, 0.5, 0.9])})
    assert table["rate"].tolist() == [0.5, 0.25, 0.25]
    assert table["n_tests"].tolist() == [4, 4, 4]
    assert table.loc[0, ["ci_low", "ci_high"]].tolist() == pytest.approx([0.0676, 0.9324], abs=1e-3)
