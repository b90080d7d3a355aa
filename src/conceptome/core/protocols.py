"""The two things anybody may add: an encoder and a dictionary.

Classes satisfy these protocols by having the members named here; nothing is inherited. New ones are found
through the entry-point groups ``conceptome.encoders`` and ``conceptome.dictionaries``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, overload, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from conceptome.core.records import Activations, ConceptRule, Edits, Embeddings, HiddenLayer
from conceptome.core.types import Csr, Names

if TYPE_CHECKING:
    from anndata import AnnData


@runtime_checkable
class Decoder(Protocol):
    """Expression from an embedding, where the model has it."""

    genes: Names

    def expression(
        self, embedding: Float[np.ndarray, "cells d_embed"], cells: AnnData
    ) -> Float[np.ndarray, "cells model_genes"]:
        """Decode embeddings into expression with the batch, covariates and library size of `cells`."""
        ...


@runtime_checkable
class ScoredDecoder(Protocol):
    """A decoder that can say how badly what it makes of an embedding fits the cell."""

    loss_name: str
    """What the loss is, such as ``"negative log-likelihood of the counts"``."""

    def loss(
        self, embedding: Float[np.ndarray, "cells d_embed"], cells: AnnData
    ) -> Float[np.ndarray, " cells"]:
        """Compute the loss of each cell; lower is better."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """A frozen model that maps a cell's expression to its embedding."""

    name: str
    """Short name; the embedding goes to ``obsm["X_<name>"]``."""
    encoder_id: str
    """Content hash of weights and settings."""
    genes: Names
    """Genes the model knows, in its own naming and order."""
    d_embed: int
    decoder: Decoder | None

    def embed(self, adata: AnnData, *, batch_size: int = 4096, device: str = "cpu") -> Embeddings:
        """Embed every cell, ``(n_cells, d_embed)``."""
        ...

    def expression(self, adata: AnnData) -> Csr:
        """Return what the encoder reads of each cell, in the columns of `adata` and the units of an edit.

        Raw counts unless the encoder's documentation says otherwise; ``(n_cells, n_genes)``, float64.
        """
        ...

    def known(self, adata: AnnData) -> Bool[np.ndarray, " genes"]:
        """Tell which columns of `adata` the encoder reads."""
        ...

    def embed_edits(
        self, cells: AnnData, edits: Edits, *, batch_size: int = 4096, device: str = "cpu"
    ) -> Float[np.ndarray, "edits d_embed"]:
        """Embed edited cells, float64.

        `edits.cells` are row positions in `cells`, `edits.genes` columns of it. An edit without genes is a
        no-op and gives the cell's own embedding by the same arithmetic. Raises `NotEditableError` where the
        model cannot embed edited cells; `expression` does so as well.
        """
        ...

    def save(self, path: Path | str) -> None:
        """Write ``config.json`` and ``weights.safetensors`` into a folder."""
        ...


@runtime_checkable
class OneHiddenLayer(Protocol):
    """An encoder that may have a single hidden layer; edits are then measured without leaving that layer."""

    def hidden_layer(self, cells: AnnData) -> HiddenLayer | None:
        """Return the layer for these cells, or None where the encoder is deeper or normalises in between."""
        ...


@runtime_checkable
class Differentiable(Protocol):
    """An encoder that has gradients: how its embedding moves with what it reads of a cell."""

    def along(
        self,
        cells: AnnData,
        *,
        start: Int[np.ndarray, " rows"],
        end: Int[np.ndarray, " rows"],
        fractions: Sequence[float],
        cotangent: Float[np.ndarray, " d_embed"],
        device: str = "cpu",
    ) -> Iterator[tuple[Float[np.ndarray, "rows d_embed"], Float[np.ndarray, "rows genes"]]]:
        """Walk straight from cells to others, in what the network reads.

        `start` and `end` are row positions in `cells`. Where an input is interpolated (counts, their
        logarithms, bins) is the encoder's to say; all else, such as a batch, is that of `end`.

        Yields, for each fraction of the way (0 = start, 1 = end), the embedding z there, and for every column
        of `cells` the derivative of ``cotangent @ z`` by the gene's input, times (its input at the end - at
        the start), both float64. The mean of the latter over the way from 0 to 1 sums to
        ``cotangent @ (z(end) - z(start))``. A gene that is not read, or read alike in both cells, has 0.
        """
        ...


@runtime_checkable
class EditEstimator(Protocol):
    """An encoder that can estimate, at little cost, what editing one gene does."""

    def estimate_edits(
        self, cells: AnnData, edits: Edits, *, cotangent: Float[np.ndarray, " d_embed"], device: str = "cpu"
    ) -> Float[np.ndarray, "edits d_embed"]:
        """Estimate the embeddings of cells with one edited gene, float64.

        The estimate is to be good along `cotangent`; across it, it may be coarser.
        """
        ...


@runtime_checkable
class Reinitialisable(Protocol):
    """An encoder that can forget what it learnt, for checking that attributions depend on it."""

    def reinitialised(self, *, seed: int) -> Encoder:
        """Return the same encoder with the entries of each weight array permuted."""
        ...


@runtime_checkable
class ThresholdedConcepts(Protocol):
    """A dictionary with affine pre-activations whose activations are decided by thresholds and ranks."""

    def concept_rule(self, concept: int) -> ConceptRule | None:
        """Say how a concept's activation follows from the pre-activations; None where it is not so simple."""
        ...


@runtime_checkable
class Dictionary(Protocol):
    """A map between embeddings and sparse, non-negative concept activations.

    Arithmetic runs in the floating type of the embedding it is given (float32 or float64).
    """

    kind: str
    """Name of the family: ``"topk"``, ``"neurons"``, ``"pca"`` ..."""
    dictionary_id: str
    """Content hash of weights and settings."""
    encoder_id: str
    """The encoder whose embeddings it was trained on; empty if it was trained on a bare array."""
    n_concepts: int
    d_embed: int
    scale: float
    """Scaled embedding = (embedding - mean) * scale, with mean squared norm d_embed."""
    directions: Float[np.ndarray, "concepts d_embed"]
    """Decoder directions, unit length, in the scaled embedding."""

    def preactivations(self, z: Float[np.ndarray, "rows d_embed"]) -> Float[np.ndarray, "rows concepts"]:
        """Compute p for embeddings in original units."""
        ...

    def activate(self, pre: Float[np.ndarray, "rows concepts"]) -> Float[np.ndarray, "rows concepts"]:
        """Turn pre-activations into activations (dense)."""
        ...

    def activate_one(
        self, pre: Float[np.ndarray, "rows concepts"], concept: int
    ) -> Float[np.ndarray, " rows"]:
        """Compute the activation of a single concept; equals ``activate(pre)[:, concept]``."""
        ...

    @overload
    def encode(self, embeddings: Embeddings) -> Activations: ...
    @overload
    def encode(self, embeddings: Float[np.ndarray, "cells d_embed"]) -> Csr: ...
    def encode(self, embeddings: Embeddings | Float[np.ndarray, "cells d_embed"]) -> Activations | Csr:
        """Compute the activations of embeddings, CSR ``(n_cells, n_concepts)``."""
        ...

    def decode(
        self, activations: Activations | Csr | Float[np.ndarray, "cells concepts"]
    ) -> Float[np.ndarray, "cells d_embed"]:
        """Reconstruct embeddings in original units."""
        ...

    def save(self, path: Path | str) -> None:
        """Write ``config.json`` and ``weights.safetensors`` into a folder."""
        ...
