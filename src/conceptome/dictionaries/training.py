"""Training of dictionaries: what is learned from, what is held out, and the record that remains."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from operator import index
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd
from jaxtyping import Bool

from conceptome.core import InputError, content_id, require_at_least
from conceptome.data.checking import FEWEST_CELLS
from conceptome.dictionaries.affine import AffineDictionary
from conceptome.dictionaries.checkpoint import Checkpoint, Journal
from conceptome.dictionaries.fidelity import measure_fidelity
from conceptome.dictionaries.heldout import HeldoutSplit
from conceptome.dictionaries.options import D, TrainingOptions
from conceptome.dictionaries.scaling import Scaling
from conceptome.dictionaries.sources import EmbeddingSource, Source
from conceptome.dictionaries.topk import TopK, TopKDictionary

MIN_LEARNED = 10
MAX_VALIDATION_CELLS = 20_000

logger = logging.getLogger(__name__)


@overload
def train(
    embeddings: EmbeddingSource,
    options: None = None,
    *,
    seed: int = 0,
    groups: Sequence[str | None] | None = None,
    device: str = "cpu",
    progress: bool = True,
    checkpoint: Checkpoint | Path | str | None = None,
) -> TopKDictionary: ...
@overload
def train(
    embeddings: EmbeddingSource,
    options: TrainingOptions[D],
    *,
    seed: int = 0,
    groups: Sequence[str | None] | None = None,
    device: str = "cpu",
    progress: bool = True,
    checkpoint: Checkpoint | Path | str | None = None,
) -> D: ...
def train(
    embeddings: EmbeddingSource,
    options: TrainingOptions[Any] | None = None,
    *,
    seed: int = 0,
    groups: Sequence[str | None] | None = None,
    device: str = "cpu",
    progress: bool = True,
    checkpoint: Checkpoint | Path | str | None = None,
) -> AffineDictionary:
    """Train a sparse autoencoder on embeddings; the type of the options decides its family.

    The same seed, machine and number of threads give bit-identical weights.

    Parameters
    ----------
    embeddings
        A record or an array, ``(n_cells, d_embed)``; or the path of an ``.npy`` file, of a zarr array or of
        the embeddings of a run. Beyond 256 MiB cells are read block by block, in an order drawn at random.
    options
        Such as `TopK`; None = its defaults.
    seed
        Decides the split, the initialisation and the order of cells.
    groups
        Donor of each cell. Given, whole donors are held out; otherwise cells are.
    device
        Where torch computes.
    progress
        Whether to show a progress bar (never shown where the output is not a terminal or notebook).
    checkpoint
        A file in which training is written down while it runs. Where it exists, training continues from it,
        to the weights that it would have had without interruption; a finished training is not repeated.

    Returns
    -------
    The dictionary of the pass that was best on validation cells (beyond 256 MiB: part of a pass), of the
    options' family. Its `training` names the options, the seed, the held-out split and the fidelity on
    held-out cells.

    Raises
    ------
    InputError
        If there are fewer than 50 cells, NaN, no variation, k > n_concepts, a negative seed, no such device,
        or `groups` of another length, with gaps or with a single value, or if training diverges.
    CheckpointError
        If the checkpoint is damaged, or belongs to a training with other data, options or seed.
    """
    from conceptome.dictionaries.optimisation import optimise
    from conceptome.dictionaries.rounds import Rounds, require_device

    seed, groups = index(seed), None if groups is None else list(groups)
    require_at_least("seed", seed, 0)
    require_device(device)
    source = Source.of(embeddings)
    if source.n_cells < FEWEST_CELLS:
        msg = f"Training needs at least {FEWEST_CELLS} cells, found {source.n_cells}."
        raise InputError(msg)
    asked = options or TopK()
    split, heldout = _hold_out(source, groups, fraction=asked.heldout_fraction, seed=seed)
    learned, validation = _split_rows(~heldout, fraction=asked.validation_fraction, seed=seed)
    if learned.sum() < MIN_LEARNED:
        msg = (
            f"{int(heldout.sum())} of {source.n_cells} cells are held out, which leaves {int(learned.sum())} "
            f"to learn from, expected at least {MIN_LEARNED}. Give other groups, or hold out a smaller share."
        )
        raise InputError(msg)
    survey = source.survey(~heldout)
    scaling = Scaling.of(survey.mean, survey.variance, n_cells=int((~heldout).sum()))
    n_cells = {
        "learned": int(learned.sum()),
        "validation": int(validation.sum()),
        "heldout": int(heldout.sum()),
    }
    family = asked.resolve(d_embed=source.d_embed, n_train=n_cells["learned"])
    journal = None
    if checkpoint is not None:
        names = source.names.astype(str).tolist()
        data = content_id({"names": names, "groups": groups, "values": survey.content})
        journal = _journal(checkpoint, {"seed": seed, "data": data, **_described(family)})
    with Rounds(source, learned, scaling, seed=seed, device=device) as rounds:
        found = optimise(
            rounds, scaling(source.take(validation)), family, seed=seed, progress=progress, journal=journal
        )
    dictionary: AffineDictionary = family.dictionary(
        found.maps, mean=scaling.mean.astype(np.float32), scale=scaling.scale, encoder_id=source.encoder_id
    )
    fidelity = measure_fidelity(dictionary, source, heldout)
    logger.debug("Trained %r: %s", dictionary, fidelity)
    dictionary.training = {
        "options": asdict(replace(family, axes=found.axes)),
        "seed": seed,
        "split": split.to_dict(),
        "n_cells": n_cells,
        "progress": found.log,
        "fidelity": fidelity,
    }
    return dictionary


def _described(options: TrainingOptions[Any]) -> dict[str, Any]:
    return {"family": type(options).__name__, **asdict(options)}


def _journal(checkpoint: Checkpoint | Path | str, identity: dict[str, Any]) -> Journal:
    where = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    return Journal(where, identity)


def _hold_out(
    source: Source, groups: Sequence[str | None] | None, *, fraction: float, seed: int
) -> tuple[HeldoutSplit, Bool[np.ndarray, " cells"]]:
    if groups is None:
        names = source.names.astype(str).tolist()
        split = HeldoutSplit.draw(names, fraction=fraction, seed=seed, by="cell")
        return split, split.mask(names)
    if len(groups) != source.n_cells:
        msg = f"groups has {len(groups)} entries, expected one for each of {source.n_cells} cells."
        raise InputError(msg)
    if n_missing := int(np.sum(pd.isna(np.asarray(groups, dtype=object)))):
        msg = f"groups is missing in {n_missing} of {source.n_cells} cells. Fill it in, or leave these out."
        raise InputError(msg)
    donors = [str(group) for group in groups]
    if len(set(donors)) == 1:
        msg = (
            f"groups has the single value {donors[0]!r} in all {len(donors)} cells, holding out whole groups "
            "needs two or more. Leave groups out to hold out cells, or give a column with several donors."
        )
        raise InputError(msg)
    split = HeldoutSplit.draw(donors, fraction=fraction, seed=seed, by="group")
    return split, split.mask(donors)


def _split_rows(
    usable: Bool[np.ndarray, " cells"], *, fraction: float, seed: int
) -> tuple[Bool[np.ndarray, " cells"], Bool[np.ndarray, " cells"]]:
    """Return masks of the cells to learn from and of those to validate on."""
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(usable))
    n_validation = min(max(1, round(fraction * len(rows))), MAX_VALIDATION_CELLS)
    validation = np.zeros(len(usable), dtype=bool)
    validation[rows[:n_validation]] = True
    return usable & ~validation, validation
