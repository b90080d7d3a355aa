"""A folder that belongs to one task: what it was begun with is written into it, anything else is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conceptome.core import CheckpointError, content_id
from conceptome.dictionaries.sources import EmbeddingSource, Source

TASK = "task.json"


def claim(folder: Path | str, task: Mapping[str, Any]) -> Path:
    """Take a new or empty folder for a task, or come back to the folder of the same task.

    Parameters
    ----------
    folder
        Made if need be.
    task
        What decides the results in the folder, JSON-serialisable.

    Returns
    -------
    The folder.

    Raises
    ------
    CheckpointError
        If it holds something else, or results of another task; the message names the differences.
    """
    path = Path(folder)
    task = json.loads(json.dumps(task))
    if (path / TASK).is_file():
        _require_same(path, task)
        return path
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        what = f"holds other files and no {TASK}" if path.is_dir() else "is a file"
        msg = f"{path} {what}, expected a new or empty folder. Name another folder."
        raise CheckpointError(msg)
    path.mkdir(parents=True, exist_ok=True)
    write_at_once(path / TASK, json.dumps(task, indent=1) + "\n")
    return path


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
    return content_id({"groups": groups and list(groups), "cells": names, "values": values})


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
