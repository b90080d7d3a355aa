"""Linear probes: how well a logistic regression reads a label from a representation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from conceptome.core import Csr
from conceptome.data.columns import MIN_LABEL_CELLS

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline
else:
    Pipeline: TypeAlias = Any


def fit_probe(features: Float[np.ndarray, "cells features"] | Csr, labels: np.ndarray) -> Pipeline:
    """Fit a logistic regression of the label.

    Parameters
    ----------
    features
        Representation of each training cell, dense or CSR.
    labels
        Label of each training cell, strings; those with fewer than 5 cells are not learned.

    Returns
    -------
    `sklearn.pipeline.Pipeline` of a `StandardScaler` and a `LogisticRegression`, both fitted on these cells.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    learnt = np.isin(labels, frequent(labels))
    dense = features if isinstance(features, np.ndarray) else features.toarray()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(dense[learnt], labels[learnt])
    return model


def probe(
    features: Float[np.ndarray, "cells features"] | Csr,
    labels: np.ndarray,
    *,
    test: Bool[np.ndarray, " cells"],
) -> float:
    """Fit a logistic regression of the label on training cells and score it on test cells.

    Features are standardised with the training cells' mean and standard deviation; which labels are learned
    depends on training cells alone.

    Parameters
    ----------
    features
        Representation of each cell, dense or CSR.
    labels
        Label of each cell, strings.
    test
        True for test cells.

    Returns
    -------
    Macro-F1 over the labels with at least 5 cells in both parts; NaN if there are fewer than two.
    """
    from sklearn.metrics import f1_score

    learnt = frequent(labels[~test])
    scored = [name for name in learnt if name in frequent(labels[test])]
    if len(scored) < 2:
        return float("nan")
    rows = np.flatnonzero(test & np.isin(labels, learnt))
    dense = features if isinstance(features, np.ndarray) else features.toarray()
    predicted = fit_probe(dense[~test], labels[~test]).predict(dense[rows])
    return float(f1_score(labels[rows], predicted, labels=scored, average="macro", zero_division=0))


def frequent(labels: np.ndarray) -> list[str]:
    """List the labels that have at least 5 cells, by name."""
    names, counts = np.unique(labels, return_counts=True)
    return [str(name) for name in names[counts >= MIN_LABEL_CELLS]]
