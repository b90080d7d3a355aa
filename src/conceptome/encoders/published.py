"""Read the parts that published models have in common: settings in JSON, a table of weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from conceptome.core import CheckpointError
from conceptome.encoders.checkpoint import PLAIN_NUMBERS, read_torch_zip

LARGEST_JSON = 2**26
"""Bytes; the vocabulary of a published model has about one million."""


def read_json(file: Path) -> dict[str, Any]:
    """Read names and values.

    Parameters
    ----------
    file
        JSON.

    Returns
    -------
    What the file says.

    Raises
    ------
    CheckpointError
        If the file is too large, damaged, or holds no object.
    """
    if file.stat().st_size > LARGEST_JSON:
        msg = f"{file} has {file.stat().st_size:,} bytes, expected at most {LARGEST_JSON:,}."
        raise CheckpointError(msg)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        msg = f"{file} is no JSON ({type(error).__name__}: {error}). Copy or download it again."
        raise CheckpointError(msg) from error
    if not isinstance(content, dict):
        msg = f"{file} holds {type(content).__name__}, expected an object with names and values."
        raise CheckpointError(msg)
    return content


def read_weights(file: Path) -> dict[str, np.ndarray]:
    """Read a table of weights that ``torch.save`` wrote.

    Parameters
    ----------
    file
        The file.

    Returns
    -------
    Arrays of numbers by name.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, unsafe, or holds anything else.
    """
    saved = read_torch_zip(file)
    if not isinstance(saved, dict) or not all(
        type(name) is str and isinstance(array, np.ndarray) and array.dtype.kind in PLAIN_NUMBERS
        for name, array in saved.items()
    ):
        msg = f"{file} holds no table of weights. Give the {file.name} that was published."
        raise CheckpointError(msg)
    return saved


def whole_number(source: Path, settings: Mapping[str, Any], name: str, *, largest: int) -> int:
    """Return a size that a model can have.

    Parameters
    ----------
    source
        File, for the message.
    settings
        What it says.
    name
        The size.
    largest
        The largest that is admitted.

    Returns
    -------
    The size.

    Raises
    ------
    CheckpointError
        If it is missing, no whole number or absurd.
    """
    value = settings.get(name)
    if type(value) is not int or not 0 < value <= largest:
        msg = f"{source}: {name} is {value!r}, expected a whole number from 1 to {largest:,}."
        raise CheckpointError(msg)
    return value
