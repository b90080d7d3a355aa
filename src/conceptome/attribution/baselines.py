"""Gene scores by other means than asking the model: correlation with the activation, and chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Bool, Float, Int

from conceptome.attribution.differential import TARGET_SUM, differential_expression
from conceptome.core import (
    Activations,
    Csr,
    DifferentialMeasure,
    InputError,
    Names,
    require_at_least,
    require_choice,
    require_positive,
)
from conceptome.counterfactuals.inputs import chosen_concepts
from conceptome.data import raw_counts

Baseline: TypeAlias = Literal[DifferentialMeasure, "logistic", "random"]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)

LEAST_VARIANCE = 1e-10  # of the largest; below it a direction is rounding


def baseline_scores(
    adata: AnnData,
    activations: Activations,
    *,
    methods: Sequence[Baseline] = BASELINES,
    concepts: Sequence[int] | None = None,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Score genes for concepts by methods that never ask the model.

    Parameters
    ----------
    adata
        The cells, with raw counts.
    activations
        Activations of the same cells.
    methods
        ``"wilcoxon"`` (z), ``"t_test"`` (Welch's t) and ``"log_fold_change"`` of `differential_expression`,
        ``"logistic"`` (`logistic_weights`), ``"random"`` (`random_scores`).
    concepts
        Which concepts to score; all by default.
    seed
        Seed of what is drawn.

    Returns
    -------
    For each method scores, concepts x genes; positive = higher where the concept is active. NaN where a
    method cannot score, as for concepts that are active in every cell or in none.

    Raises
    ------
    InputError
        If cells differ, there are no raw counts, or there is no such method.
    DictionaryMismatchError
        If the dictionary has no such concept.
    """
    for method in methods:
        require_choice("methods", method, BASELINES)
    chosen = chosen_concepts(activations, concepts)
    compared = {name for name in methods if name in get_args(DifferentialMeasure)}
    expression = differential_expression(adata, activations, concepts=chosen) if compared else None
    scores: dict[str, pd.DataFrame] = {}
    for method in methods:
        if method == "random":
            scores[method] = random_scores(adata.var_names, concepts=chosen, seed=seed)
        elif method == "logistic":
            scores[method] = logistic_weights(adata, activations, concepts=chosen, seed=seed)
        elif expression is not None:
            scores[method] = expression.scores(method)
    return scores


def random_scores(genes: Names, *, concepts: Sequence[int], seed: int = 0) -> pd.DataFrame:
    """Draw gene scores that know nothing: what any attribution must beat.

    Parameters
    ----------
    genes
        Names of the genes.
    concepts
        The concepts.
    seed
        Seed; the scores of a concept do not depend on which others are drawn.

    Returns
    -------
    Standard normal scores, concepts x genes.

    Raises
    ------
    InputError
        If the seed is negative.
    """
    require_at_least("seed", seed, 0)
    drawn = [np.random.default_rng([seed, concept]).normal(size=len(genes)) for concept in concepts]
    values = np.array(drawn).reshape(len(concepts), len(genes))
    return pd.DataFrame(values, index=pd.Index(concepts, name="concept"), columns=genes)


def logistic_weights(
    adata: AnnData,
    activations: Activations,
    *,
    concepts: Sequence[int] | None = None,
    layer: str | None = None,
    c: float = 1.0,
    max_cells: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """Weigh genes by logistic regression of active against inactive cells.

    Genes are log1p CP10k, standardised over all cells; the regression is scikit-learn's, with an L2 penalty
    and an intercept. A concept is fitted to as many active as inactive cells, drawn without replacement.
    There are fewer cells than genes then, and the penalised weights lie in the space that the cells span:
    the regression is solved in the cells' principal coordinates and turned back, which gives the same
    weights as all genes at once in a fraction of the time.

    Parameters
    ----------
    adata
        The cells, with raw counts.
    activations
        Activations of the same cells.
    concepts
        Which concepts to fit; all by default.
    layer
        Layer that holds the counts; found by itself when None.
    c
        Inverse strength of the penalty, as scikit-learn's ``C``.
    max_cells
        Most cells of each kind.
    seed
        Decides which cells are drawn, for each concept on its own.

    Returns
    -------
    Weights of the standardised genes, concepts x genes; 0 for genes without variance. NaN where a concept is
    active in every cell or in none.

    Raises
    ------
    InputError
        If cells differ or there are no raw counts, or a setting is out of its range.
    DictionaryMismatchError
        If the dictionary has no such concept.
    """
    require_at_least("max_cells", max_cells, 1)
    require_at_least("seed", seed, 0)
    require_positive("c", c)
    if not adata.obs_names.equals(activations.cell_ids):
        found = f"adata has {adata.n_obs} cells, the activations {len(activations.cell_ids)}"
        msg = f"{found}, and the ids or their order differ. Pass the cells that were encoded, in their order."
        raise InputError(msg)
    chosen = chosen_concepts(activations, concepts)
    values = _log_normalised(raw_counts(adata, layer=layer))
    mean, gain = _standardisation(values)
    weights = np.full((len(chosen), adata.n_vars), np.nan)
    for row, concept in enumerate(chosen):
        is_active = activations.of(concept) > 0
        cells = _balanced(is_active, max_cells, np.random.default_rng([seed, concept]))
        if len(cells):
            weights[row] = _fit((values[cells].toarray() - mean) * gain, is_active[cells], c=c)
    return pd.DataFrame(weights, index=pd.Index(chosen, name="concept"), columns=adata.var_names)


def _log_normalised(counts: Csr) -> Csr:
    """Return log1p CP10k."""
    total = np.maximum(np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel(), 1.0)
    scaled = sp.csr_array(sp.diags_array(TARGET_SUM / total) @ counts)
    return scaled.log1p()


def _standardisation(values: Csr) -> tuple[Float[np.ndarray, " genes"], Float[np.ndarray, " genes"]]:
    """Return the mean of each gene and 1 / its standard deviation, or 0 where it has none."""
    mean = np.asarray(values.mean(axis=0)).ravel()
    variance = np.asarray((values**2).mean(axis=0)).ravel() - mean**2
    varies = variance > LEAST_VARIANCE * variance.max(initial=0.0)
    return mean, np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1.0)), 0.0)


def _balanced(
    is_active: Bool[np.ndarray, " cells"], max_cells: int, rng: np.random.Generator
) -> Int[np.ndarray, " chosen"]:
    """Draw as many active as inactive cells."""
    sides = np.flatnonzero(is_active), np.flatnonzero(~is_active)
    size = min(*(len(side) for side in sides), max_cells)
    return np.concatenate([rng.choice(side, size, replace=False) for side in sides])


def _fit(
    values: Float[np.ndarray, "cells genes"], is_active: Bool[np.ndarray, " cells"], *, c: float
) -> Float[np.ndarray, " genes"]:
    """Fit weights of genes through the coordinates V' x of the cells, with values = U S V'."""
    from sklearn.linear_model import LogisticRegression

    squares, vectors = np.linalg.eigh(values @ values.T)
    kept = squares > LEAST_VARIANCE * squares.max()
    lengths = np.sqrt(squares[kept])
    model = LogisticRegression(C=c, tol=1e-6, max_iter=1000)
    model.fit(vectors[:, kept] * lengths, is_active)
    back = vectors[:, kept] @ (model.coef_.ravel() / lengths)
    return np.asarray(back @ values)
