"""Read the folder in which scGPT is published: args.json, vocab.json, best_model.pt. Nothing in it is run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from conceptome.core import CheckpointError
from conceptome.data.wording import some
from conceptome.encoders.published import read_json, read_weights, whole_number
from conceptome.encoders.scgpt_network import ScgptSizes, expected_shapes
from conceptome.encoders.storage import require_shapes

ARGS, VOCABULARY, WEIGHTS = "args.json", "vocab.json", "best_model.pt"
CLS = "<cls>"
PADDING = {"pad_token": "<pad>", "pad_value": -2}
SPECIAL = ("<pad>", CLS, "<eoc>")
"""Appended in this order where the vocabulary lacks them."""
LARGEST = {"embsize": 16_384, "nheads": 256, "d_hid": 65_536, "nlayers": 256}
MOST_TOKENS = 2**20
LARGEST_PAD_VALUE = 1e6
"""Upwards and downwards; the values of genes are cut at 512."""

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
    args, vocabulary = read_json(folder / ARGS), _vocabulary(folder / VOCABULARY)
    numbers = [whole_number(folder / ARGS, args, name, largest=most) for name, most in LARGEST.items()]
    sizes = ScgptSizes(len(vocabulary), *numbers)
    padding = _padding(folder / ARGS, {**PADDING, **args}, vocabulary, sizes)
    return ScgptModel(sizes, vocabulary, *padding, _weights(folder / WEIGHTS, sizes))


def saved_scgpt(file: Path, config: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> ScgptModel:
    """Read what an encoder saved, with the checks of a published model.

    Parameters
    ----------
    file
        ``config.json``, for the message.
    config
        What it says.
    weights
        Arrays under the names of `ScgptNetwork`.

    Returns
    -------
    The model.

    Raises
    ------
    CheckpointError
        If settings or weights are missing, absurd or do not fit together.
    """
    names, largest = [field.name for field in fields(ScgptSizes)], (MOST_TOKENS, *LARGEST.values())
    sizes = ScgptSizes(
        *(
            whole_number(file, config["sizes"], name, largest=most)
            for name, most in zip(names, largest, strict=True)
        )
    )
    vocabulary = tuple(config["vocabulary"])
    padding = _padding(file, config, vocabulary, sizes)
    require_weights(file.parent, weights, sizes)
    return ScgptModel(sizes, vocabulary, *padding, weights)


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
    saved = read_weights(file)
    named = {_own_name(name): array for name, array in saved.items()}
    if len(named) < len(saved):
        msg = f"{file} holds weights twice, under names of different versions. Take it as it was published."
        raise CheckpointError(msg)
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
    embedding = named.get("encoder.embedding.weight")
    if embedding is not None and embedding.ndim and len(embedding) != sizes.n_tokens:
        msg = (
            f"{file} embeds {len(embedding):,} tokens, but {VOCABULARY} has {sizes.n_tokens:,} (special "
            f"tokens included). The vocabulary is another model's; take the {VOCABULARY} published with the "
            "weights."
        )
        raise CheckpointError(msg)
    weights = {name: named[name].astype(np.float32) for name in expected if name in named}
    require_weights(file, weights, sizes)
    return weights


def _own_name(name: str) -> str:
    return _OUT.sub("self_attn.out_proj.", _QKV.sub(r"self_attn.qkv.\3", name.removeprefix("module.")))


def _vocabulary(file: Path) -> tuple[str, ...]:
    index = read_json(file)
    for token in SPECIAL:
        index.setdefault(token, len(index))
    numbers = list(index.values())
    if any(type(number) is not int for number in numbers) or set(numbers) != set(range(len(index))):
        msg = (
            f"{file} does not number its {len(index):,} tokens from 0 to {len(index) - 1:,}, each once. "
            "Take the file as it was published."
        )
        raise CheckpointError(msg)
    return tuple(sorted(index, key=index.__getitem__))


def _padding(
    file: Path, settings: Mapping[str, Any], vocabulary: tuple[Any, ...], sizes: ScgptSizes
) -> tuple[str, float]:
    """Return token and value of padding; refuse settings that do not fit together."""
    if sizes.d_embed % sizes.n_heads:
        msg = f"{file}: embsize {sizes.d_embed} is no multiple of nheads {sizes.n_heads}."
        raise CheckpointError(msg)
    tokens = {token for token in vocabulary if type(token) is str}
    if not len(tokens) == len(vocabulary) == sizes.n_tokens or CLS not in tokens:
        msg = f"{file} should list {sizes.n_tokens:,} tokens, each once, {CLS!r} among them. It is damaged."
        raise CheckpointError(msg)
    token, value = str(settings["pad_token"]), settings["pad_value"]
    if token not in tokens:
        msg = f"{file} names the padding {token!r}, which {VOCABULARY} lacks. They do not fit."
        raise CheckpointError(msg)
    if type(value) not in (int, float) or not abs(value) <= LARGEST_PAD_VALUE:
        msg = f"{file}: pad_value is {value!r}, expected a number."
        raise CheckpointError(msg)
    return token, float(value)
