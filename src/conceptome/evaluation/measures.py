"""One evaluation of a dictionary, of its baselines and of a random encoder on the same cells."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from conceptome.core import (
    Dictionary,
    Embeddings,
    Encoder,
    Evaluation,
    InputError,
    Reinitialisable,
    require_at_least,
)
from conceptome.data.columns import require_names
from conceptome.dictionaries.checks import require_source
from conceptome.evaluation.baselines import fit_baselines
from conceptome.evaluation.battery import UNIT_COLUMNS, measure_dictionary, measure_embedding
from conceptome.evaluation.cells import EvaluatedCells, read_cells
from conceptome.evaluation.downstream import Downstream
from conceptome.evaluation.retraining import recipe_of, train_like
from conceptome.evaluation.rows import COLUMNS, measured, over_seeds

EMBEDDING, RANDOM_ENCODER = "embedding", "random_encoder"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SeedMeasures:
    """What was measured with one seed of the dictionary."""

    seed: int
    measures: pd.DataFrame
    units: pd.DataFrame


def evaluate(  # noqa: PLR0913 (what is measured, on which cells, with which seeds)
    adata: AnnData,
    encoder: Encoder | None,
    dictionary: Dictionary | Sequence[Dictionary],
    *,
    label_keys: Sequence[str],
    seed: int = 0,
    embeddings: Embeddings | None = None,
    group_key: str | None = None,
    batch_key: str | None = None,
    n_seeds: int = 1,
) -> Evaluation:
    """Measure a dictionary beside its baselines on the same cells.

    The baselines are neurons; PCA, ICA and NMF with as many components as the dictionary has active concepts
    per cell; k-means and a frozen random SAE [Sanity26]_ with as many concepts as the dictionary. They are
    fitted on the cells the dictionary was trained on; fidelity is measured on those it held out. With several
    seeds there is also a random encoder: the same encoder with permuted weights, and a dictionary trained on
    its embedding by the same recipe.

    Dictionaries never see labels, so units and probes use all labelled cells, in 3 seeded splits: half of the
    cells choose a unit and its threshold and the other half score it [InterPLM]_; 70% of at most 20,000 cells
    train a probe, or are the neighbours of at most 5,000, and 30% score it. No test cell has a part in a
    threshold, a choice of a unit, a scaler or a probe. Cells are taken in the order of their ids, so that
    their order in `adata` changes nothing.

    Parameters
    ----------
    adata
        Cells with their labels in `obs`; with raw counts if the encoder's decoder is to be scored.
    encoder
        Embeds the cells where `embeddings` is not given; its decoder is fed with reconstructions. None = only
        `embeddings` are known.
    dictionary
        The dictionary, or several that differ in their seed.
    label_keys
        Columns of `obs` that name populations; none = no labels. ``"phase"`` is computed where `obs` lacks
        it, see `cell_cycle_phase`.
    seed
        Decides the splits, and the first of the seeds that are trained here.
    embeddings
        Embeddings of the same cells in the same order, to save the time of making them.
    group_key
        Column of `obs` with the donor: whole donors are tested on. Needed if the dictionary held out donors.
    batch_key
        Column of `obs` with the batch; how far it can be told and how well it mixes is measured, and the same
        for the donor.
    n_seeds
        Dictionaries to measure; those beyond the ones given are trained by the recipe of the first. Beyond 1
        the random encoder is measured too.

    Returns
    -------
    `Evaluation`. Values are means over seeds, or over splits with a single seed; its `units` are those of the
    first dictionary and split.

    Raises
    ------
    InputError
        If a column is missing or not usable, the seed is negative, the embeddings are of other cells, the
        split of the dictionary cannot be applied to these cells, or further seeds cannot be trained.
    DictionaryMismatchError
        If the embeddings come from another encoder than the dictionary's.

    References
    ----------
    .. [InterPLM] Simon and Zou 2025, discovering interpretable features in protein language models via sparse
       autoencoders, Nature Methods.
    .. [Sanity26] Sanity checks for sparse autoencoders: do SAEs beat random baselines?, arXiv:2602.14111.
    """
    require_names(label_keys, "label_keys")
    require_at_least("seed", seed, 0)
    require_at_least("n_seeds", n_seeds, 1)
    given = list(dictionary) if isinstance(dictionary, Sequence) else [dictionary]
    embedded = _embed(adata, encoder) if embeddings is None else embeddings
    cells, missing = read_cells(
        adata,
        encoder,
        embedded,
        label_keys=label_keys,
        group_key=group_key,
        batch_key=batch_key,
        seed=seed,
    )
    n_seeds = max(n_seeds, len(given))
    parts = []
    for number in range(n_seeds):
        if number == len(given):
            donors = cells.donor_names()
            given.append(train_like(given[0], cells.embeddings, seed=seed + number, groups=donors))
        random = scrambled_embeddings(adata, encoder, given[0], seed=seed + number) if n_seeds > 1 else None
        parts.append(measure_seed(cells, given[number], random=random, seed=seed, number=number))
    missing |= why_no_control(encoder, given[0], n_seeds=n_seeds)
    return combine(parts, given[0], missing=missing)


def measure_seed(
    cells: EvaluatedCells, dictionary: Dictionary, *, random: Embeddings | None, seed: int, number: int
) -> SeedMeasures:
    """Measure one dictionary, baselines fitted for it, and a dictionary of a random encoder.

    Parameters
    ----------
    cells
        The cells.
    dictionary
        One seed of the dictionary under study.
    random
        The same cells as a random encoder embeds them; None = no such control.
    seed
        Decides the splits, the same for every dictionary.
    number
        Which of the seeds this is, from 0: baselines and the random encoder's dictionary get `seed` + it.

    Returns
    -------
    `SeedMeasures`.

    Raises
    ------
    DictionaryMismatchError
        If the embeddings come from another encoder than the dictionary's.
    InputError
        If the split of the dictionary cannot be applied to these cells.
    """
    ids = {"dictionary_id": dictionary.dictionary_id, "encoder_id": dictionary.encoder_id}
    require_source(cells.embeddings, **ids)
    heldout = cells.heldout_by(dictionary, seed=seed)
    downstream = None
    rows = measure_embedding(EMBEDDING, cells, seed=seed)
    if cells.decoder is not None and cells.adata is not None:
        held, mean = np.flatnonzero(heldout), cells.z[~heldout].mean(axis=0, dtype=np.float64)
        downstream = Downstream.of(cells.decoder, cells.adata, cells.z, heldout=held, mean=mean, seed=seed)
        rows.append(measured(EMBEDDING, "loss_embedding", [downstream.loss_embedding]))
        rows.append(measured(EMBEDDING, "loss_mean", [downstream.loss_mean]))
    baselines = fit_baselines(dictionary, cells.z, heldout=heldout, seed=seed + number)
    units = []
    for each in (dictionary, *baselines):
        own, table = measure_dictionary(
            each.kind, each, cells, heldout=heldout, downstream=downstream, seed=seed
        )
        rows += own
        units.append(table)
    if random is not None:
        seen = cells.through(random)
        other = train_like(dictionary, seen.embeddings, seed=seed + number, groups=cells.donor_names())
        rows += measure_embedding(RANDOM_ENCODER, seen, seed=seed)
        own, table = measure_dictionary(
            RANDOM_ENCODER,
            other,
            seen,
            heldout=seen.heldout_by(other, seed=seed),
            downstream=None,
            seed=seed,
        )
        rows += own
        units.append(table)
    return SeedMeasures(
        seed + number, pd.DataFrame(rows, columns=COLUMNS), pd.concat(units, ignore_index=True)
    )


def combine(
    parts: Sequence[SeedMeasures], dictionary: Dictionary, *, missing: Mapping[str, str]
) -> Evaluation:
    """Summarise what was measured with several seeds.

    Parameters
    ----------
    parts
        One per seed.
    dictionary
        The dictionary of the first.
    missing
        Why a control or a measure could not be taken.

    Returns
    -------
    `Evaluation`; the dictionary under study comes first in its tables.
    """
    table = parts[0].measures if len(parts) == 1 else over_seeds(part.measures for part in parts)
    first = table["dictionary"] == dictionary.kind
    ordered = pd.concat([table[first], table[~first]], ignore_index=True)
    units = parts[0].units if len(parts[0].units) else pd.DataFrame(columns=UNIT_COLUMNS)
    _warn_of_unscored(units)
    seeds = tuple(part.seed for part in parts)
    return Evaluation(ordered, units, dictionary.dictionary_id, seeds, dict(missing))


def scrambled_embeddings(
    adata: AnnData, encoder: Encoder | None, dictionary: Dictionary, *, seed: int, device: str = "cpu"
) -> Embeddings | None:
    """Embed cells with an encoder that has forgotten what it learnt; None where there is no such control.

    Parameters
    ----------
    adata
        The cells.
    encoder
        The encoder.
    dictionary
        The dictionary, whose recipe is needed for the one of the random encoder.
    seed
        Decides the permutation of the weights.
    device
        Where the encoder runs.
    """
    if encoder is None or recipe_of(dictionary) is None:
        return None
    if not isinstance(encoder, Reinitialisable):
        return None
    return encoder.reinitialised(seed=seed).embed(adata, device=device)


def why_no_control(encoder: Encoder | None, dictionary: Dictionary, *, n_seeds: int) -> dict[str, str]:
    """Say why there is no random encoder; empty if there is one.

    Parameters
    ----------
    encoder, dictionary
        What is evaluated.
    n_seeds
        Number of seeds.
    """
    reason = ""
    can = isinstance(encoder, Reinitialisable)
    if n_seeds == 1:
        reason = "Measured with several seeds only: run conceptome evaluate RUN, or evaluate(n_seeds=3)."
    elif encoder is None:
        reason = "Only embeddings are known, and no encoder whose weights could be permuted."
    elif not can:
        reason = (
            f"The encoder {encoder.name!r} has no method reinitialised(seed=...) that permutes its weights."
        )
    elif recipe_of(dictionary) is None:
        reason = f"A dictionary of the kind {dictionary.kind!r} names no recipe to train another one by."
    return {RANDOM_ENCODER: reason} if reason else {}


def _embed(adata: AnnData, encoder: Encoder | None) -> Embeddings:
    if encoder is None:
        msg = "There is neither an encoder nor embeddings to evaluate. Give one of them."
        raise InputError(msg)
    return encoder.embed(adata)


def _warn_of_unscored(units: pd.DataFrame) -> None:
    first = units[units["dictionary"] == units["dictionary"].iloc[0]] if len(units) else units
    for key, table in first[first["unit"] < 0].groupby("label_key"):
        logger.warning("obs[%r]: too few cells to score %s", key, ", ".join(table["label"]))
