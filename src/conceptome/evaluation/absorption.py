"""Splitting and absorption: whether one unit carries a label, or several, or more specific ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from conceptome.core import Csr
from conceptome.data.columns import MIN_LABEL_CELLS
from conceptome.evaluation.units import choose_thresholds

LEAST_GAIN = 0.03  # of F1 by a further unit, as in [SAEBench]
MAX_UNITS = 4


@dataclass(frozen=True)
class LabelUnits:
    """How the units of a dictionary carry one label."""

    label: str
    n_units: int
    """Units whose union tells the label: each adds at least 0.03 to F1, on test cells too."""
    absorbed: float
    """Share of the label's test cells in which the main unit is silent and an equally precise one fires."""


def carry_labels(
    activations: Csr, labels: np.ndarray, *, test: Bool[np.ndarray, " cells"]
) -> list[LabelUnits]:
    """Measure feature splitting and feature absorption, with cell labels in place of first letters.

    [SAEBench]_ calls a feature split when a probe on k latents gains at least 0.03 of F1 by one more, and
    absorbed when its main latent is silent on a token that has the feature while another one takes its
    place. Here units tell a label where they reach their thresholds. The main unit has the best F1 on
    validation cells; units are added to it one by one, the one with the best F1 of the union first. A label
    is absorbed in a cell that has it where the main unit stays below its threshold and some other unit fires
    that is, on validation cells, at least as precise for the label: with labels that nest, such a unit often
    stands for a part of the label's cells.

    Parameters
    ----------
    activations
        CSR, ``(n_cells, n_units)``.
    labels
        Label of each cell, strings.
    test
        True for test cells; the others choose units and thresholds.

    Returns
    -------
    One entry per label with at least 5 cells in both parts.

    References
    ----------
    .. [SAEBench] A comprehensive benchmark for sparse autoencoders, arXiv:2503.09532 (splitting and
       absorption after Chanin et al. 2024, arXiv:2409.14507).
    """
    dense = activations.toarray()
    names = [
        str(name) for name in np.unique(labels[~test]) if (labels[~test] == name).sum() >= MIN_LABEL_CELLS
    ]
    members = labels[:, None] == np.asarray(names)[None, :]
    thresholds, f1 = choose_thresholds(activations[~test], members[~test])
    found = []
    for label, name in enumerate(names):
        if members[test, label].sum() < MIN_LABEL_CELLS or not f1[:, label].any():
            continue
        fires = (dense >= thresholds[:, label]) & np.isfinite(thresholds[:, label])
        main, has = int(np.argmax(f1[:, label])), members[:, label]
        n_units = _units_needed(fires, has, test, main)
        found.append(LabelUnits(name, n_units, _absorbed(fires, has, test, main)))
    return found


def _units_needed(fires: np.ndarray, has: np.ndarray, test: np.ndarray, main: int) -> int:
    union = fires[:, main]
    before = _f1(union[test, None], has[test])[0]
    for n_units in range(1, MAX_UNITS):
        candidates = union[:, None] | fires
        added = int(np.argmax(_f1(candidates[~test], has[~test])))
        after = _f1(candidates[test][:, [added]], has[test])[0]
        if after - before < LEAST_GAIN:
            return n_units
        union, before = candidates[:, added], after
    return MAX_UNITS


def _absorbed(fires: np.ndarray, has: np.ndarray, test: np.ndarray, main: int) -> float:
    hits = (fires[~test] & has[~test, None]).sum(axis=0)
    precision = hits / np.maximum(fires[~test].sum(axis=0), 1)
    precise = (precision >= precision[main]) & (hits >= MIN_LABEL_CELLS)
    precise[main] = False
    own = fires[test & has]
    return float((~own[:, main] & own[:, precise].any(axis=1)).mean())


def _f1(
    predicted: Bool[np.ndarray, "cells units"], has: Bool[np.ndarray, " cells"]
) -> Float[np.ndarray, " units"]:
    hits = (predicted & has[:, None]).sum(axis=0)
    return np.asarray(2 * hits / np.maximum(predicted.sum(axis=0) + has.sum(), 1))
