import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import false_discovery_control, mannwhitneyu, ttest_ind

from conceptome.attribution import differential, differential_expression
from conceptome.core import Activations, DictionaryMismatchError, InputError


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    active = np.zeros((160, 5))
    active[:60, 0] = rng.random(60) + 0.1
    active[rng.random(160) < 0.4, 1] = 1.0
    active[:, 2] = 1.0  # everywhere
    active[3, 4] = 2.0  # one cell; concept 3 is active nowhere
    rates = np.exp(rng.normal(0, 1.5, 40))[None, :] * (1 + (active[:, [0]] > 0) * (np.arange(40) < 10))
    counts = rng.poisson(rates).astype(np.float32)
    counts[:, 39] = 0
    ids = pd.Index([f"cell{i}" for i in range(160)])
    adata = AnnData(
        sp.csr_matrix(counts), pd.DataFrame(index=ids), pd.DataFrame(index=[f"g{i}" for i in range(40)])
    )
    return adata, Activations(sp.csr_array(active), ids, "d1")


@pytest.fixture(scope="module")
def result(cells):
    return differential_expression(*cells)


def logged(adata):
    counts = adata.X.toarray().astype(np.float64)
    return np.log1p(counts * (1e4 / counts.sum(axis=1, keepdims=True)))


@pytest.mark.parametrize("concept", [0, 1, 4])
def test_wilcoxon_equals_scipy(cells, result, concept):
    adata, activations = cells
    active, values = activations.of(concept) > 0, logged(adata)
    test = mannwhitneyu(values[active], values[~active], use_continuity=False, method="asymptotic")
    measured = np.arange(39)
    np.testing.assert_allclose(result.p[concept, measured], test.pvalue[measured], rtol=1e-9)
    middle = active.sum() * (~active).sum() / 2
    np.testing.assert_array_equal(
        np.sign(result.score[concept, measured]), np.sign(test.statistic - middle)[measured]
    )


@pytest.mark.parametrize("concept", [0, 1])
def test_wilcoxon_and_welch_equal_scanpy(cells, result, concept):
    adata, activations = cells
    other = AnnData(logged(adata), adata.obs.copy(), adata.var)
    other.obs["active"] = pd.Categorical(np.where(activations.of(concept) > 0, "yes", "no"))
    sc.tl.rank_genes_groups(other, "active", groups=["yes"], method="wilcoxon", tie_correct=True)
    table = sc.get.rank_genes_groups_df(other, "yes").set_index("names").loc[adata.var_names]
    expressed = np.arange(39)
    np.testing.assert_allclose(
        result.score[concept, expressed], table["scores"].to_numpy()[expressed], rtol=1e-5
    )
    np.testing.assert_allclose(result.p[concept, expressed], table["pvals"].to_numpy()[expressed], rtol=1e-6)


@pytest.mark.parametrize("concept", [0, 1])
def test_welch_equals_scipy(cells, result, concept):
    adata, activations = cells
    active, values = activations.of(concept) > 0, logged(adata)[:, :39]
    test = ttest_ind(values[active], values[~active], equal_var=False)
    np.testing.assert_allclose(result.t[concept, :39], test.statistic, rtol=1e-8)
    np.testing.assert_allclose(result.p_t[concept, :39], test.pvalue, rtol=1e-7)


def test_fold_change_is_of_mean_cp10k(cells, result):
    adata, activations = cells
    active, cp10k = activations.of(0) > 0, np.expm1(logged(adata))
    expected = np.log2((cp10k[active].mean(axis=0) + 0.01) / (cp10k[~active].mean(axis=0) + 0.01))
    np.testing.assert_allclose(result.log_fold_change[0], expected, rtol=1e-9)
    assert result.log_fold_change[0, :10].mean() > 0.3 > result.log_fold_change[0, 10:].mean()


def test_q_is_benjamini_hochberg_within_the_concept(result):
    for p, q in ((result.p, result.q), (result.p_t, result.q_t)):
        np.testing.assert_allclose(q[1], false_discovery_control(p[1]))


def test_what_cannot_be_compared_is_nan(result):
    for concept in (2, 3):
        for name in ("log_fold_change", "score", "p", "q", "t", "p_t", "q_t"):
            assert np.isnan(getattr(result, name)[concept]).all(), name
    assert np.isnan(result.t[4]).all(), "a single cell has no variance"
    assert np.isfinite(result.p[4]).all()


def test_gene_without_counts_does_not_differ(result):
    assert result.score[0, 39] == result.t[0, 39] == result.log_fold_change[0, 39] == 0
    assert result.p[0, 39] == result.p_t[0, 39] == 1


def test_blocks_of_genes_change_nothing(cells, result, monkeypatch):
    monkeypatch.setattr(differential, "GENE_BLOCK", 7)
    blocked = differential_expression(*cells)
    np.testing.assert_allclose(blocked.score, result.score, rtol=1e-12)
    np.testing.assert_allclose(blocked.t, result.t, rtol=1e-12)


def test_chosen_concepts(cells, result):
    chosen = differential_expression(*cells, concepts=[1, 0])
    np.testing.assert_array_equal(chosen.concepts, [0, 1])
    np.testing.assert_array_equal(chosen.score, result.score[:2])
    assert list(chosen.scores().columns) == list(cells[0].var_names)
    assert len(chosen.to_frame()) == 2 * 40


def test_mistakes(cells):
    adata, activations = cells
    with pytest.raises(
        InputError, match="adata has 10 cells, the activations 160, and the ids or their order"
    ):
        differential_expression(adata[:10], activations)
    with pytest.raises(DictionaryMismatchError, match=r"concepts \[5\] are not in dictionary d1, which has"):
        differential_expression(adata, activations, concepts=[5])
