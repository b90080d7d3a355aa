"""All measures of one dictionary on the same cells and splits as every other one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from threadpoolctl import threadpool_limits

from conceptome.core import Csr, Dictionary
from conceptome.evaluation.absorption import carry_labels
from conceptome.evaluation.cells import EvaluatedCells
from conceptome.evaluation.downstream import Downstream
from conceptome.evaluation.factuals import factual_purity
from conceptome.evaluation.fidelity import measure_fidelity
from conceptome.evaluation.labels import LabelledCells
from conceptome.evaluation.mixing import ilisi
from conceptome.evaluation.neighbours import label_neighbours, neighbours_kept
from conceptome.evaluation.probes import probe
from conceptome.evaluation.rows import Row, measured
from conceptome.evaluation.splits import seeded_split
from conceptome.evaluation.units import MATCH_F1, chance_f1, match_units

N_SPLITS = 3
N_SHUFFLES = 3  # per split
UNIT_TEST_SHARE = 0.5
PROBE_TEST_SHARE = 0.3
PROBE_CELLS = 20_000  # a logistic regression learns little more from more
NEIGHBOUR_CELLS = 5_000  # all distances between these are computed
UNIT_COLUMNS = ["dictionary", "label_key", "label", "unit", "threshold", "f1_validation", "f1", "f1_chance"]

Features = Float[np.ndarray, "cells features"] | Csr


def measure_embedding(name: str, cells: EvaluatedCells, *, seed: int) -> list[Row]:
    """Measure an embedding itself: what its reconstructions are compared with.

    Parameters
    ----------
    name
        What the rows are filed under.
    cells
        The cells.
    seed
        Decides splits and draws.

    Returns
    -------
    Probes, neighbours and mixing.
    """
    with threadpool_limits(1):
        return list(_read_off(name, {"embedding": cells.z}, cells, seed=seed))


def measure_dictionary(
    name: str,
    dictionary: Dictionary,
    cells: EvaluatedCells,
    *,
    heldout: Bool[np.ndarray, " cells"],
    downstream: Downstream | None,
    seed: int,
) -> tuple[list[Row], pd.DataFrame]:
    """Take every measure of a dictionary.

    Parameters
    ----------
    name
        What the rows are filed under.
    dictionary
        The dictionary.
    cells
        The cells.
    heldout
        Those that the dictionary has not seen.
    downstream
        The decoder, if it can be scored.
    seed
        Decides splits and draws.

    Returns
    -------
    rows
        The measures.
    units
        The best unit for each label in the first split.
    """
    with threadpool_limits(1):  # many small products: threads would wait for each other
        return _measure(name, dictionary, cells, heldout, downstream, seed=seed)


def _measure(
    name: str,
    dictionary: Dictionary,
    cells: EvaluatedCells,
    heldout: Bool[np.ndarray, " cells"],
    downstream: Downstream | None,
    *,
    seed: int,
) -> tuple[list[Row], pd.DataFrame]:
    z = cells.z
    activations = dictionary.encode(z)
    fidelity = measure_fidelity(dictionary, z, activations=activations, heldout=heldout)
    if downstream is not None:
        fidelity |= downstream.measure(dictionary)
    rows = [measured(name, metric, [value]) for metric, value in fidelity.items()]
    tables = []
    for labelled in cells.labels:
        own, table = _measure_units(name, activations, labelled, seed=seed)
        rows += own
        tables.append(table)
    for labelled in (*cells.labels, *cells.sides):
        rows += _measure_factuals(name, activations, labelled, seed=seed)
    features: Mapping[str, Features] = {
        "activations": activations,
        "reconstruction": dictionary.decode(activations),
    }
    rows += _read_off(name, features, cells, seed=seed)
    chosen = _draw(np.arange(len(z)), NEIGHBOUR_CELLS, seed)
    for representation, values in features.items():
        kept = neighbours_kept(z[chosen], _dense(values[chosen]))
        rows.append(measured(name, f"neighbours_kept_{representation}", [kept]))
    units = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=UNIT_COLUMNS)
    return rows, units


def _measure_units(
    name: str, activations: Csr, labelled: LabelledCells, *, seed: int
) -> tuple[list[Row], pd.DataFrame]:
    """Compare single units with single labels, and with what chance reaches."""
    key, values = labelled.key, activations[labelled.rows]
    splits = _splits(labelled, UNIT_TEST_SHARE, seed)
    matches = [match_units(values, labelled.labels, test=test) for test in splits]
    f1 = np.array([table["f1"] for table, _ in matches])
    chance = np.stack(
        [chance_f1(values, labelled.labels, test=test, n_shuffles=N_SHUFFLES, seed=seed) for test in splits]
    )
    expected, scored = chance.mean(axis=1), np.isfinite(f1)
    names = matches[0][0]["label"]
    rows = [
        measured(name, metric, table[:, at], key=key, label=str(label))
        for metric, table in (("best_f1", f1), ("chance_f1", expected))
        for at, label in enumerate(names)
    ]
    above = np.where(scored, f1 > chance.max(axis=1), np.nan)
    with np.errstate(invalid="ignore"):
        covered = (f1 >= MATCH_F1).sum(axis=1) / scored.sum(axis=1)
    overall = {
        "mean_best_f1": _mean(f1),
        "mean_f1_excess": _mean(f1 - expected),
        "labels_covered": covered,
        "labels_above_chance": _mean(above),
        "units_matching": [matching for _, matching in matches],
    }
    rows += [measured(name, metric, numbers, key=key) for metric, numbers in overall.items()]
    rows += _measure_carrying(name, values, labelled, splits=splits, seed=seed)
    table = matches[0][0].assign(dictionary=name, label_key=key, f1_chance=expected[0])
    return rows, table[UNIT_COLUMNS]


def _measure_carrying(
    name: str, values: Csr, labelled: LabelledCells, *, splits: list[np.ndarray], seed: int
) -> Iterator[Row]:
    """Measure splitting and absorption of labels."""
    chosen = _draw(np.arange(len(labelled.rows)), PROBE_CELLS, seed)
    found = pd.concat(
        pd.DataFrame(carry_labels(values[chosen], labelled.labels[chosen], test=test[chosen])).assign(
            split=at
        )
        for at, test in enumerate(splits)
    )
    if found.empty:
        return
    key = labelled.key
    for label, group in found.groupby("label"):
        yield measured(name, "label_absorption", group["absorbed"], key=key, label=str(label))
        yield measured(name, "units_of_label", group["n_units"].astype(float), key=key, label=str(label))
    by_split = found.groupby("split")[["absorbed", "n_units"]].mean()
    yield measured(name, "absorption", by_split["absorbed"], key=key)
    yield measured(name, "units_per_label", by_split["n_units"], key=key)


def _measure_factuals(name: str, activations: Csr, labelled: LabelledCells, *, seed: int) -> Iterator[Row]:
    """Measure how far factuals are of one kind, in the mean over units."""
    values = activations[labelled.rows]
    purity = factual_purity(values, labelled.labels, sampling="top", seed=seed)
    yield measured(name, "factual_purity_top", [_mean(purity[None])[0]], key=labelled.key)
    purity = factual_purity(values, labelled.labels, sampling="stratified", seed=seed)
    yield measured(name, "factual_purity_stratified", [_mean(purity[None])[0]], key=labelled.key)


def _read_off(
    name: str, features: Mapping[str, Features], cells: EvaluatedCells, *, seed: int
) -> Iterator[Row]:
    """Read labels off representations: by a probe, by neighbours; and measure how batches mix."""
    for labelled in (*cells.labels, *cells.sides):
        sampled = labelled.take(_draw(np.arange(len(labelled.rows)), PROBE_CELLS, seed))
        splits = _splits(sampled, PROBE_TEST_SHARE, seed)
        for representation, values in features.items():
            own = values[sampled.rows]
            scores = [probe(own, sampled.labels, test=test) for test in splits]
            yield measured(name, f"probe_macro_f1_{representation}", scores, key=labelled.key)
        near = labelled.take(_draw(np.arange(len(labelled.rows)), NEIGHBOUR_CELLS, seed))
        splits = _splits(near, PROBE_TEST_SHARE, seed)
        for representation, values in features.items():
            own = _dense(values[near.rows])
            told = np.array([label_neighbours(own, near.labels, test=test) for test in splits])
            yield measured(name, f"knn_accuracy_{representation}", told[:, 0], key=labelled.key)
            yield measured(name, f"knn_purity_{representation}", told[:, 1], key=labelled.key)
            if labelled in cells.sides:
                mixing = ilisi(own, near.labels)
                yield measured(name, f"ilisi_{representation}", [mixing], key=labelled.key)


def _splits(labelled: LabelledCells, share: float, seed: int) -> list[np.ndarray]:
    return [
        seeded_split(labelled.labels, test_share=share, seed=seed + split, groups=labelled.groups)
        for split in range(N_SPLITS)
    ]


def _draw(rows: np.ndarray, n_most: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).permutation(rows)[:n_most])


def _dense(values: Features) -> Float[np.ndarray, "cells features"]:
    return values if isinstance(values, np.ndarray) else np.asarray(values.toarray())


def _mean(values: np.ndarray) -> np.ndarray:
    """Average over the last axis; NaN where nothing is measured."""
    counted = np.isfinite(values).sum(axis=-1)
    total = np.nansum(values, axis=-1)
    return np.where(counted > 0, total / np.maximum(counted, 1), np.nan)
