import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from sklearn.linear_model import LogisticRegression

from conceptome.attribution import baseline_scores, differential_expression, logistic_weights, random_scores
from conceptome.core import Activations, DictionaryMismatchError, InputError

MARKERS = np.arange(10)
N_CELLS, N_GENES = 160, 60


@pytest.fixture(scope="module")
def cells():
    """Concept 0 raises the first ten genes; 2 is active everywhere, 3 nowhere; the last gene is silent."""
    rng = np.random.default_rng(0)
    active = np.zeros((N_CELLS, 5))
    active[:60, 0] = rng.random(60) + 0.1
    active[rng.random(N_CELLS) < 0.4, 1] = 1.0
    active[:, 2] = 1.0
    active[[3, 70], 4] = 2.0
    rates = np.exp(rng.normal(0, 1, N_GENES))[None, :] * (
        1 + (active[:, [0]] > 0) * np.isin(np.arange(N_GENES), MARKERS)
    )
    counts = rng.poisson(rates).astype(np.float32)
    counts[:, -1] = 0
    ids = pd.Index([f"cell{i}" for i in range(N_CELLS)])
    genes = pd.DataFrame(index=[f"g{i}" for i in range(N_GENES)])
    return AnnData(sp.csr_matrix(counts), pd.DataFrame(index=ids), genes), Activations(
        sp.csr_array(active), ids, "d1"
    )


def standardised(adata):
    counts = adata.X.toarray().astype(np.float64)
    logged = np.log1p(counts * (1e4 / counts.sum(axis=1, keepdims=True)))
    deviation = logged.std(axis=0)
    return (logged - logged.mean(axis=0)) / np.where(deviation > 0, deviation, np.inf)


@pytest.mark.parametrize("c", [1.0, 0.01])
def test_weights_equal_the_regression_on_all_genes(cells, c):
    """Where both kinds have as many cells nothing is drawn, and scikit-learn can be asked directly."""
    adata, activations = cells
    half = np.r_[:60, 100:160]
    adata, activations = (
        adata[half].copy(),
        Activations(activations.values[half], adata.obs_names[half], "d1"),
    )
    found = logistic_weights(adata, activations, concepts=[0], c=c).to_numpy()[0]
    model = LogisticRegression(C=c, tol=1e-10, max_iter=10_000)
    model.fit(standardised(adata), activations.of(0) > 0)
    np.testing.assert_allclose(found, model.coef_[0], atol=1e-4 * np.abs(model.coef_).max())
    assert found[-1] == 0
    assert np.abs(found).max() > 0.05


def test_drawn_cells_are_as_many_active_as_inactive(cells, monkeypatch):
    adata, activations = cells
    seen = {}

    class Recorded(LogisticRegression):
        def fit(self, x, y):
            seen[len(seen)] = np.bincount(y.astype(int)).tolist()
            return super().fit(x, y)

    monkeypatch.setattr("sklearn.linear_model.LogisticRegression", Recorded)
    logistic_weights(adata, activations)
    assert seen == {0: [60, 60], 1: [n := int((activations.of(1) > 0).sum()), n], 2: [2, 2]}
    logistic_weights(adata, activations, concepts=[0], max_cells=20)
    assert seen[3] == [20, 20]


def test_a_concept_s_scores_do_not_depend_on_the_others(cells):
    adata, activations = cells
    for scores in (baseline_scores(adata, activations, seed=3), baseline_scores(adata, activations, seed=3)):
        for method, frame in baseline_scores(adata, activations, concepts=[4, 1], seed=3).items():
            pd.testing.assert_frame_equal(frame, scores[method].loc[[1, 4]])
    other = baseline_scores(adata, activations, methods=["random", "logistic"], concepts=[1], seed=4)
    assert not np.allclose(other["random"], scores["random"].loc[[1]])
    assert not np.allclose(other["logistic"], scores["logistic"].loc[[1]])


def test_every_baseline_finds_the_markers_but_chance(cells):
    adata, activations = cells
    scores = baseline_scores(adata, activations, concepts=[0])
    assert list(scores) == ["wilcoxon", "t_test", "log_fold_change", "logistic", "random"]
    for method, frame in scores.items():
        assert frame.shape == (1, N_GENES)
        assert frame.index.name == "concept"
        found = np.isin(np.argsort(-frame.to_numpy()[0])[:10], MARKERS).sum()
        assert found >= 7 if method != "random" else found <= 5, method


def test_measures_of_differential_expression_go_by_their_names(cells):
    adata, activations = cells
    expression = differential_expression(adata, activations)
    scores = baseline_scores(adata, activations, methods=["t_test", "log_fold_change", "wilcoxon"])
    for method, value in (("wilcoxon", "score"), ("t_test", "t"), ("log_fold_change", "log_fold_change")):
        np.testing.assert_array_equal(scores[method], getattr(expression, value))
        np.testing.assert_array_equal(expression.scores(method), getattr(expression, value))


def test_what_cannot_be_scored_is_nan(cells):
    scores = baseline_scores(*cells)
    for method in ("wilcoxon", "t_test", "log_fold_change", "logistic"):
        assert scores[method].loc[[2, 3]].isna().all(axis=None), method
        assert scores[method].loc[[0, 1]].notna().all(axis=None), method


def test_random_scores_are_standard_normal():
    genes = pd.Index([f"g{i}" for i in range(5000)])
    drawn = random_scores(genes, concepts=[0, 7], seed=1).to_numpy()
    assert np.abs(drawn.mean(axis=1)).max() < 0.06
    assert np.abs(drawn.std(axis=1) - 1).max() < 0.04
    assert abs(np.corrcoef(drawn)[0, 1]) < 0.06
    assert random_scores(genes, concepts=[]).shape == (0, 5000)


def test_mistakes_are_named(cells):
    adata, activations = cells
    with pytest.raises(InputError, match="methods is 'anova', expected one of"):
        baseline_scores.__wrapped__(adata, activations, methods=["anova"])
    with pytest.raises(InputError, match="max_cells is 0"):
        logistic_weights(adata, activations, max_cells=0)
    with pytest.raises(InputError, match="c is 0"):
        logistic_weights(adata, activations, c=0.0)
    with pytest.raises(
        InputError, match="adata has 50 cells, the activations 160, and the ids or their order differ"
    ):
        logistic_weights(adata[:50], activations)
    with pytest.raises(DictionaryMismatchError, match=r"concepts \[9\] are not in dictionary d1, which has"):
        baseline_scores(adata, activations, methods=["random"], concepts=[9])
