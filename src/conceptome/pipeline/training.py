"""Dictionaries trained outside a run, into a folder of their own: a single one, or a sweep."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout

from conceptome import dictionaries
from conceptome.core import CheckpointError
from conceptome.dictionaries.affine import AffineDictionary
from conceptome.dictionaries.claim import cells_digest, claim
from conceptome.dictionaries.storage import CONFIG
from conceptome.dictionaries.sweep_grid import setting_name
from conceptome.pipeline.storage import write_table
from conceptome.pipeline.trainees import Trainees

CHECKPOINT = "training.safetensors"
_PARTIAL = ".partial"


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
    folder = claim(out, {"task": "dictionary", **described, "cells": digest})
    with _locked(folder):
        if not (folder / CONFIG).is_file():
            dictionary = dictionaries.train(
                cells.embeddings,
                options,
                seed=seed,
                groups=cells.groups,
                device=device,
                checkpoint=folder / CHECKPOINT,
            )
            with _moved_into(folder, last=CONFIG) as scratch:
                dictionary.save(scratch)
            (folder / CHECKPOINT).unlink()
    return cast("AffineDictionary", dictionaries.load(folder))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        msg = f"{folder} is in use by another conceptome process. Wait for it, or name another folder."
        raise CheckpointError(msg) from None
    try:
        yield
    finally:
        lock.release()


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
        If the folder holds something else.
    InputError
        As for `conceptome.dictionaries.sweep`.
    """
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
        folder=out,
    )
    with _moved_into(Path(out), last="recommendation.json") as scratch:
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
    return found


def _draw(found: dictionaries.Sweep, path: Path) -> None:
    from matplotlib.figure import Figure

    from conceptome import plotting

    figure = Figure(figsize=(3.5, 5.4), layout="constrained")
    plotting.sweep(found, figure=figure).savefig(path, dpi=200)


@contextmanager
def _moved_into(folder: Path, *, last: str) -> Iterator[Path]:
    """Give a scratch folder; move its files into place when all are whole, the one that tells so last."""
    scratch = folder / _PARTIAL
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    yield scratch
    for file in sorted(scratch.iterdir(), key=lambda item: item.name == last):
        file.replace(folder / file.name)
    scratch.rmdir()
