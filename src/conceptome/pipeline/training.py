"""Dictionaries trained outside a run, into a folder of their own: a single one, or a sweep."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from conceptome import dictionaries
from conceptome.dictionaries.affine import AffineDictionary
from conceptome.dictionaries.claim import cells_digest, claim, held
from conceptome.dictionaries.storage import CONFIG, moved_into
from conceptome.dictionaries.sweep_grid import setting_name
from conceptome.pipeline.storage import write_table
from conceptome.pipeline.trainees import Trainees

CHECKPOINT = "training.safetensors"


def train_into(
    out: Path | str, cells: Trainees, options: dictionaries.TrainingOptions[Any], *, seed: int, device: str
) -> AffineDictionary:
    """Train a dictionary and save it; continue an interrupted training; keep a finished one.

    Parameters
    ----------
    out
        The dictionary's folder. While it is trained, the folder holds a checkpoint.
    cells
        What to train on.
    options, seed, device
        As for `conceptome.dictionaries.train`.

    Returns
    -------
    The dictionary.

    Raises
    ------
    CheckpointError
        If the folder holds something else, or another process works in it.
    InputError
        As for `conceptome.dictionaries.train`.
    """
    described = {"family": type(options).__name__, **asdict(options), "seed": seed, "device": device}
    digest = cells_digest(cells.embeddings, cells.groups)
    with held(out) as folder:
        claim(folder, {"task": "dictionary", **described, "cells": digest})
        if not (folder / CONFIG).is_file():
            dictionary = dictionaries.train(
                cells.embeddings,
                options,
                seed=seed,
                groups=cells.groups,
                device=device,
                checkpoint=folder / CHECKPOINT,
            )
            with moved_into(folder) as scratch:
                dictionary.save(scratch)
        (folder / CHECKPOINT).unlink(missing_ok=True)
        return cast("AffineDictionary", dictionaries.load(folder))


def sweep_into(  # noqa: PLR0913 - the axes of a sweep
    out: Path | str,
    cells: Trainees,
    family: dictionaries.TrainingOptions[Any],
    *,
    n_concepts: Sequence[int] | None = None,
    k: Sequence[int] | None = None,
    n_seeds: int = 3,
    seed: int = 0,
    n_workers: int | None = None,
    device: str = "cpu",
) -> dictionaries.Sweep:
    """Sweep a family and save dictionaries, tables, plot and recommendation; continue an interrupted sweep.

    Parameters
    ----------
    out
        The sweep's folder: ``dictionaries/``, ``settings`` and ``trained`` (``.parquet`` and ``.csv``),
        ``sweep.png``, ``recommendation.json``.
    cells
        What to train on.
    family, n_concepts, k, n_seeds, seed, n_workers, device
        As for `conceptome.dictionaries.sweep`.

    Returns
    -------
    The sweep.

    Raises
    ------
    CheckpointError
        If the folder holds something else, or another process works in it.
    InputError
        As for `conceptome.dictionaries.sweep`.
    """
    with held(out) as folder:
        found = dictionaries.sweep(
            cells.embeddings,
            family,
            n_concepts=n_concepts,
            k=k,
            n_seeds=n_seeds,
            seed=seed,
            groups=cells.groups,
            n_workers=n_workers,
            device=device,
            folder=folder,
        )
        _write_sweep(found, folder, seed=seed)
    return found


def _write_sweep(found: dictionaries.Sweep, folder: Path, *, seed: int) -> None:
    with moved_into(folder, last="recommendation.json") as scratch:
        for name, table in (("settings", found.settings), ("trained", found.trained)):
            write_table(table, scratch / f"{name}.parquet")
            table.to_csv(scratch / f"{name}.csv", index=False)
        _draw(found, scratch / "sweep.png")
        recommendation = {
            "family": type(found.recommended).__name__,
            "options": asdict(found.recommended),
            "reason": found.reason,
            "dictionary": f"dictionaries/{setting_name(found.recommended)}_seed{seed}",
        }
        (scratch / "recommendation.json").write_text(json.dumps(recommendation, indent=1) + "\n")


def _draw(found: dictionaries.Sweep, path: Path) -> None:
    from matplotlib.figure import Figure

    from conceptome import plotting

    figure = Figure(figsize=(3.5, 5.4), layout="constrained")
    plotting.sweep(found, figure=figure).savefig(path, dpi=200)
