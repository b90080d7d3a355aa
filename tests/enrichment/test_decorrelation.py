import time

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import hypergeom, kstest

from conceptome.core import InputError
from conceptome.enrichment import GeneSets, Ontology, decorrelate, gsea, ora, propagate
from conceptome.enrichment.conditional_tests import OverRepresentationTest, PrerankedTest
from conceptome.enrichment.engine import rank_blocks

GENES = [f"G{number:04d}" for number in range(1200)]


@pytest.fixture(scope="module")
def tree():
    """A root with three branches of three levels; T:7 is the planted leaf, below T:4 and T:1."""
    edges = [(1, 0), (2, 0), (3, 0), (4, 1), (5, 2), (6, 3), (7, 4), (8, 4), (9, 5), (10, 6)]
    parents = sp.lil_array((11, 11), dtype=bool)
    for child, parent in edges:
        parents[child, parent] = True
    ids = pd.Index([f"T:{term}" for term in range(11)])
    return Ontology(ids, tuple(ids), ("",) * 11, sp.csr_array(parents))


@pytest.fixture(scope="module")
def sets(tree):
    leaves = {f"T:{term}": GENES[50 * at : 50 * (at + 1)] for at, term in enumerate([7, 8, 9, 10])}
    return propagate(GeneSets.from_mapping(leaves), tree)


@pytest.fixture(scope="module")
def scores():
    """In concept 0 the leaf's genes stand out, in concept 1 nothing does."""
    values = np.random.default_rng(0).standard_normal((2, len(GENES)))
    values[0, :50] += 2
    return pd.DataFrame(values, columns=GENES)


def test_the_planted_leaf_remains_and_its_ancestors_go(scores, sets, tree):
    plain = gsea(scores, sets, calibrate=False).table.set_index(["concept", "term"])["p"]
    assert (plain.loc[0, ["T:7", "T:4", "T:1", "T:0"]] <= 0.01).all()
    found = decorrelate(scores, sets, tree).set_index(["concept", "term"])
    assert list(found.loc[0].index[found.loc[0, "p_conditional"] <= 0.01]) == ["T:7"]
    assert (found.loc[0].loc[["T:4", "T:1", "T:0"], "n_removed"] == 50).all()
    assert (found.loc[0].loc[["T:4", "T:1", "T:0"], "explained_by"] == "T:7").all()
    assert found.loc[(0, "T:7"), "level"] == 3
    pd.testing.assert_series_equal(found["p"].sort_index(), plain.sort_index())


def test_weight_is_softer_and_the_leaf_remains_first(scores, sets, tree):
    found = decorrelate(scores.loc[[0]], sets, tree, method="weight").set_index("term")
    hard = decorrelate(scores.loc[[0]], sets, tree).set_index("term")
    above = ["T:4", "T:1", "T:0"]
    assert found["p_conditional"].idxmin() == "T:7"
    assert (found.loc[above, "p_conditional"] > found.loc[above, "p"]).all()
    assert (found.loc[above, "p_conditional"] < hard.loc[above, "p_conditional"]).all()
    assert found.loc[["T:4", "T:1"], "n_removed"].between(1, 49).all()
    others = ["T:7", "T:8", "T:9", "T:10"]
    assert (found.loc[others, "p_conditional"] == found.loc[others, "p"]).all()


@pytest.mark.parametrize("tied", [False, True])
def test_whole_genes_are_a_set_and_absent_ones_are_not(scores, tied):
    """Shares of 1 and 0 give the ES of `gsea` for the genes of share 1, and p within Monte-Carlo error."""
    values = scores.loc[[0]].to_numpy()
    values = np.where(np.abs(values) < 0.7, 0.0, values.round(1)) if tied else values
    ranking = rank_blocks(values)[0]
    genes = np.arange(60)
    shares = np.where(genes < 40, 1.0, 0.0)
    test = PrerankedTest(ranking, 10, 2000, 0)
    p, nes = test.of_shares(genes, shares)
    whole_p, whole_nes = test.of_sets([genes[:40]])
    assert nes == pytest.approx(whole_nes[0], rel=0.05)
    assert np.log10(p) == pytest.approx(np.log10(whole_p[0]), abs=0.15 * -np.log10(whole_p[0]))
    assert test.of_shares(genes, np.where(genes < 9, 1.0, 0.0)) == pytest.approx(
        (np.nan, np.nan), nan_ok=True
    )


def test_elim_on_drivers_is_that_of_the_paper(sets, tree):
    """By hand: the leaf holds 20 of 30 selected genes, what is left of the terms above holds too few."""
    chosen = pd.DataFrame(0.0, index=[4], columns=GENES)
    chosen.loc[4, [*GENES[:20], *GENES[1100:1110]]] = 1
    found = decorrelate(chosen, sets, tree, test="ora").set_index("term")
    assert found.loc["T:7", "p_conditional"] == pytest.approx(hypergeom.sf(19, 1200, 30, 50))
    assert found.loc["T:0", "p"] == pytest.approx(hypergeom.sf(19, 1200, 30, 200))
    assert found.loc["T:0", "p_conditional"] == 1
    assert list(found.index[found["p_conditional"] <= 0.01]) == ["T:7"]
    assert found["nes"].isna().all()
    plain = ora(chosen, sets, min_size=10, max_size=500).table.set_index("term")["p"]
    pd.testing.assert_series_equal(found["p"].sort_index(), plain.sort_index())
    soft = decorrelate(chosen, sets, tree, test="ora", method="weight").set_index("term")
    assert soft["p_conditional"].idxmin() == "T:7"
    assert (soft.loc[["T:4", "T:1", "T:0"], "p_conditional"] > soft.loc[["T:4", "T:1", "T:0"], "p"]).all()


def test_parts_of_genes_are_rounded_up():
    test = OverRepresentationTest(np.arange(100) < 20, 2)
    p, _ = test.of_shares(np.arange(10, 30), np.full(20, 0.33))
    assert p == pytest.approx(hypergeom.sf(3, 100, 20, 7))  # 3.3 of 6.6 genes
    assert np.isnan(test.of_shares(np.arange(5), np.array([1.0, 0, 0, 0, 0]))[0])


def test_partial_genes_keep_the_null_uniform():
    """Of random sets with random shares, p is small as often as it should be."""
    rng = np.random.default_rng(3)
    test = PrerankedTest(rank_blocks(rng.standard_normal((1, 1000)))[0], 10, 1000, 0)
    shares = rng.uniform(0.2, 1.0, size=30)
    p = [test.of_shares(rng.choice(1000, size=30, replace=False), shares)[0] for _ in range(400)]
    assert kstest(p, "uniform").pvalue > 0.01


def test_without_findings_nothing_changes(scores, sets, tree):
    found = decorrelate(scores.loc[[1]], sets, tree)
    assert (found["n_removed"] == 0).all()
    pd.testing.assert_series_equal(found["p"], found["p_conditional"], check_names=False)
    assert found["p_conditional"].is_monotonic_increasing


def test_the_conditional_test_is_that_of_the_genes_left(scores, sets, tree):
    """T:0 without the leaf is a set of its own to `gsea`."""
    found = decorrelate(scores, sets, tree).set_index(["concept", "term"]).loc[(0, "T:0")]
    left = {"left": [gene for gene in sets.genes_of("T:0") if gene not in GENES[:50]]}
    alone = gsea(scores.loc[[0]], left, calibrate=False).table.iloc[0]
    assert (found["p_conditional"], found["nes_conditional"]) == (alone["p"], alone["nes"])


def test_too_few_genes_left_is_not_measured(scores, tree):
    sets = {"T:7": GENES[:50], "T:4": GENES[:55], "elsewhere": GENES[:60]}
    found = decorrelate(scores.loc[[0]], sets, tree).set_index("term")
    assert found.loc["T:4", "n_removed"] == 50
    assert np.isnan(found.loc["T:4", "p_conditional"])
    assert np.isnan(found.loc["T:4", "nes_conditional"])
    assert (found.loc["elsewhere", "n_removed"], found.loc["elsewhere", "level"]) == (0, -1)
    assert found.loc["elsewhere", "p_conditional"] == found.loc["elsewhere", "p"]


def test_concepts_do_not_touch_each_other(scores, sets, tree):
    together = decorrelate(scores, sets, tree)
    alone = decorrelate(scores.loc[[0]], sets, tree)
    pd.testing.assert_frame_equal(together[together["concept"] == 0].reset_index(drop=True), alone)


def test_refuses_what_it_cannot_use(scores, sets, tree):
    with pytest.raises(InputError, match=r"elim_alpha is 1.5, expected a number between 0 and 1"):
        decorrelate(scores, sets, tree, elim_alpha=1.5)
    with pytest.raises(InputError, match="No term of custom has 300 to 500 scored genes"):
        decorrelate(scores, sets, tree, min_size=300)


def test_a_leaf_planted_in_the_gene_ontology(gene_ontology, go_bp):
    sets = propagate(go_bp, gene_ontology)
    leaf = "GO:0007095"  # mitotic G2 DNA damage checkpoint signaling: nothing tested stands below it
    genes = sorted({gene for members in go_bp.members for gene in members})
    scores = pd.DataFrame(np.random.default_rng(1).standard_normal((1, len(genes))), columns=genes)
    scores.loc[0, list(sets.genes_of(leaf))] += 2
    start = time.perf_counter()
    found = decorrelate(scores, sets, gene_ontology).set_index("term")
    assert time.perf_counter() - start < 60
    above = found.loc[[term for term in gene_ontology.ancestors_of(leaf) if term in found.index]]
    assert len(above) >= 15
    assert (above["p"] <= 0.01).mean() > 0.7
    assert found["p_conditional"].idxmin() == leaf
    assert found.loc[leaf, "explained_by"] == ""
    assert not (above["p_conditional"] <= 0.01).any()
