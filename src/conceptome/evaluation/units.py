"""Do single units know single labels? F1 of a thresholded unit, as in [InterPLM]."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool, Float

from conceptome.core import Activations, Csr, InputError
from conceptome.data.columns import MIN_LABEL_CELLS
from conceptome.evaluation.labels import Labels, id_order, membership
from conceptome.evaluation.splits import seeded_split

MATCH_F1 = 0.5

logger = logging.getLogger(__name__)


def choose_thresholds(
    activations: Csr, members: Bool[np.ndarray, "cells labels"]
) -> tuple[Float[np.ndarray, "units labels"], Float[np.ndarray, "units labels"]]:
    """Find for every unit and label the threshold with the best F1.

    Every distinct positive activation is tried ("at least so active"); one sort per unit serves all labels.

    Parameters
    ----------
    activations
        CSR, ``(n_cells, n_units)``.
    members
        Which cell has which label.

    Returns
    -------
    thresholds
        Infinite for a unit that is never active.
    f1
        At that threshold, on the same cells; 0 for a unit that is never active.
    """
    columns = sp.csc_array(activations)
    n_members = members.sum(axis=0)
    thresholds = np.full((columns.shape[1], members.shape[1]), np.inf)
    f1 = np.zeros_like(thresholds)
    for unit, (start, stop) in enumerate(zip(columns.indptr[:-1], columns.indptr[1:], strict=True)):
        values, cells = columns.data[start:stop], columns.indices[start:stop]
        order = np.argsort(-values, kind="stable")
        order = order[values[order] > 0]
        if not len(order):
            continue
        values = values[order]
        last_of_tie = np.flatnonzero(np.append(values[1:] < values[:-1], True))
        hits = np.cumsum(members[cells[order]], axis=0, dtype=np.int32)[last_of_tie]
        score = 2 * hits / (last_of_tie[:, None] + 1 + n_members)
        best = np.argmax(score, axis=0)
        thresholds[unit] = values[last_of_tie[best]]
        f1[unit] = score[best, np.arange(len(best))]
    return thresholds, f1


def score_thresholds(
    activations: Csr, members: Bool[np.ndarray, "cells labels"], thresholds: Float[np.ndarray, "units labels"]
) -> Float[np.ndarray, "units labels"]:
    """Compute F1 at given thresholds.

    Parameters
    ----------
    activations
        CSR, ``(n_cells, n_units)``.
    members
        Which cell has which label.
    thresholds
        Least activation that counts as "has the label".

    Returns
    -------
    F1; 0 where no cell reaches the threshold.
    """
    columns = sp.csc_array(activations)
    n_members = members.sum(axis=0)
    f1 = np.zeros_like(thresholds)
    for unit, (start, stop) in enumerate(zip(columns.indptr[:-1], columns.indptr[1:], strict=True)):
        chosen = columns.data[start:stop, None] >= thresholds[unit]
        hits = (chosen & members[columns.indices[start:stop]]).sum(axis=0)
        f1[unit] = 2 * hits / np.maximum(chosen.sum(axis=0) + n_members, 1)
    return f1


def match_units(
    activations: Csr, labels: np.ndarray, *, test: Bool[np.ndarray, " cells"]
) -> tuple[pd.DataFrame, float]:
    """Find the best unit for each label on validation cells and score it on test cells.

    Parameters
    ----------
    activations
        CSR, ``(n_cells, n_units)``.
    labels
        Label of each cell, strings.
    test
        True for test cells; the others choose unit and threshold.

    Returns
    -------
    units
        ``label, unit, threshold, f1_validation, f1``; a label with fewer than 5 cells in either part has unit
        -1 and NaN.
    matching
        Share of units whose best label on validation cells reaches F1 >= 0.5 on test cells.
    """
    names = np.unique(labels)
    members = membership(labels, names.tolist())
    known = members[~test].sum(axis=0) >= MIN_LABEL_CELLS
    table = pd.DataFrame(
        {"label": names, "unit": -1, "threshold": np.nan, "f1_validation": np.nan, "f1": np.nan}
    )
    if not known.any():
        return table, float("nan")
    thresholds, f1_validation = choose_thresholds(activations[~test], members[~test][:, known])
    f1 = score_thresholds(activations[test], members[test][:, known], thresholds)
    own_label = np.argmax(f1_validation, axis=1)
    matching = float((f1[np.arange(len(f1)), own_label] >= MATCH_F1).mean())
    unit, column = np.argmax(f1_validation, axis=0), np.arange(int(known.sum()))
    reached = thresholds[unit, column]
    table.loc[known, "unit"] = unit
    table.loc[known, "threshold"] = np.where(np.isfinite(reached), reached, np.nan)
    table.loc[known, "f1_validation"] = f1_validation[unit, column]
    table.loc[known, "f1"] = f1[unit, column]
    unscored = members[test].sum(axis=0) < MIN_LABEL_CELLS
    table.loc[unscored, ["unit", "threshold", "f1_validation", "f1"]] = [-1, np.nan, np.nan, np.nan]
    return table, matching


def chance_f1(
    activations: Csr, labels: np.ndarray, *, test: Bool[np.ndarray, " cells"], n_shuffles: int, seed: int
) -> Float[np.ndarray, "shuffles labels"]:
    """Measure what the best unit reaches for each label where units know nothing of labels.

    The whole of `match_units` is repeated with the labels shuffled within the validation and within the test
    cells: every unit keeps the frequency with which it is active, every label its number of cells, and the
    choice of the best of all units gains as much by luck.

    Parameters
    ----------
    activations, labels, test
        As for `match_units`.
    n_shuffles
        How often.
    seed
        Decides the shuffles.

    Returns
    -------
    F1 on test cells, in the order of the table of `match_units`; NaN for labels that are not scored.
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n_shuffles):
        shuffled = labels.copy()
        for part in (np.flatnonzero(test), np.flatnonzero(~test)):
            shuffled[part] = labels[rng.permutation(part)]
        found.append(match_units(activations, shuffled, test=test)[0]["f1"].to_numpy())
    return np.array(found)


def label_concepts(
    activations: Activations | Csr, labels: Labels | np.ndarray, *, seed: int = 0
) -> pd.DataFrame:
    """Name for each concept the label whose cells it separates best.

    Cross-fitted: thresholds are chosen on one half of the cells (stratified by label) and scored on the
    other, then the reverse; F1 is the mean of both scores, and the label is the one with the largest.

    Parameters
    ----------
    activations
        A record or CSR, ``(n_cells, n_concepts)``. The halves of a record are drawn by cell id, whatever the
        order of its cells; those of a bare CSR, which names no cells, depend on their order.
    labels
        Label of each cell; cells with a missing label are left out.
    seed
        Decides the halves.

    Returns
    -------
    Indexed by concept: ``best_label, best_label_f1`` and ``best_label_share``, how much of its activation in
    labelled cells lies in those of the label. A threshold may pick a label's few cells out of the many that
    activate the concept: F1 is high then, and the share small. An empty label and NaN for a concept that is
    active in no labelled cell. Labels with fewer than 10 cells are not candidates; if none has so many, all
    are empty and a warning says so.

    Raises
    ------
    InputError
        If `labels` has another length than the activations.
    """
    values = activations.values if isinstance(activations, Activations) else activations
    concepts = pd.RangeIndex(values.shape[1], name="concept")
    column = pd.Series(np.asarray(labels, dtype=object))
    if len(column) != values.shape[0]:
        msg = f"labels has {len(column)} entries, expected one for each of {values.shape[0]} cells."
        raise InputError(msg)
    order = id_order(activations.cell_ids) if isinstance(activations, Activations) else np.arange(len(column))
    rows = order[column.notna().to_numpy()[order]]
    present, values = column[rows].astype(str).to_numpy(dtype=object), values[rows]
    names, sizes = np.unique(present.astype(str), return_counts=True)
    names = names[sizes >= 2 * MIN_LABEL_CELLS]
    if not len(names):
        logger.warning("No label has at least %d cells, so concepts stay unlabelled.", 2 * MIN_LABEL_CELLS)
        nothing = {"best_label": "", "best_label_f1": np.nan, "best_label_share": np.nan}
        return pd.DataFrame(nothing, index=concepts)
    members = membership(present, names.tolist())
    half = seeded_split(present, test_share=0.5, seed=seed)
    scores = []
    for test in (half, ~half):
        thresholds, _ = choose_thresholds(values[~test], members[~test])
        scores.append(score_thresholds(values[test], members[test], thresholds))
    f1 = np.mean(scores, axis=0)
    best = np.argmax(f1, axis=1)
    total = np.asarray(values.sum(axis=0), dtype=np.float64).ravel()
    within = (values.T.astype(np.float64) @ members.astype(np.float64))[np.arange(len(best)), best]
    active = total > 0
    return pd.DataFrame(
        {
            "best_label": np.where(active, names[best], ""),
            "best_label_f1": np.where(active, f1.max(axis=1), np.nan),
            "best_label_share": np.divide(within, total, out=np.full(len(total), np.nan), where=active),
        },
        index=concepts,
    )
