"""Dictionaries in the folder format of SAELens, both ways: cfg.json beside sae_weights.safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from conceptome.core import CheckpointError, Embeddings, InputError
from conceptome.dictionaries.affine import AffineDictionary, Weights
from conceptome.dictionaries.baselines import IcaDictionary, NeuronDictionary, PcaDictionary
from conceptome.dictionaries.batch_topk import BatchTopKDictionary
from conceptome.dictionaries.checks import embedding_values
from conceptome.dictionaries.jumprelu import JumpReluDictionary, ThresholdedWeights
from conceptome.dictionaries.matryoshka import MatryoshkaDictionary
from conceptome.dictionaries.relu_l1 import ReluL1Dictionary
from conceptome.dictionaries.scaling import center_and_scale
from conceptome.dictionaries.topk import TopKDictionary

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
OURS = "conceptome"
"""Under this name the metadata keep what SAELens has no place for."""
PLAIN = (ReluL1Dictionary, NeuronDictionary, PcaDictionary, IcaDictionary)
ARCHITECTURES = {"standard": (), "topk": (), "jumprelu": ("threshold",)}
EQUAL_LENGTHS = 1e-4


def export_saelens(dictionary: AffineDictionary, path: Path | str) -> None:
    """Write a dictionary as SAELens does.

    Mean and scale are folded into its weights, so that SAELens reads embeddings in original units and gives
    the same activations and reconstructions. TopK becomes ``topk``, BatchTopK and JumpReLU ``jumprelu``,
    ReLU dictionaries ``standard``; a Matryoshka loses its prefixes.

    Parameters
    ----------
    dictionary
        The dictionary.
    path
        Folder; made if need be.

    Raises
    ------
    InputError
        If SAELens has nothing that encodes like this dictionary.
    """
    from safetensors.numpy import save_file

    weights, scale = dictionary.weights, dictionary.scale
    arrays = {
        "W_enc": weights.w_enc.T * scale,
        "b_enc": weights.b_enc,
        "W_dec": weights.directions / scale,
        "b_dec": weights.mean + weights.b_dec / scale,
    }
    k, threshold = _rule(dictionary)
    architecture: dict[str, Any] = {"architecture": "standard"}
    if k is not None:
        architecture = {"architecture": "topk", "k": k, "rescale_acts_by_decoder_norm": False}
    elif threshold is not None:
        architecture = {"architecture": "jumprelu"}
        arrays["threshold"] = np.broadcast_to(threshold, dictionary.n_concepts)
    config = {
        **architecture,
        "d_in": dictionary.d_embed,
        "d_sae": dictionary.n_concepts,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            OURS: {
                "dictionary_id": dictionary.dictionary_id,
                "encoder_id": dictionary.encoder_id,
                "scale": scale,
                "mean": weights.mean.astype(float).tolist(),
            }
        },
    }
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()},
        folder / WEIGHTS,
    )
    (folder / CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")


def import_saelens(
    path: Path | str, *, embeddings: Embeddings | Float[np.ndarray, "cells d_embed"] | None = None
) -> AffineDictionary:
    """Read a sparse autoencoder that SAELens or `export_saelens` wrote.

    Reconstructions are those of SAELens. So are activations, but for a factor per concept, because our
    directions have unit length in the scaled embedding; of a folder of `export_saelens` the factor is 1.

    Parameters
    ----------
    path
        Folder with ``cfg.json`` and ``sae_weights.safetensors``; architecture ``standard``, ``topk`` or
        ``jumprelu``, without normalisation of activations at run time.
    embeddings
        Cells that tell mean and scale of the embedding. Without them the decoder's bias is the mean, and the
        scale makes its directions of unit length on average.

    Returns
    -------
    A `TopKDictionary`, `JumpReluDictionary` or `ReluL1Dictionary`.

    Raises
    ------
    CheckpointError
        If files are missing or damaged, or the architecture is another.
    InputError
        If `embeddings` have another width.
    """
    folder = Path(path)
    config, arrays = _read(folder)
    length = np.linalg.norm(arrays["W_dec"], axis=1)
    if not (length > 0).all():
        msg = f"{folder}: {np.sum(length == 0):,} decoder directions have no length. Remove those concepts."
        raise CheckpointError(msg)
    ours = _ours(config)
    mean, scale = _units(arrays, length, ours, embeddings)
    gain = length * scale
    bias = arrays["b_enc"]
    if not config.get("apply_b_dec_to_input", True):
        bias = bias + arrays["b_dec"] @ arrays["W_enc"]
    maps = {
        "directions": arrays["W_dec"] / length[:, None],
        "b_dec": (arrays["b_dec"] - mean) * scale,
        "w_enc": (arrays["W_enc"] * (gain / scale)).T,
        "b_enc": bias * gain,
        "mean": mean,
    }
    single = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in maps.items()}
    encoder_id = str(ours.get("encoder_id", ""))
    if isinstance(embeddings, Embeddings):
        encoder_id = embeddings.encoder_id
    if config["architecture"] == "jumprelu":
        threshold = np.maximum(arrays["threshold"] * gain, np.finfo(np.float32).tiny).astype(np.float32)
        thresholded = ThresholdedWeights(**single, threshold=threshold)
        return JumpReluDictionary(thresholded, scale=scale, encoder_id=encoder_id)
    weights = Weights(**single)
    if config["architecture"] == "standard":
        return ReluL1Dictionary(weights, scale=scale, encoder_id=encoder_id)
    _require_comparable(folder, gain, rescaled=bool(config.get("rescale_acts_by_decoder_norm", False)))
    return TopKDictionary(weights, int(config["k"]), scale=scale, encoder_id=encoder_id)


def _rule(dictionary: AffineDictionary) -> tuple[int | None, np.ndarray | float | None]:
    """Return k or the threshold by which concepts are chosen; neither for a plain ReLU."""
    if type(dictionary) is TopKDictionary:  # others of its kind may rank concepts by something else
        return dictionary.k, None
    if isinstance(dictionary, BatchTopKDictionary | JumpReluDictionary):
        return None, dictionary.threshold
    if isinstance(dictionary, MatryoshkaDictionary):
        return dictionary.k, dictionary.threshold
    if isinstance(dictionary, PLAIN):
        return None, None
    msg = (
        f"SAELens has no architecture that encodes like a {dictionary.kind!r} dictionary. Export a TopK, "
        "BatchTopK, JumpReLU, Matryoshka or ReLU dictionary."
    )
    raise InputError(msg)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        msg = f"{folder} is no SAELens folder: {' and '.join(missing)} missing. Give what save_model wrote."
        raise CheckpointError(msg)
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        arrays = {name: array.astype(np.float64) for name, array in load_file(folder / WEIGHTS).items()}
    except (ValueError, TypeError, SafetensorError, OSError) as error:
        msg = f"{folder} holds a damaged or unreadable SAE ({error}). Save it again, in float32."
        raise CheckpointError(msg) from error
    if not isinstance(config, dict) or config.get("architecture") not in ARCHITECTURES:
        found = config.get("architecture") if isinstance(config, dict) else type(config).__name__
        msg = f"{folder / CONFIG}: the architecture is {found!r}, expected one of {', '.join(ARCHITECTURES)}."
        raise CheckpointError(msg)
    for name, plain in (("normalize_activations", "none"), ("reshape_activations", "none")):
        if config.get(name, plain) != plain:
            msg = (
                f"{folder / CONFIG}: {name} is {config[name]!r}, which normalises cells at run time. Fold it "
                f"into the weights first, so that {name} is {plain!r}."
            )
            raise CheckpointError(msg)
    _require_arrays(folder, config, arrays)
    return config, arrays


def _require_arrays(folder: Path, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    d_embed, n_concepts = (_size(folder, config, name) for name in ("d_in", "d_sae"))
    shapes: dict[str, tuple[int, ...]] = {
        "W_enc": (d_embed, n_concepts),
        "b_enc": (n_concepts,),
        "W_dec": (n_concepts, d_embed),
        "b_dec": (d_embed,),
    }
    shapes |= dict.fromkeys(ARCHITECTURES[config["architecture"]], (n_concepts,))
    for name, shape in shapes.items():
        found = f"has shape {arrays[name].shape}" if name in arrays else "is missing"
        if name not in arrays or arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            msg = f"{folder / WEIGHTS}: {name} {found}, expected finite numbers of shape {shape}."
            raise CheckpointError(msg)
    k = config.get("k")
    if config["architecture"] == "topk" and not (type(k) is int and 1 <= k <= n_concepts):
        msg = f"{folder / CONFIG}: k is {k!r}, expected a whole number from 1 to d_sae = {n_concepts}."
        raise CheckpointError(msg)


def _size(folder: Path, config: Mapping[str, Any], name: str) -> int:
    value = config.get(name)
    if type(value) is not int or value < 1:
        msg = f"{folder / CONFIG}: {name} is {value!r}, expected a positive whole number."
        raise CheckpointError(msg)
    return value


def _ours(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `export_saelens` left in the metadata; nothing for others' folders."""
    metadata = config.get("metadata")
    found = metadata.get(OURS) if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}


def _units(
    arrays: Mapping[str, np.ndarray],
    length: Float[np.ndarray, " concepts"],
    ours: Mapping[str, Any],
    embeddings: Embeddings | np.ndarray | None,
) -> tuple[Float[np.ndarray, " d_embed"], float]:
    """Return mean and scale of the embedding."""
    d_embed = arrays["W_dec"].shape[1]
    if embeddings is not None:
        values = embedding_values(embeddings)
        if values.shape[1] != d_embed:
            msg = f"The embeddings have {values.shape[1]} coordinates, the SAE reads {d_embed}."
            raise InputError(msg)
        mean, scale = center_and_scale(values)
        return mean.astype(np.float64), float(scale)
    stored = np.asarray(ours.get("mean", ()), dtype=np.float64)
    if stored.shape == (d_embed,) and np.isfinite(stored).all() and float(ours.get("scale", 0)) > 0:
        return stored, float(ours["scale"])
    return arrays["b_dec"], float(1 / length.mean())


def _require_comparable(folder: Path, gain: Float[np.ndarray, " concepts"], *, rescaled: bool) -> None:
    """Refuse a TopK whose choice among concepts would change with the length of their directions."""
    ratio = gain.max() / gain.min()
    if not rescaled and ratio > 1 + EQUAL_LENGTHS:
        msg = (
            f"{folder}: decoder directions have lengths in a ratio of up to {ratio:.3g}, and the "
            "k strongest concepts are chosen without regard to them, which unit directions would change. "
            "Train with rescale_acts_by_decoder_norm=True."
        )
        raise CheckpointError(msg)
