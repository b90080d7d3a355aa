"""Read the folder in which scGPT is published: args.json, vocab.json, best_model.pt. Nothing in it is run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conceptome.core import CheckpointError
from conceptome.data.wording import some
from conceptome.encoders.checkpoint import read_torch_zip
from conceptome.encoders.scgpt_network import ScgptSizes, expected_shapes
from conceptome.encoders.storage import require_shapes

ARGS, VOCABULARY, WEIGHTS = "args.json", "vocab.json", "best_model.pt"
CLS = "<cls>"
SPECIAL = ("<pad>", CLS, "<eoc>")
"""Appended in this order where the vocabulary lacks them."""
LARGEST = {"embsize": 16_384, "nheads": 256, "d_hid": 65_536, "nlayers": 256}

OPTIONAL = ("decoder.", "mvc_decoder.")
UNUSED = ("flag_encoder.", "cls_decoder.", "grad_reverse_discriminator.", "mask_encoder.")
"""Weights that have no part in embedding a cell."""
CHANGES_THE_RESULT = ("bn.", "dsbn.", "batch_encoder.")

_QKV = re.compile(r"self_attn\.(_impl\.)?(Wqkv\.|in_proj_)(weight|bias)$")
_OUT = re.compile(r"self_attn\._impl\.out_proj\.")


@dataclass(frozen=True, eq=False)
class ScgptModel:
    """A published model: what its three files say."""

    sizes: ScgptSizes
    vocabulary: tuple[str, ...]
    """Genes and special tokens, by index."""
    pad_token: str
    pad_value: float
    weights: Mapping[str, np.ndarray]
    """Under the names of `ScgptNetwork`, float32."""


def read_scgpt(folder: Path) -> ScgptModel:
    """Read a published model.

    Parameters
    ----------
    folder
        Folder with ``args.json``, ``vocab.json`` and ``best_model.pt``; attention weights under the names of
        flash-attention 1 and 2 or of PyTorch.

    Returns
    -------
    The model. A head that the file lacks (value head, cell head) has no weights.

    Raises
    ------
    CheckpointError
        If a file is missing, damaged or unsafe, the three do not fit together, or the model has parts that
        change the embedding and are not implemented.
    """
    missing = [name for name in (ARGS, VOCABULARY, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        found = some(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else "no such folder"
        msg = (
            f"{folder} is no scGPT model: {' and '.join(missing)} missing; found {found or 'nothing'}. Give "
            f"the folder with {ARGS}, {VOCABULARY} and {WEIGHTS} as published."
        )
        raise CheckpointError(msg)
    args = _read_json(folder / ARGS)
    vocabulary = _vocabulary(folder / VOCABULARY)
    pad_token = str(args.get("pad_token", "<pad>"))
    if pad_token not in vocabulary:
        msg = f"{folder / ARGS} names the padding {pad_token!r}, which {VOCABULARY} lacks. They do not fit."
        raise CheckpointError(msg)
    sizes = ScgptSizes(len(vocabulary), *(_size(folder / ARGS, args, key) for key in LARGEST))
    if sizes.d_embed % sizes.n_heads:
        msg = f"{folder / ARGS}: embsize {sizes.d_embed} is no multiple of nheads {sizes.n_heads}."
        raise CheckpointError(msg)
    weights = _weights(folder / WEIGHTS, sizes)
    return ScgptModel(sizes, vocabulary, pad_token, _pad_value(folder / ARGS, args), weights)


def complete(model: ScgptModel) -> dict[str, np.ndarray]:
    """Return the weights with those of absent heads as NaN, as the network needs them all.

    Parameters
    ----------
    model
        The model.
    """
    absent = {
        name: np.full(shape, np.nan, dtype=np.float32)
        for name, shape in expected_shapes(model.sizes).items()
        if name not in model.weights
    }
    return {**model.weights, **absent}


def require_weights(source: Path | str, weights: Mapping[str, np.ndarray], sizes: ScgptSizes) -> None:
    """Refuse weights that do not fit the sizes; a head may be absent, but only whole.

    Parameters
    ----------
    source
        File or folder, for the message.
    weights
        Arrays under the names of `ScgptNetwork`.
    sizes
        Sizes.

    Raises
    ------
    CheckpointError
        If an array is missing or has another shape.
    """
    expected = expected_shapes(sizes)
    for head in OPTIONAL:
        if not any(name.startswith(head) for name in weights):
            expected = {name: shape for name, shape in expected.items() if not name.startswith(head)}
    require_shapes(source, weights, expected)


def _weights(file: Path, sizes: ScgptSizes) -> dict[str, np.ndarray]:
    saved = read_torch_zip(file)
    if not isinstance(saved, dict) or not all(isinstance(array, np.ndarray) for array in saved.values()):
        msg = f"{file} holds no table of weights. Give the {WEIGHTS} that scGPT saved."
        raise CheckpointError(msg)
    named = {_own_name(name): array for name, array in saved.items()}
    expected = expected_shapes(sizes)
    unknown = [name for name in named if name not in expected and not name.startswith(UNUSED)]
    if unknown:
        fine_tuned = [name for name in unknown if name.startswith(CHANGES_THE_RESULT)]
        why = (
            "They belong to a fine-tuned model with batch labels or domain-specific normalisation, which "
            "changes the embedding and is not implemented. Use the pretrained model."
            if fine_tuned
            else f"The model was made with other settings than {ARGS} says, or is no scGPT."
        )
        msg = f"{file} has weights that are not known: {some(fine_tuned or unknown)}. {why}"
        raise CheckpointError(msg)
    rows = named["encoder.embedding.weight"].shape[0] if "encoder.embedding.weight" in named else None
    if rows not in (None, sizes.n_tokens):
        msg = (
            f"{file} embeds {rows:,} tokens, but {VOCABULARY} has {sizes.n_tokens:,} (special tokens "
            f"included). The vocabulary is another model's; take the {VOCABULARY} published with the weights."
        )
        raise CheckpointError(msg)
    weights = {name: named[name].astype(np.float32) for name in expected if name in named}
    require_weights(file, weights, sizes)
    return weights


def _own_name(name: str) -> str:
    return _OUT.sub("self_attn.out_proj.", _QKV.sub(r"self_attn.qkv.\3", name.removeprefix("module.")))


def _vocabulary(file: Path) -> tuple[str, ...]:
    index = _read_json(file)
    for token in SPECIAL:
        index.setdefault(token, len(index))
    by_index: dict[object, str] = {position: token for token, position in index.items()}
    if set(by_index) != set(range(len(index))) or any(type(position) is not int for position in by_index):
        msg = (
            f"{file} does not number its {len(index):,} tokens from 0 to {len(index) - 1:,}, each once. "
            "Take the file as it was published."
        )
        raise CheckpointError(msg)
    return tuple(by_index[position] for position in range(len(index)))


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        msg = f"{file} is no JSON ({type(error).__name__}: {error}). Copy or download it again."
        raise CheckpointError(msg) from error
    if not isinstance(content, dict):
        msg = f"{file} holds {type(content).__name__}, expected an object with names and values."
        raise CheckpointError(msg)
    return content


def _size(file: Path, args: Mapping[str, Any], key: str) -> int:
    value = args.get(key)
    if type(value) is not int or not 0 < value <= LARGEST[key]:
        msg = f"{file}: {key} is {value!r}, expected a whole number from 1 to {LARGEST[key]:,}."
        raise CheckpointError(msg)
    return value


def _pad_value(file: Path, args: Mapping[str, Any]) -> float:
    value = args.get("pad_value", -2)
    if type(value) not in (int, float) or not np.isfinite(value):
        msg = f"{file}: pad_value is {value!r}, expected a number."
        raise CheckpointError(msg)
    return float(value)
