"""Read the folder in which a Geneformer is published: config.json and its weights. Nothing in it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

import numpy as np

from conceptome.core import CheckpointError
from conceptome.data.wording import some
from conceptome.encoders.geneformer_dictionaries import find_vocabulary
from conceptome.encoders.geneformer_network import TIED, Activation, GeneformerSizes, expected_shapes
from conceptome.encoders.geneformer_vocabulary import GeneformerVocabulary
from conceptome.encoders.published import read_json, read_weights, whole_number
from conceptome.encoders.storage import CONFIG

SAFETENSORS, TORCH = "model.safetensors", "pytorch_model.bin"
LARGEST = {
    "vocab_size": 2**20,
    "hidden_size": 16_384,
    "num_hidden_layers": 256,
    "num_attention_heads": 256,
    "intermediate_size": 65_536,
    "max_position_embeddings": 65_536,
    "type_vocab_size": 16,
}
FIXED = {
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "pad_token_id": 0,
}
"""Settings that would change the result; all published models agree on them."""

POSITIONS = "bert.embeddings.position_ids"
"""The numbers 0, 1, 2 ..., which transformers saved up to version 4.30."""


@dataclass(frozen=True, eq=False)
class GeneformerModel:
    """A published model: what its files say."""

    sizes: GeneformerSizes
    vocabulary: GeneformerVocabulary
    weights: Mapping[str, np.ndarray]
    """Under the names of transformers, float32, without those that are tied."""


def read_geneformer(folder: Path) -> GeneformerModel:
    """Read a published model.

    Parameters
    ----------
    folder
        Folder with ``config.json`` and ``model.safetensors`` or ``pytorch_model.bin``. The dictionaries are
        looked for in it, in its subfolders, beside it and in the folders beside it.

    Returns
    -------
    The model.

    Raises
    ------
    CheckpointError
        If a file is missing, damaged or unsafe, or files do not fit together.
    """
    file = next((folder / name for name in (SAFETENSORS, TORCH) if (folder / name).is_file()), None)
    if file is None or not (folder / CONFIG).is_file():
        found = some(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else "no such folder"
        msg = (
            f"{folder} is no Geneformer model: expected {CONFIG} and {SAFETENSORS} (or {TORCH}), found "
            f"{found}. Give one of the folders in which Geneformer is published."
        )
        raise CheckpointError(msg)
    sizes = read_sizes(folder / CONFIG)
    vocabulary = find_vocabulary(folder, n_tokens=sizes.vocab_size)
    read = _read_safetensors if file.name == SAFETENSORS else _read_torch
    return GeneformerModel(sizes, vocabulary, read(file, expected_shapes(sizes), sizes))


def read_sizes(file: Path) -> GeneformerSizes:
    """Read the network's sizes.

    Parameters
    ----------
    file
        ``config.json``.

    Returns
    -------
    The sizes, each within what a model can have.

    Raises
    ------
    CheckpointError
        If the file is damaged or a setting is missing, absurd or not implemented.
    """
    config = read_json(file)
    for name, value in FIXED.items():
        if name in config and config[name] != value:
            msg = f"{file}: {name} is {config[name]!r}, expected {value!r}, as in all published Geneformers."
            raise CheckpointError(msg)
    found = {field.name: config[field.name] for field in fields(GeneformerSizes) if field.name in config}
    return checked_sizes(file, found)


def checked_sizes(source: Path, found: Mapping[str, Any]) -> GeneformerSizes:
    """Refuse sizes that no model has.

    Parameters
    ----------
    source
        File, for the message.
    found
        Values by the name of their setting.

    Returns
    -------
    The sizes.

    Raises
    ------
    CheckpointError
        If a size is missing, no number or absurd.
    """
    for name, largest in LARGEST.items():
        whole_number(source, found, name, largest=largest)
    eps, act = found.get("layer_norm_eps"), found.get("hidden_act")
    if type(eps) is not float or not 0.0 < eps < 1.0:
        msg = f"{source}: layer_norm_eps is {eps!r}, expected a number between 0 and 1."
        raise CheckpointError(msg)
    if act not in get_args(Activation):
        msg = f"{source}: hidden_act is {act!r}, expected one of {', '.join(get_args(Activation))}."
        raise CheckpointError(msg)
    if found["hidden_size"] % found["num_attention_heads"]:
        heads = f"num_attention_heads {found['num_attention_heads']}"
        msg = f"{source}: hidden_size {found['hidden_size']} is no multiple of {heads}."
        raise CheckpointError(msg)
    return GeneformerSizes(**found)


def _read_safetensors(
    file: Path, expected: dict[str, tuple[int, ...]], sizes: GeneformerSizes
) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as archive:
            slices = {name: archive.get_slice(name) for name in archive.keys()}  # noqa: SIM118
            _require_weights(file, {k: tuple(v.get_shape()) for k, v in slices.items()}, expected, sizes)
            odd = {part.get_dtype() for part in slices.values()} - {"F16", "F32", "F64", "I64"}
            if odd:
                msg = f"{file} holds numbers of the type {some(odd)}, expected F32. Save it in float32."
                raise CheckpointError(msg)
            return _own(file, {name: archive.get_tensor(name) for name in slices}, expected)
    except SafetensorError as error:
        msg = f"{file} is damaged or cut short ({error}). Copy or download it again."
        raise CheckpointError(msg) from error


def _read_torch(
    file: Path, expected: dict[str, tuple[int, ...]], sizes: GeneformerSizes
) -> dict[str, np.ndarray]:
    saved = read_weights(file)
    _require_weights(file, {name: array.shape for name, array in saved.items()}, expected, sizes)
    return _own(file, saved, expected)


def _require_weights(
    file: Path,
    found: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[int, ...]],
    sizes: GeneformerSizes,
) -> None:
    extra = {tied: expected[name] for tied, name in TIED.items()}
    extra[POSITIONS] = (1, sizes.max_position_embeddings)
    allowed = {**expected, **extra}
    unknown, missing = [n for n in found if n not in allowed], [n for n in expected if n not in found]
    if unknown or missing:
        msg = (
            f"{file} is no BertForMaskedLM of the sizes in {CONFIG}: it lacks {some(missing)}; not known are "
            f"{some(unknown)}. Give a pretrained Geneformer, not a classifier made from one."
        )
        raise CheckpointError(msg)
    for name, shape in found.items():
        if shape != allowed[name]:
            asked = f"{CONFIG} asks for {allowed[name]}"
            msg = f"{file}: {name!r} has shape {shape}, but {asked}. Take files that were published together."
            raise CheckpointError(msg)


def _own(
    file: Path, found: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Keep what the network needs; refuse extras that do not say the same."""
    again = {tied: found[name] for tied, name in TIED.items() if tied in found}
    if POSITIONS in found:
        again[POSITIONS] = np.arange(found[POSITIONS].shape[1])[None]
    for name, array in again.items():
        if not np.array_equal(found[name], array):
            damaged = "The file is damaged or another model's"
            msg = f"{file}: {name!r} is not what it is in Geneformer. {damaged}."
            raise CheckpointError(msg)
    return {name: found[name].astype(np.float32) for name in expected}
