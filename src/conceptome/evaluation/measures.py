"""One evaluation of a dictionary and of its baselines on the same cells."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Bool, Float

from conceptome.core import (
    Csr,
    Dictionary,
    Embeddings,
    Encoder,
    Evaluation,
    InputError,
    Names,
    require_at_least,
)
from conceptome.data.columns import require_names
from conceptome.dictionaries import HeldoutSplit
from conceptome.dictionaries.checks import require_source
from conceptome.evaluation.baselines import fit_baselines
from conceptome.evaluation.fidelity import measure_fidelity
from conceptome.evaluation.labels import LabelledCells, Labels, id_order, read_column, read_labels
from conceptome.evaluation.probes import probe
from conceptome.evaluation.splits import seeded_split
from conceptome.evaluation.units import MATCH_F1, match_units

N_SPLITS = 3
UNIT_TEST_SHARE = 0.5
PROBE_TEST_SHARE = 0.3
PROBE_CELLS = 20_000  # a logistic regression learns little more from more
UNIT_COLUMNS = ["dictionary", "label_key", "label", "unit", "threshold", "f1_validation", "f1"]
HELDOUT_FRACTION = 0.1  # for dictionaries that name no split of their own

logger = logging.getLogger(__name__)

Row = dict[str, str | float]


def evaluate(
    adata: AnnData,
    encoder: Encoder | None,
    dictionary: Dictionary,
    *,
    label_keys: Sequence[str],
    seed: int = 0,
    embeddings: Embeddings | None = None,
    group_key: str | None = None,
) -> Evaluation:
    """Measure a dictionary beside its baselines on the same cells.

    The baselines are neurons; PCA, ICA and NMF with as many components as the dictionary has active concepts
    per cell; k-means and a frozen random SAE [Sanity26] with as many concepts as the dictionary. They are
    fitted on the cells the dictionary was trained on; fidelity is measured on those it held out. Dictionaries
    never see labels, so units and probes use all labelled cells, in 3 seeded splits: half of the cells choose
    a unit and its threshold and the other half score it; 70% of at most 20,000 cells train a probe and 30%
    score it. Cells are taken in the order of their ids, so that their order in `adata` changes nothing.

    Parameters
    ----------
    adata
        Cells with their labels in `obs`.
    encoder
        Embeds the cells where `embeddings` is not given; None if it is.
    dictionary
        The dictionary.
    label_keys
        Columns of `obs` that name populations; none = fidelity only.
    seed
        Decides the splits.
    embeddings
        Embeddings of the same cells in the same order, to save the time of making them.
    group_key
        Column of `obs` with the donor: whole donors are tested on. Needed if the dictionary held out donors.

    Returns
    -------
    `Evaluation`. Its measures have one more column, ``sd`` (over splits; NaN where there is nothing to vary);
    its `units` are those of the first split.

    Raises
    ------
    InputError
        If a column is missing or not usable, the seed is negative, the embeddings are of other cells, or the
        split of the dictionary cannot be applied to these cells.
    DictionaryMismatchError
        If the embeddings come from another encoder than the dictionary's.
    """
    require_names(label_keys, "label_keys")
    require_at_least("seed", seed, 0)
    order = id_order(adata.obs_names)
    labels = {key: read_labels(adata.obs.iloc[order], key) for key in label_keys}
    groups = None if group_key is None else read_column(adata.obs.iloc[order], group_key)
    embedded = _embed(adata, encoder) if embeddings is None else embeddings
    if not embedded.cell_ids.equals(adata.obs_names):
        msg = (
            f"The embeddings name other cells ({len(embedded.cell_ids)}) than adata ({adata.n_obs}), or in "
            "another order. Embed this adata again."
        )
        raise InputError(msg)
    require_source(embedded, dictionary_id=dictionary.dictionary_id, encoder_id=dictionary.encoder_id)
    z = embedded.values[order]
    heldout = _heldout(dictionary, embedded.cell_ids[order], groups, seed=seed)
    baselines = fit_baselines(dictionary, z, heldout=heldout, seed=seed)
    dictionaries = {dictionary.kind: dictionary} | {each.kind: each for each in baselines}
    activations = {name: each.encode(z) for name, each in dictionaries.items()}
    measures = [
        _row(name, metric, [value])
        for name, each in dictionaries.items()
        for metric, value in measure_fidelity(each, z, activations=activations[name], heldout=heldout).items()
    ]
    units = []
    for key, column in labels.items():
        cells = LabelledCells.of(key, column, groups)
        for name, values in activations.items():
            rows, table = _measure_units(name, values, cells, seed=seed)
            measures += rows
            units.append(table)
        unscored = table.loc[table["unit"] < 0, "label"]
        if len(unscored):
            logger.warning("obs[%r]: too few cells to score %s", key, ", ".join(unscored))
        measures += _measure_probes(dictionaries, activations, z, cells=cells, seed=seed)
    table = pd.concat(units, ignore_index=True) if units else pd.DataFrame(columns=UNIT_COLUMNS)
    return Evaluation(pd.DataFrame(measures), table, dictionary.dictionary_id)


def _embed(adata: AnnData, encoder: Encoder | None) -> Embeddings:
    if encoder is None:
        msg = "There is neither an encoder nor embeddings to evaluate. Give one of them."
        raise InputError(msg)
    return encoder.embed(adata)


def _heldout(
    dictionary: Dictionary, cell_ids: Names, groups: Labels | None, *, seed: int
) -> Bool[np.ndarray, " cells"]:
    """Apply the split the dictionary was trained with, or draw one where it names none."""
    cells = cell_ids.astype(str).tolist()
    stored = getattr(dictionary, "training", {}).get("split")
    if stored is None:
        return HeldoutSplit.draw(cells, fraction=HELDOUT_FRACTION, seed=seed, by="cell").mask(cells)
    split = HeldoutSplit(**stored)
    if split.by == "group" and groups is None:
        msg = f"Dictionary {dictionary.dictionary_id} held out whole groups (donors). Give group_key."
        raise InputError(msg)
    heldout = split.mask(cells if groups is None or split.by == "cell" else groups.astype(str).tolist())
    if heldout.all() or not heldout.any():
        msg = (
            f"The split of dictionary {dictionary.dictionary_id} holds out {int(heldout.sum())} of these "
            f"{len(cells)} cells, expected some and not all. Evaluate it on the cells it was trained with."
        )
        raise InputError(msg)
    return heldout


def _measure_units(
    name: str, activations: Csr, cells: LabelledCells, *, seed: int
) -> tuple[list[Row], pd.DataFrame]:
    """Compute the best F1 per label and the shares of labels and units that find a partner."""
    values = activations[cells.rows]
    splits = [
        seeded_split(cells.labels, test_share=UNIT_TEST_SHARE, seed=seed + split, groups=cells.groups)
        for split in range(N_SPLITS)
    ]
    matches = [match_units(values, cells.labels, test=test) for test in splits]
    f1 = pd.DataFrame([table.set_index("label")["f1"] for table, _ in matches])
    scored = f1.notna()
    rows = [_row(name, "best_f1", f1[label], key=cells.key, label=str(label)) for label in f1.columns]
    covered = (f1 >= MATCH_F1).sum(axis=1) / scored.sum(axis=1)
    rows.append(_row(name, "mean_best_f1", f1.mean(axis=1), key=cells.key))
    rows.append(_row(name, "labels_covered", covered, key=cells.key))
    rows.append(_row(name, "units_matching", [matching for _, matching in matches], key=cells.key))
    table = matches[0][0]
    table.insert(0, "label_key", cells.key)
    table.insert(0, "dictionary", name)
    return rows, table


def _measure_probes(
    dictionaries: Mapping[str, Dictionary],
    activations: Mapping[str, Csr],
    z: Float[np.ndarray, "cells d_embed"],
    *,
    cells: LabelledCells,
    seed: int,
) -> list[Row]:
    """Probe embedding, activations and reconstructions on the same cells and splits."""
    sampled = np.random.default_rng(seed).permutation(len(cells.rows))[:PROBE_CELLS]
    chosen = cells.take(np.sort(sampled))
    representations: dict[tuple[str, str], np.ndarray | Csr] = {("embedding", "embedding"): z[chosen.rows]}
    for name, each in dictionaries.items():
        active = activations[name][chosen.rows]
        representations[name, "activations"] = active
        representations[name, "reconstruction"] = each.decode(active)
    splits = [
        seeded_split(chosen.labels, test_share=PROBE_TEST_SHARE, seed=seed + split, groups=chosen.groups)
        for split in range(N_SPLITS)
    ]
    rows = []
    for (name, representation), values in representations.items():
        scores = [probe(values, chosen.labels, test=test) for test in splits]
        rows.append(_row(name, f"probe_macro_f1_{representation}", scores, key=cells.key))
    return rows


def _row(
    dictionary: str,
    metric: str,
    values: Iterable[float],
    *,
    key: str = "",
    label: str = "",
) -> Row:
    """Summarise one measure over the splits in which it could be taken."""
    taken = np.array(list(values), dtype=np.float64)
    taken = taken[np.isfinite(taken)]
    return {
        "dictionary": dictionary,
        "metric": metric,
        "label_key": key,
        "label": label,
        "value": float(taken.mean()) if len(taken) else float("nan"),
        "sd": float(taken.std(ddof=1)) if len(taken) > 1 else float("nan"),
    }
