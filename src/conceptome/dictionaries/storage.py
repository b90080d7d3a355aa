"""Dictionaries on disk: ``config.json`` beside ``weights.safetensors``; nothing in them can run code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np

from conceptome.core import CheckpointError, Dictionary

CONFIG = "config.json"
WEIGHTS = "weights.safetensors"
ENTRY_POINTS = "conceptome.dictionaries"
_PARTIAL = ".partial"


def write_folder(path: Path | str, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write settings and arrays into a folder; the settings come last and mark it complete.

    Parameters
    ----------
    path
        The folder; made if need be.
    config
        JSON-serialisable settings.
    arrays
        Arrays by name.
    """
    from safetensors.numpy import save_file

    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / WEIGHTS)
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in config.items())
    (folder / CONFIG).write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


@contextmanager
def moved_into(folder: Path, *, last: str = CONFIG) -> Iterator[Path]:
    """Let files be written elsewhere and move them into place when all are whole.

    Parameters
    ----------
    folder
        Where they go; made if need be, other files in it stay.
    last
        The file that is moved after all others: where it is, they are.

    Yields
    ------
    An empty folder to write into, within the other.
    """
    scratch = folder / _PARTIAL
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    yield scratch
    for file in sorted(scratch.iterdir(), key=lambda item: item.name == last):
        file.replace(folder / file.name)
    scratch.rmdir()


def read_config(path: Path | str) -> dict[str, Any]:
    """Read the settings of a dictionary.

    Parameters
    ----------
    path
        The folder.

    Returns
    -------
    The settings, ``kind`` and ``dictionary_id`` among them.

    Raises
    ------
    CheckpointError
        If there is no such folder, or its settings cannot be read.
    """
    file = Path(path) / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"{path} is not a dictionary: it has no {CONFIG}. Give a folder written by dictionary.save."
        raise CheckpointError(msg) from None
    except (OSError, ValueError) as error:
        msg = f"{file} cannot be read ({error}). Restore the folder or train again."
        raise CheckpointError(msg) from None
    if not isinstance(config, dict) or not {"kind", "dictionary_id"} <= set(config):
        msg = f"{file} names no 'kind' and 'dictionary_id'. Restore the folder or train again."
        raise CheckpointError(msg)
    return config


def read_folder(path: Path | str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read the settings and arrays of a dictionary.

    Parameters
    ----------
    path
        The folder.

    Returns
    -------
    config
        The settings.
    arrays
        The arrays by name.

    Raises
    ------
    CheckpointError
        If a file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    config = read_config(path)
    file = Path(path) / WEIGHTS
    try:
        return config, load_file(file)
    except (OSError, SafetensorError) as error:
        msg = f"{file} cannot be read ({error}). Restore the folder or train again."
        raise CheckpointError(msg) from None


def load(path: Path | str) -> Dictionary:
    """Load a saved dictionary of any installed kind.

    The kind named in the settings is looked up among the entry points ``conceptome.dictionaries``; the class
    found there reads the folder.

    Parameters
    ----------
    path
        A folder written by ``dictionary.save``.

    Returns
    -------
    The dictionary, identical to the saved one.

    Raises
    ------
    CheckpointError
        If the folder is missing, damaged or of a kind that is not installed.
    """
    kind = read_config(path)["kind"]
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if kind not in found:
        msg = (
            f"{path} holds a dictionary of kind {kind!r}; installed are {sorted(found)}. "
            "Install the package that made it."
        )
        raise CheckpointError(msg)
    dictionary: Dictionary = found[kind].load().load(path)
    return dictionary
