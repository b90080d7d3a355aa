import dataclasses

import numpy as np
import pandas as pd
import pytest

from conceptome.core import Attributions
from conceptome.enrichment import enrich, gsea, ora
from conceptome.enrichment.calibration import control_sets, rates
from conceptome.enrichment.flags import suspect_flags
from conceptome.enrichment.universe import Terms

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
    rows = result.calibration.query("control == @control and alpha == @alpha and flag == ''")
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


def terms_of(genes, flags):
    weights = [np.arange(len(some), dtype=float) for some in genes]
    return Terms(genes, weights, pd.DataFrame({"flag": flags}))


def test_matched_sets_keep_size_expression_and_weights():
    rng = np.random.default_rng(0)
    expression = rng.gamma(0.5, size=N_GENES)
    genes = [np.argsort(-expression)[:30], np.argsort(expression)[:15]]
    found = control_sets(
        terms_of(genes, ["ribosomal", ""]), n_genes=N_GENES, expression=expression, share=0.15, rng=rng
    )
    controls = {part.control: part.sets for part in found}
    assert set(controls) == {
        ("gene-permuted scores", ""),
        ("expression-matched sets", ""),
        ("expression-matched sets", "ribosomal"),
    }
    matched = controls["expression-matched sets", ""]
    assert len(matched.genes) == 300
    rank = np.argsort(np.argsort(-expression))
    for some, weights in zip(matched.genes, matched.weights, strict=True):
        assert len(set(some)) == len(some)
        assert len(some) in (30, 15)
        assert (weights == np.arange(len(some))).all()
        assert (rank[some] < 60).all() if len(some) == 30 else (rank[some] >= N_GENES - 60).all()
    assert len({tuple(sorted(some)) for some in matched.genes}) > 290
    assert {len(some) for some in controls["expression-matched sets", "ribosomal"].genes} == {30}


def test_each_gene_of_a_set_is_replaced_by_one_of_its_own_expression():
    expression = np.arange(N_GENES, dtype=float)
    genes = [np.array([5, 1190, 600, 1180, 30])]
    rng = np.random.default_rng(0)
    found = control_sets(terms_of(genes, [""]), n_genes=N_GENES, expression=expression, share=0.01, rng=rng)
    for some in found[1].sets.genes:
        assert (some * 20 // N_GENES == genes[0] * 20 // N_GENES).all()


def test_rates_come_with_binomial_intervals():
    table = rates({("a", "ribosomal"): np.array([0.001, 0.02, 0.5, 0.9])})
    assert table["flag"].tolist() == ["ribosomal"] * 3
    assert table["rate"].tolist() == [0.5, 0.25, 0.25]
    assert table["n_tests"].tolist() == [4, 4, 4]
    assert table.loc[0, ["ci_low", "ci_high"]].tolist() == pytest.approx([0.0676, 0.9324], abs=1e-3)


@pytest.mark.parametrize("method", ["gsea", "ulm", "ora"])
def test_every_method_has_the_controls_and_keeps_its_level_on_noise(terms, method):
    rng = np.random.default_rng(5)
    noise = rng.standard_normal((2, 6, N_GENES))
    noise[0, 4] = np.nan
    record = dataclasses.replace(attributions(*noise), se=np.ones_like(noise[0]))
    result = enrich(record, terms, method=method, n_permutations=300, expression=rng.random(N_GENES))
    assert result.method == method
    assert (result.rank_by is None) == (method == "ora")
    for control in ("gene-permuted scores", "null-pair scores", "expression-matched sets"):
        found = rate(result, control)
        assert 0.005 < found["rate"] < 0.08
        assert found["n_tests"] >= 5 * len(terms)


@pytest.mark.parametrize("method", ["gsea", "ulm", "ora"])
def test_null_pairs_that_favour_flagged_terms_make_the_flag_suspect(method):
    rng = np.random.default_rng(6)
    genes = pd.Index([*(f"RPL{n}" for n in range(1, 42)), *GENES[41:]])
    values, null = rng.standard_normal((2, 5, N_GENES))
    null[:, :41] += 2.0
    record = dataclasses.replace(attributions(values, null), genes=genes)
    loaded = {f"ribosome {n}": list(rng.choice(genes[:41], size=15, replace=False)) for n in range(6)}
    loaded |= {f"t{n}": list(rng.choice(genes[41:], size=15, replace=False)) for n in range(40)}
    expression = rng.random(N_GENES)
    result = enrich(record, loaded, method=method, n_permutations=300, expression=expression)
    flagged = result.calibration.query("flag == 'ribosomal' and alpha == 0.05").set_index("control")
    assert set(flagged.index) == {"null-pair scores", "expression-matched sets"}
    assert flagged.loc["null-pair scores", "n_tests"] == 5 * 6
    assert flagged.loc["null-pair scores", "rate"] > 0.9
    assert flagged.loc["expression-matched sets", "n_tests"] == 500
    assert suspect_flags(result.calibration) == {"ribosomal"}
    named = result.table.set_index("term")["flag"]
    assert (named == "ribosomal").equals(named.index.to_series().str.startswith("ribosome"))


def test_concepts_without_a_selected_gene_do_not_thin_the_rates(terms):
    chosen = pd.DataFrame(np.zeros((6, N_GENES)), columns=GENES)
    chosen.iloc[0] = np.random.default_rng(7).random(N_GENES) < 0.3
    one, all_six = ora(chosen.iloc[[0]], terms), ora(chosen, terms)
    assert rate(all_six, "gene-permuted scores")["rate"] == rate(one, "gene-permuted scores")["rate"] > 0.01
    assert ora(chosen.iloc[1:], terms).calibration.empty
    assert suspect_flags(ora(chosen.iloc[1:], terms).calibration) == frozenset()
