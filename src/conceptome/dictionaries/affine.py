"""What all our dictionaries share: an affine map to pre-activations and one back from activations.

With ``z_s = (z - mean) * scale``::

    p = W_enc (z_s - b_dec) + b_enc        pre-activations
    a = activate(p)                        the only step in which families differ
    z_hat = (D^T a + b_dec) / scale + mean
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Shaped

from conceptome.core import (
    BLOCK_ROWS,
    Activations,
    CheckpointError,
    ConceptRule,
    Csr,
    DictionaryMismatchError,
    Embeddings,
    InputError,
    content_id,
    map_blocks,
)
from conceptome.dictionaries.checks import embedding_values, floating_type, require_source, require_width
from conceptome.dictionaries.storage import read_folder, write_folder

DENSE_NUMBERS = 2**22  # dense activations that are in memory at once


@dataclass(frozen=True, eq=False)
class Weights:
    """Parameters of a dictionary, all of one floating type."""

    w_enc: Float[np.ndarray, "concepts d_embed"]
    b_enc: Float[np.ndarray, " concepts"]
    directions: Float[np.ndarray, "concepts d_embed"]
    """Decoder directions in the scaled embedding; unit length after training."""
    b_dec: Float[np.ndarray, " d_embed"]
    """Bias of the decoder, in the scaled embedding."""
    mean: Float[np.ndarray, " d_embed"]
    """Mean of the training cells, in original units."""

    def __post_init__(self) -> None:
        n_concepts, d_embed = self.directions.shape
        expected = {
            "w_enc": (n_concepts, d_embed),
            "b_enc": (n_concepts,),
            "b_dec": (d_embed,),
            "mean": (d_embed,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                found = getattr(self, name).shape
                msg = (
                    f"Weights: {name} has shape {found}, expected {shape}, "
                    f"because directions has shape {(n_concepts, d_embed)}."
                )
                raise InputError(msg)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def astype(self, dtype: np.dtype[Any]) -> Weights:
        """Return the weights in another floating type; without a copy where it is theirs already."""
        return type(self)(**{name: array.astype(dtype, copy=False) for name, array in self.arrays().items()})


class AffineDictionary:
    """A dictionary whose pre-activations and reconstructions are affine; activations are ReLU(p).

    Families that select among the pre-activations override `activate` and `activate_one`.

    Parameters
    ----------
    weights
        The maps; `directions` decides ``n_concepts`` and ``d_embed``.
    scale
        Scaled embedding = (embedding - mean) * scale.
    encoder_id
        Encoder whose embeddings it belongs to; empty for a bare array.
    training
        How it was made, JSON-serialisable: options, seed, held-out split, progress. Not part of the identity.
    """

    kind: str
    weights_type: type[Weights] = Weights

    def __init__(
        self,
        weights: Weights,
        *,
        scale: float = 1.0,
        encoder_id: str = "",
        training: Mapping[str, Any] | None = None,
    ) -> None:
        self.weights = weights
        self.scale = float(scale)
        self.encoder_id = encoder_id
        self.training = dict(training or {})
        self.directions = weights.directions
        self.n_concepts, self.d_embed = (int(n) for n in weights.directions.shape)
        self.dictionary_id = content_id(self.settings(), weights.arrays())
        self._cast = {weights.directions.dtype: weights}

    def settings(self) -> dict[str, Any]:
        """Return what besides the weights makes the dictionary what it is."""
        return {"kind": self.kind, "scale": self.scale, "encoder_id": self.encoder_id}

    def __repr__(self) -> str:
        shape = f"n_concepts={self.n_concepts}, d_embed={self.d_embed}"
        return f"{type(self).__name__}({shape}, dictionary_id={self.dictionary_id!r})"

    def _weights_for(self, dtype: np.dtype[Any]) -> Weights:
        if dtype not in self._cast:
            self._cast[dtype] = self.weights.astype(dtype)
        return self._cast[dtype]

    def preactivations(self, z: Shaped[np.ndarray, "rows d_embed"]) -> Float[np.ndarray, "rows concepts"]:
        """Compute the pre-activations of embeddings.

        Parameters
        ----------
        z
            Embeddings in original units, ``(n_rows, d_embed)``.

        Returns
        -------
        p, ``(n_rows, n_concepts)``, in the floating type of `z` (float64 for integers and half precision); a
        row's values do not depend on the others.

        Raises
        ------
        DictionaryMismatchError
            If `z` has another number of columns than the dictionary.
        InputError
            If it holds NaN or infinite values.
        """
        z = embedding_values(z)
        require_width(z.shape[1], self.d_embed, self.dictionary_id)
        weights = self._weights_for(z.dtype)
        shift = weights.mean
        scale = z.dtype.type(self.scale)

        def project(block: np.ndarray) -> np.ndarray:
            projected: np.ndarray = (
                (block - shift) * scale - weights.b_dec
            ) @ weights.w_enc.T + weights.b_enc
            return projected

        return map_blocks(project, z)

    def activate(self, pre: Float[np.ndarray, "rows concepts"]) -> Float[np.ndarray, "rows concepts"]:
        """Turn finite pre-activations into activations, dense and non-negative."""
        activations: np.ndarray = np.maximum(pre, 0)
        return activations

    def activate_one(
        self, pre: Float[np.ndarray, "rows concepts"], concept: int
    ) -> Float[np.ndarray, " rows"]:
        """Compute the activation of a single concept; equals ``activate(pre)[:, concept]``."""
        activation: np.ndarray = np.maximum(pre[:, concept], 0)
        return activation

    def concept_rule(self, concept: int) -> ConceptRule | None:
        """Say how a concept's activation follows from the pre-activations; None where it is not so simple.

        Parameters
        ----------
        concept
            Index of the concept.

        Returns
        -------
        The rule, in float64 and for embeddings in original units.
        """
        selection = self._selection(concept)
        return selection and ConceptRule(*self._affine_map, *selection)

    def _selection(self, concept: int) -> tuple[float, int | None] | None:  # noqa: ARG002
        """Return threshold and k of a concept."""
        return 0.0, None

    @cached_property
    def _affine_map(self) -> tuple[Float[np.ndarray, "concepts d_embed"], Float[np.ndarray, " concepts"]]:
        """Slope and bias of the pre-activations for embeddings in original units, float64."""
        weights = self.weights.astype(np.dtype(np.float64))
        slope = weights.w_enc * self.scale
        return slope, weights.b_enc - slope @ weights.mean - weights.w_enc @ weights.b_dec

    @overload
    def encode(self, embeddings: Embeddings) -> Activations: ...
    @overload
    def encode(self, embeddings: Float[np.ndarray, "cells d_embed"]) -> Csr: ...
    def encode(self, embeddings: Embeddings | Float[np.ndarray, "cells d_embed"]) -> Activations | Csr:
        """Compute the activations of embeddings.

        Parameters
        ----------
        embeddings
            A record or a bare array in original units, ``(n_cells, d_embed)``.

        Returns
        -------
        `Activations` for a record, CSR ``(n_cells, n_concepts)`` for an array.

        Raises
        ------
        DictionaryMismatchError
            If the embeddings have another width or come from another encoder.
        InputError
            If they hold NaN or infinite values.
        """
        values = embedding_values(embeddings)
        name = embeddings.encoder_name if isinstance(embeddings, Embeddings) else ""
        require_width(values.shape[1], self.d_embed, self.dictionary_id, name=name)
        n_rows = BLOCK_ROWS * max(1, DENSE_NUMBERS // (BLOCK_ROWS * self.n_concepts))
        parts = [
            sp.csr_array(self.activate(self.preactivations(values[start : start + n_rows])))
            for start in range(0, max(len(values), 1), n_rows)
        ]
        activations = sp.csr_array(sp.vstack(parts, format="csr"))
        if not isinstance(embeddings, Embeddings):
            return activations
        require_source(embeddings, dictionary_id=self.dictionary_id, encoder_id=self.encoder_id)
        return Activations(activations, embeddings.cell_ids, self.dictionary_id, self.scale)

    def decode(
        self, activations: Activations | Csr | Shaped[np.ndarray, "cells concepts"]
    ) -> Float[np.ndarray, "cells d_embed"]:
        """Reconstruct embeddings from activations.

        Parameters
        ----------
        activations
            A record, CSR or dense array, ``(n_cells, n_concepts)``.

        Returns
        -------
        The embedding in original units, ``(n_cells, d_embed)``, in the floating type of the activations
        (float64 for integers, booleans and half precision).

        Raises
        ------
        DictionaryMismatchError
            If the activations belong to another dictionary or have another number of concepts.
        """
        if isinstance(activations, Activations) and activations.dictionary_id != self.dictionary_id:
            msg = (
                f"These activations come from dictionary {activations.dictionary_id}, not from "
                f"{self.dictionary_id}. Decode with the dictionary that made them."
            )
            raise DictionaryMismatchError(msg)
        numbers = activations.values if isinstance(activations, Activations) else activations
        values = sp.csr_array(numbers.astype(floating_type(numbers.dtype), copy=False))
        if values.shape[1] != self.n_concepts:
            msg = (
                f"The activations have {values.shape[1]} concepts, dictionary {self.dictionary_id} has "
                f"{self.n_concepts}. Decode with the dictionary that made them."
            )
            raise DictionaryMismatchError(msg)
        weights = self._weights_for(values.dtype)
        decoded = values @ weights.directions + weights.b_dec
        return np.asarray(decoded / values.dtype.type(self.scale) + weights.mean)

    def save(self, path: Path | str) -> None:
        """Write ``config.json`` and ``weights.safetensors`` into a folder, which is made if need be.

        Parameters
        ----------
        path
            The folder.
        """
        config = {**self.settings(), "dictionary_id": self.dictionary_id, "training": self.training}
        write_folder(path, config, self.weights.arrays())

    @classmethod
    def load(cls, path: Path | str) -> AffineDictionary:
        """Read a dictionary of this kind from a folder.

        Parameters
        ----------
        path
            A folder written by `save`.

        Returns
        -------
        The dictionary, identical to the saved one.

        Raises
        ------
        CheckpointError
            If the folder is incomplete or damaged, or holds another kind of dictionary.
        """
        config, arrays = read_folder(path)
        names = {field.name for field in fields(cls.weights_type)}
        if config["kind"] != cls.kind or set(arrays) != names:
            msg = (
                f"{path} holds a {config['kind']!r} dictionary with the weights {sorted(arrays)}, expected "
                f"{cls.kind!r} with {sorted(names)}. Save the dictionary again."
            )
            raise CheckpointError(msg)
        stored_id = config.pop("dictionary_id")
        del config["kind"]
        try:
            dictionary = cls(cls.weights_type(**arrays), **config)
        except (TypeError, ValueError, InputError) as error:
            msg = f"{path}: its settings do not fit a {cls.kind!r} dictionary ({error}). Restore the folder."
            raise CheckpointError(msg) from None
        if dictionary.dictionary_id != stored_id:
            msg = (
                f"{path} has changed since it was saved: its content is {dictionary.dictionary_id}, its name "
                f"{stored_id}. Restore the folder or train again."
            )
            raise CheckpointError(msg)
        return dictionary
