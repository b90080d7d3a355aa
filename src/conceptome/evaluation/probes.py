"""Linear probes: how well a logistic regression reads a label from a representation."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from conceptome.core import Csr
from conceptome.data.columns import MIN_LABEL_CELLS


def probe(
    features: Float[np.ndarray, "cells features"] | Csr,
    labels: np.ndarray,
    *,
    test: Bool[np.ndarray, " cells"],
) -> float:
    """Fit a logistic regression of the label on training cells and score it on test cells.

    Features are standardised with the training cells' mean and standard deviation.

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
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names = np.unique(labels)
    scored = [
        name
        for name in names
        if min((labels[test] == name).sum(), (labels[~test] == name).sum()) >= MIN_LABEL_CELLS
    ]
    if len(scored) < 2:
        return float("nan")
    usable = np.isin(labels, scored)
    learn, score = np.flatnonzero(usable & ~test), np.flatnonzero(usable & test)
    dense = features if isinstance(features, np.ndarray) else features.toarray()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(dense[learn], labels[learn])
    return float(f1_score(labels[score], model.predict(dense[score]), labels=scored, average="macro"))
