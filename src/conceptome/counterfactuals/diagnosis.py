"""Whether pairs are what they should be: near, alike in library size, and alike in annotation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from conceptome.core import InputError, Pairs
from conceptome.counterfactuals.inputs import MISSING, check_columns, label_codes

MAX_LABELS = 50
RANDOM_PERCENTILE = 50.0  # of distance: as far as the median pair of random cells
MAX_BEYOND_RANDOM = 0.25  # share of pairs
MAX_LIBRARY_FACTOR = 1.5  # of the median pair; random pairs of pbmc3k differ 1.45x
MAX_LIBRARY_BIAS = 1.25  # of the median pair, with its direction: shifts the counts of all genes one way
MAX_IMBALANCE = 0.3  # Cramér's V; a medium effect by [Cohen88]
MAX_DROPPED = 0.25  # share of factuals

COUNTS = ("n_factuals", "n_pairs", "n_dropped")
MEASURES = ("distance_percentile", "beyond_random", "library_factor", "library_bias")


def diagnose(
    pairs: Pairs, *, obs: pd.DataFrame | None = None, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Tell for each concept how good its pairs are, with a warning in words where they are not.

    Warned of are, in this order: counterfactuals as far as random cells (the median pair at or beyond the
    50th percentile of random distances, or a quarter of the pairs beyond it), library sizes that differ
    (1.5x in the median pair, or 1.25x in one direction), labels that factuals and counterfactuals do not
    share (Cramér's V of 0.3), and factuals without counterfactual (a quarter). What the two sides differ in
    besides the concept, attribution credits to the concept. A label that is the concept's own content, such
    as its cell type, will be unbalanced too: name the columns that are not.

    Parameters
    ----------
    pairs
        Matched pairs.
    obs
        Annotation of the same cells.
    columns
        Columns of `obs` with labels; by default all with text, categories or truth values, of 2 to 50
        different ones, and of those that divide the cells alike the first.

    Returns
    -------
    One row per concept, index ``concept``; NaN where a concept is not attributable, its warning says why.

    - ``n_factuals``, ``n_pairs``, ``n_dropped`` (factuals without counterfactual);
    - ``distance_percentile``: median over pairs of the percentile among random distances, and
      ``beyond_random``: share of pairs beyond the 50th;
    - ``library_factor``: exp of the median absolute log library ratio, and ``library_bias``: exp of its
      median with sign, > 1 where factuals have the larger libraries; NaN if `match` was given none;
    - ``agree_<column>``: share of pairs with equal labels (a missing one equals none), and ``v_<column>``:
      Cramér's V between side and label, corrected for bias [Bergsma13]: 0 if both sides have the same labels
      in the same proportions, 1 if they share none;
    - ``warning``: text, empty where there is nothing to warn of.

    Raises
    ------
    InputError
        If `obs` is missing, describes other cells or lacks a column.
    """
    codes = _codes(pairs, obs, columns)
    concepts = sorted({*pairs.concept.tolist(), *map(int, pairs.not_attributable)})
    labels = [f"{measure}_{name}" for name in codes for measure in ("agree", "v")]
    return pd.DataFrame(
        [_row(pairs, concept, codes) for concept in concepts],
        index=pd.Index(concepts, name="concept", dtype=np.int64),
        columns=[*COUNTS, *MEASURES, *labels, "warning"],
    ).astype(dict.fromkeys(COUNTS, np.int64))


def _codes(
    pairs: Pairs, obs: pd.DataFrame | None, columns: Sequence[str] | None
) -> dict[str, Int[np.ndarray, " cells"]]:
    check_columns(columns=columns or ())
    if obs is None:
        if columns:
            msg = f"columns names {list(columns)}, but obs was not given. Pass obs=adata.obs."
            raise InputError(msg)
        return {}
    codes = label_codes(
        obs, pairs.cell_ids, _label_columns(obs) if columns is None else columns, of="the pairs"
    )
    if columns is None:
        partitions = {code.tobytes(): name for name, code in reversed(codes.items())}
        codes = {name: code for name, code in codes.items() if name in partitions.values()}
    return codes


def _label_columns(obs: pd.DataFrame) -> list[str]:
    """Name the columns that hold labels: text, categories or truth values, of 2 to 50 different ones."""
    kinds = obs.select_dtypes(["object", "string", "category", "bool"])
    return [str(name) for name in kinds if 2 <= kinds[name].nunique() <= MAX_LABELS]


def _row(pairs: Pairs, concept: int, codes: Mapping[str, Int[np.ndarray, " cells"]]) -> dict[str, Any]:
    rows = np.flatnonzero(pairs.concept == concept)
    counts = {
        "n_factuals": len(np.unique(pairs.pair[rows])),
        "n_pairs": len(rows),
        "n_dropped": pairs.n_dropped.get(concept, 0),
    }
    if concept in pairs.not_attributable:
        return counts | {"warning": f"not attributable: {pairs.not_attributable[concept]}"}
    log_ratio = np.log(pairs.library_ratio[rows])
    row: dict[str, Any] = counts | {
        "distance_percentile": np.median(pairs.distance_percentile[rows]),
        "beyond_random": np.mean(pairs.distance_percentile[rows] > RANDOM_PERCENTILE),
        "library_factor": np.exp(np.median(np.abs(log_ratio))),
        "library_bias": np.exp(np.median(log_ratio)),
    }
    for name, code in codes.items():
        one, other = code[pairs.factual[rows]], code[pairs.counterfactual[rows]]
        row[f"agree_{name}"] = np.mean((one == other) & (one != MISSING))
        row[f"v_{name}"] = _cramers_v(one, other)
    return row | {"warning": "; ".join(_warnings(row, list(codes)))}


def _cramers_v(one: Int[np.ndarray, " pairs"], other: Int[np.ndarray, " pairs"]) -> float:
    """Measure how far the side of a pair tells its label; missing labels are one more label."""
    labels, code = np.unique(np.concatenate([one, other]), return_inverse=True)
    n_labels, n = len(labels), 2.0 * len(one)
    if n_labels == 1:
        return 0.0
    side = np.repeat([0, 1], len(one))
    table = np.bincount(side * n_labels + code, minlength=2 * n_labels).reshape(2, n_labels)
    expected = table.sum(axis=0) / 2  # both sides are as large
    association = ((table - expected) ** 2 / expected).sum() / n - (n_labels - 1) / (n - 1)
    sides_left, labels_left = 1 - 1 / (n - 1), n_labels - 1 - (n_labels - 1) ** 2 / (n - 1)
    least = min(sides_left, labels_left)
    return float(np.sqrt(max(association, 0) / least)) if least > 0 else np.nan


def _warnings(row: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    """Say what is wrong with the pairs of a concept, and which option of `match` would mend it."""
    if row["distance_percentile"] >= RANDOM_PERCENTILE:
        yield "counterfactuals are as far as random cells"
    elif row["beyond_random"] >= MAX_BEYOND_RANDOM:
        yield f"{row['beyond_random']:.0%} of counterfactuals are farther than random cells"
    bias = max(row["library_bias"], 1 / row["library_bias"])
    if bias >= MAX_LIBRARY_BIAS:
        side = "larger" if row["library_bias"] > 1 else "smaller"
        yield f"library sizes of factuals are {bias:.1f}x {side}: caliper=0.2"
    elif row["library_factor"] >= MAX_LIBRARY_FACTOR:
        yield f"library sizes differ {row['library_factor']:.1f}x: caliper=0.2"
    for name in columns:
        if row[f"v_{name}"] >= MAX_IMBALANCE:
            differ = 1 - row[f"agree_{name}"]
            yield f"{differ:.0%} of counterfactuals are of another {name}: match_on={name}"
    n_drawn = row["n_factuals"] + row["n_dropped"]
    if row["n_dropped"] >= MAX_DROPPED * n_drawn:
        yield f"{row['n_dropped']} of {n_drawn} factuals found no counterfactual"
