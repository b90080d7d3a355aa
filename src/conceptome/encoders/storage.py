"""The folder of a saved encoder: ``config.json`` and ``weights.safetensors``, nothing that can run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from conceptome.core import CheckpointError
from conceptome.encoders.checkpoint import PLAIN_NUMBERS

FORMAT = 1
CONFIG = "config.json"
WEIGHTS = "weights.safetensors"


def save_folder(path: Path | str, config: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> None:
    """Write an encoder's settings and weights.

    Parameters
    ----------
    path
        Folder; created if it does not exist.
    config
        JSON-serialisable settings; ``"encoder"`` names the kind.
    weights
        Arrays by name.
    """
    from safetensors.numpy import save_file

    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(array) for name, array in weights.items()}, folder / WEIGHTS)
    text = json.dumps({"format": FORMAT, **config}, indent=1, sort_keys=True)
    whole = folder / f".{CONFIG}"
    whole.write_text(text, encoding="utf-8")
    whole.replace(folder / CONFIG)  # last and in one step: a folder with it is complete


def load_folder(path: Path | str, encoder: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `save_folder` wrote.

    Parameters
    ----------
    path
        Folder.
    encoder
        Kind of encoder that is expected.

    Returns
    -------
    Settings, and arrays by name.

    Raises
    ------
    CheckpointError
        If a file is missing or damaged, or the folder holds another kind of encoder.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = Path(path)
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        msg = (
            f"{folder} is no saved {encoder} encoder: {' and '.join(missing)} missing. "
            "Give the folder that encoder.save() wrote."
        )
        raise CheckpointError(msg)
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS)
    except (ValueError, RecursionError, SafetensorError) as error:
        msg = f"{folder} holds a damaged encoder ({error}). Save it again."
        raise CheckpointError(msg) from error
    if not isinstance(config, dict) or config.get("encoder") != encoder or config.get("format") != FORMAT:
        found = (
            {key: config.get(key) for key in ("encoder", "format")} if isinstance(config, dict) else config
        )
        msg = f"{folder / CONFIG} says {found}, expected encoder {encoder!r} in format {FORMAT}."
        raise CheckpointError(msg)
    return config, weights


@contextmanager
def reading_settings(path: Path | str) -> Iterator[None]:
    """Turn what goes wrong while settings are read into an error that names the file.

    Parameters
    ----------
    path
        Folder that `load_folder` read.

    Raises
    ------
    CheckpointError
        If a setting is missing, unknown or of the wrong kind.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = (
            f"{Path(path) / CONFIG} does not hold the settings of this encoder "
            f"({type(error).__name__}: {error}). Save the encoder again with this version."
        )
        raise CheckpointError(msg) from error


def require_shapes(
    source: Path | str, arrays: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]]
) -> None:
    """Refuse weights that do not fit the settings.

    Parameters
    ----------
    source
        File or folder, for the message.
    arrays
        Weights by name.
    expected
        Shape of every array that is needed.

    Raises
    ------
    CheckpointError
        If an array is missing, has another shape, or holds anything but finite numbers.
    """
    for name, shape in expected.items():
        if name in arrays and arrays[name].dtype.kind not in PLAIN_NUMBERS:
            msg = f"{source}: the array {name!r} holds {arrays[name].dtype}, no numbers. The file is damaged."
            raise CheckpointError(msg)
        found = f"has shape {arrays[name].shape}" if name in arrays else "is missing"
        if name not in arrays or arrays[name].shape != shape:
            msg = f"{source}: the array {name!r} {found}, the settings ask for {shape}. The file is damaged."
            raise CheckpointError(msg)
        if not np.isfinite(arrays[name]).all():
            msg = f"{source}: the array {name!r} holds NaN or infinite numbers. The file is damaged."
            raise CheckpointError(msg)
