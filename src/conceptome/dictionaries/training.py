"""Training of dictionaries: what is learned from, what is held out, and the record that remains."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, overload

import numpy as np
from jaxtyping import Bool, Float

from conceptome.core import Embeddings, InputError, content_id, require_at_least
from conceptome.dictionaries.affine import AffineDictionary
from conceptome.dictionaries.checkpoint import Checkpoint, Journal
from conceptome.dictionaries.checks import embedding_values
from conceptome.dictionaries.fidelity import explained_variance
from conceptome.dictionaries.heldout import HeldoutSplit
from conceptome.dictionaries.options import D, TrainingOptions
from conceptome.dictionaries.scaling import center_and_scale
from conceptome.dictionaries.topk import TopK, TopKDictionary

MIN_CELLS = 50
MAX_VALIDATION_CELLS = 20_000

logger = logging.getLogger(__name__)


@overload
def train(
    embeddings: Embeddings | Float[np.ndarray, "cells d_embed"],
    options: None = None,
    *,
    seed: int = 0,
    groups: Sequence[str] | None = None,
    device: str = "cpu",
    progress: bool = True,
    checkpoint: Checkpoint | Path | str | None = None,
) -> TopKDictionary: ...
@overload
def train(
    embeddings: Embeddings | Float[np.ndarray, "cells d_embed"],
    options: TrainingOptions[D],
    *,
    seed: int = 0,
    groups: Sequence[str] | None = None,
    device: str = "cpu",
    progress: bool = True,
    checkpoint: Checkpoint | Path | str | None = None,
) -> D: ...
def train(
    embeddings: Embeddings | Float[np.ndarray, "cells d_embed"],
    options: TrainingOptions[Any] | None = None,
    *,
    seed: int = 0,
    groups: Sequence[str] | None = None,
    device: str = "cpu",
    progress: bool = True,
    checkpoint: Checkpoint | Path | str | None = None,
) -> AffineDictionary:
    """Train a sparse autoencoder on embeddings; the type of the options decides its family.

    The same seed, machine and number of threads give bit-identical weights.

    Parameters
    ----------
    embeddings
        A record or a bare array, ``(n_cells, d_embed)``.
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
    The dictionary of the epoch that was best on validation cells, of the options' family. Its `training`
    names the options, the seed, the held-out split and the fidelity on held-out cells.

    Raises
    ------
    InputError
        If there are fewer than 50 cells, NaN, no variation, k > n_concepts, a negative seed, or `groups` of
        another length or with a single value, or if training diverges.
    CheckpointError
        If the checkpoint is damaged, or belongs to a training with other data, options or seed.
    """
    from conceptome.dictionaries.optimisation import optimise

    require_at_least("seed", seed, 0)
    values = embedding_values(embeddings)
    if len(values) < MIN_CELLS:
        msg = f"Training needs at least {MIN_CELLS} cells, found {len(values)}."
        raise InputError(msg)
    asked = options or TopK()
    split, heldout = _hold_out(embeddings, groups, fraction=asked.heldout_fraction, seed=seed)
    learned, validation = _split_rows(~heldout, fraction=asked.validation_fraction, seed=seed)
    mean, scale = center_and_scale(values[~heldout])
    scaled = ((values - mean) * scale).astype(np.float32)
    family = asked.resolve(d_embed=values.shape[1], n_train=len(learned))
    journal = None
    if checkpoint is not None:
        data = content_id({"groups": groups and list(groups)}, {"values": values})
        journal = _journal(checkpoint, {"seed": seed, "data": data, **_described(family)})
    maps, log = optimise(
        scaled[learned],
        scaled[validation],
        family,
        seed=seed,
        device=device,
        progress=progress,
        journal=journal,
    )
    encoder_id = embeddings.encoder_id if isinstance(embeddings, Embeddings) else ""
    dictionary: AffineDictionary = family.dictionary(
        maps, mean=mean.astype(np.float32), scale=scale, encoder_id=encoder_id
    )
    fidelity = _fidelity(dictionary, values, heldout)
    logger.debug("Trained %r: %s", dictionary, fidelity)
    dictionary.training = {
        "options": asdict(family),
        "seed": seed,
        "split": split.to_dict(),
        "n_cells": {"learned": len(learned), "validation": len(validation), "heldout": int(heldout.sum())},
        "progress": log,
        "fidelity": fidelity,
    }
    return dictionary


def _described(options: TrainingOptions[Any]) -> dict[str, Any]:
    return {"family": type(options).__name__, **asdict(options)}


def _journal(checkpoint: Checkpoint | Path | str, identity: dict[str, Any]) -> Journal:
    where = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    return Journal(where, identity)


def _hold_out(
    embeddings: Embeddings | np.ndarray, groups: Sequence[str] | None, *, fraction: float, seed: int
) -> tuple[HeldoutSplit, Bool[np.ndarray, " cells"]]:
    if isinstance(embeddings, Embeddings):
        names = embeddings.cell_ids.astype(str).tolist()
    else:
        names = [str(row) for row in range(len(embeddings))]
    if groups is None:
        split = HeldoutSplit.draw(names, fraction=fraction, seed=seed, by="cell")
        return split, split.mask(names)
    if len(groups) != len(names):
        msg = f"groups has {len(groups)} entries, expected one for each of {len(names)} cells."
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
) -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(usable))
    n_validation = min(max(1, round(fraction * len(rows))), MAX_VALIDATION_CELLS)
    return np.sort(rows[n_validation:]), np.sort(rows[:n_validation])


def _fidelity(
    dictionary: AffineDictionary, values: np.ndarray, heldout: Bool[np.ndarray, " cells"]
) -> dict[str, Any]:
    activations = dictionary.encode(values)
    r2, _ = explained_variance(
        values[heldout], dictionary.decode(activations[heldout]), mean=dictionary.weights.mean
    )
    active = np.bincount(activations.indices, minlength=dictionary.n_concepts) > 0
    return {
        "r2_heldout": r2,
        "l0": activations.nnz / len(values),
        "dead": float(1 - active.mean()),
    }
