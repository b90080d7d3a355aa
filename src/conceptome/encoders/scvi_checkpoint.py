"""Read a model that scvi-tools saved, without scvi-tools and without running anything in the file."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from conceptome.core import CheckpointError
from conceptome.encoders.checkpoint import read_torch_zip
from conceptome.encoders.scvi_architecture import ScviArchitecture, module_settings
from conceptome.encoders.scvi_decoder import without_decoder
from conceptome.encoders.storage import CONFIG

logger = logging.getLogger(__name__)

MODEL_FILE = "model.pt"
LEGACY_FILES = ("model_params.pt", "attr.pkl", "var_names.csv")


def read_scvi_tools(path: Path) -> tuple[ScviArchitecture, dict[str, np.ndarray]]:
    """Read settings and weights.

    Parameters
    ----------
    path
        Folder, or the ``model.pt`` in it.

    Returns
    -------
    Settings, and weights under the names of scvi-tools; without those of a decoder that cannot be rebuilt.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, unsafe, in a format of old, or holds another model.
    """
    file = path / MODEL_FILE if path.is_dir() else path
    if not file.is_file():
        msg = _what_is_missing(path)
        raise CheckpointError(msg)
    saved = read_torch_zip(file)
    try:
        attributes = saved["attr_dict"]
        table = saved["model_state_dict"]
        state = {k: v for k, v in table.items() if type(k) is str and isinstance(v, np.ndarray)}
        settings = attributes["init_params_"]
        architecture = ScviArchitecture.from_scvi_tools(settings, attributes["registry_"], saved["var_names"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        msg = (
            f"{file} holds no model that scvi-tools (0.15 or later) saved: {type(error).__name__} {error}. "
            "Give the folder that SCVI.save() wrote."
        )
        raise CheckpointError(msg) from error
    if module_settings(settings).get("extra_decoder_kwargs"):
        logger.warning("%s was made with extra_decoder_kwargs: its decoder is left out.", file)
        state = without_decoder(state)
    return architecture, state


def _what_is_missing(path: Path) -> str:
    if path.is_dir() and all((path / name).is_file() for name in LEGACY_FILES):
        return (
            f"{path} was saved by scvi-tools before 0.15, in three files that cannot be read safely. If you "
            f"trust them, run scvi.model.SCVI.convert_legacy_save({str(path)!r}, NEW) and load NEW."
        )
    found = ", ".join(sorted(entry.name for entry in path.iterdir())[:5]) if path.is_dir() else "no such path"
    return (
        f"{path} holds no scVI model: expected {MODEL_FILE} (scvi-tools) or {CONFIG} (Conceptome), found "
        f"{found or 'an empty folder'}. Give the folder that save() wrote."
    )
