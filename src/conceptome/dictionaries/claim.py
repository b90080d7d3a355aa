"""A folder of one task and one process: another task is refused, and another process meanwhile."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from conceptome.core import CheckpointError, content_id
from conceptome.dictionaries.sources import EmbeddingSource, Source

TASK = "task.json"
LOCK = ".lock"


@contextmanager
def held(folder: Path | str) -> Iterator[Path]:
    """Keep a new or empty folder, or one that has a task, from other processes; may be nested.

    Parameters
    ----------
    folder
        Made if need be. Files whose name starts with a dot do not count.

    Yields
    ------
    The folder.

    Raises
    ------
    CheckpointError
        If it holds something else, or another process holds it.
    """
    path = Path(folder)
    _require_free(path)
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / LOCK, timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        msg = f"{path} is in use by another conceptome process. Wait for it, or name another folder."
        raise CheckpointError(msg) from None
    try:
        yield path
    finally:
        lock.release()


def claim(folder: Path, task: Mapping[str, Any]) -> None:
    """Write into a folder which task it is for, or find that it is for this one.

    Parameters
    ----------
    folder
        One that is `held`.
    task
        What decides the results in the folder, JSON-serialisable.

    Raises
    ------
    CheckpointError
        If it holds results of another task; the message names the differences.
    """
    task = json.loads(json.dumps(task))
    if (folder / TASK).is_file():
        _require_same(folder, task)
    else:
        write_at_once(folder / TASK, json.dumps(task, indent=1) + "\n")


def cells_digest(embeddings: EmbeddingSource, groups: Sequence[str] | None) -> str:
    """Hash the cells that dictionaries are trained on: values, names and groups.

    Parameters
    ----------
    embeddings
        Read through twice.
    groups
        Donor of each cell.

    Returns
    -------
    An identifier of 12 digits.
    """
    source = Source.of(embeddings)
    values = source.survey(np.ones(source.n_cells, dtype=bool)).content
    names = source.names.astype(str).tolist()
    donors = None if groups is None else list(map(str, groups))
    return content_id({"groups": donors, "cells": names, "values": values})


def _require_free(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        msg = f"{path} is a file, expected a new or empty folder. Name another folder."
        raise CheckpointError(msg)
    others = any(not item.name.startswith(".") for item in path.iterdir())
    if others and not (path / TASK).is_file():  # in this order: a task is written before its results
        msg = f"{path} holds other files and no {TASK}, expected a new or empty folder. Name another folder."
        raise CheckpointError(msg)


def _require_same(path: Path, task: Mapping[str, Any]) -> None:
    try:
        found = dict(json.loads((path / TASK).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        msg = f"{path / TASK} cannot be read ({error}). Name another folder, or remove this one."
        raise CheckpointError(msg) from None
    differences = [
        f"{name} was {found.get(name)!r} and is {task.get(name)!r}"
        for name in {**found, **task}
        if found.get(name) != task.get(name)
    ]
    if differences:
        msg = (
            f"{path} holds the results of another task: {'; '.join(differences)}. Name another folder, or "
            "go on with what it was begun with."
        )
        raise CheckpointError(msg)


def write_at_once(path: Path, text: str) -> None:
    """Replace a text file so that a reader never sees half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
