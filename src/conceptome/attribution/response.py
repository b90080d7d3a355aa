"""How a concept responds to edited cells: by encoding them, or within a shallow encoder's hidden layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from anndata import AnnData
from jaxtyping import Float, Int

from conceptome.attribution.kernels import respond
from conceptome.attribution.memory import Key, Memory
from conceptome.core import (
    ConceptRule,
    Csr,
    Dictionary,
    Edits,
    Encoder,
    HiddenLayer,
    OneHiddenLayer,
    ThresholdedConcepts,
    map_blocks,
)

EDITS_PER_CALL = 65_536  # fixed, so that results do not depend on the batch size; bounds the memory


@dataclass(frozen=True, eq=False)
class Cells:
    """Some cells of an AnnData, and what the encoder reads of them."""

    rows: Int[np.ndarray, " cells"]
    view: AnnData
    expression: Csr

    @classmethod
    def of(cls, adata: AnnData, encoder: Encoder, rows: Int[np.ndarray, " cells"]) -> Cells:
        """Read cells by their rows, each once."""
        view = adata[rows]
        return cls(rows, view, encoder.expression(view))


@dataclass(frozen=True, eq=False)
class Responder:
    """Asks an encoder and a dictionary how a concept responds to edits."""

    encoder: Encoder
    dictionary: Dictionary
    batch_size: int
    device: str
    short_cuts: bool = True
    """Whether to stay within the hidden layer where encoder and dictionary allow it."""

    def respond(self, cells: Cells, edits: Edits, concept: int) -> Float[np.ndarray, "edits 2"]:
        """Measure a concept in edited cells.

        Parameters
        ----------
        cells
            The cells that are edited.
        edits
            Edits; `edits.cells` are positions in `cells`.
        concept
            The concept.

        Returns
        -------
        Activation and pre-activation after each edit, float64.
        """
        rule = self._rule(concept)
        layer = self._layer(cells.view) if rule else None
        if rule and layer:
            return _within(cells.expression, layer, rule, edits=edits, concept=concept)
        response = np.empty((len(edits), 2))
        for start in range(0, len(edits), EDITS_PER_CALL):
            part = np.arange(start, min(start + EDITS_PER_CALL, len(edits)))
            response[part] = self.read(self._recalled(cells, edits.take(part)), concept)
        return response

    def read(self, embedding: Float[np.ndarray, "rows d_embed"], concept: int) -> Float[np.ndarray, "rows 2"]:
        """Return activation and pre-activation of a concept for each embedding."""
        return map_blocks(partial(_read, self.dictionary, concept), embedding)

    def embed(self, cells: Cells, edits: Edits) -> Float[np.ndarray, "edits d_embed"]:
        """Embed edited cells."""
        return self.encoder.embed_edits(cells.view, edits, batch_size=self.batch_size, device=self.device)

    def _rule(self, concept: int) -> ConceptRule | None:
        if self.short_cuts and isinstance(self.dictionary, ThresholdedConcepts):
            return self.dictionary.concept_rule(concept)
        return None

    def _layer(self, view: AnnData) -> HiddenLayer | None:
        return self.encoder.hidden_layer(view) if isinstance(self.encoder, OneHiddenLayer) else None

    @cached_property
    def _memory(self) -> Memory:
        return Memory(self.encoder.d_embed)

    def _recalled(self, cells: Cells, edits: Edits) -> Float[np.ndarray, "edits d_embed"]:
        """Embed the edits that were not embedded before; those of several genes are not remembered."""
        if np.diff(edits.indptr).max() > 1:
            return self.embed(cells, edits)
        keys = _keys(cells.rows, edits)
        values, held = self._memory.recall(keys)
        first = {keys[place]: place for place in reversed(np.flatnonzero(~held).tolist())}
        if first:
            new = dict(zip(sorted(first, key=first.__getitem__), range(len(first)), strict=True))
            places = np.array([first[key] for key in new])
            embedded = self.embed(cells, edits.take(places))
            values[~held] = embedded[[new[keys[place]] for place in np.flatnonzero(~held)]]
            self._memory.hold(list(new), embedded)
        return values


def _keys(rows: Int[np.ndarray, " cells"], edits: Edits) -> list[Key]:
    """Name each edit by cell, gene and value; one that changes nothing has gene -1."""
    gene, value = np.full(len(edits), -1), np.zeros(len(edits))
    changed = np.diff(edits.indptr) == 1
    gene[changed], value[changed] = edits.genes, edits.values
    return list(zip(rows[edits.cells].tolist(), gene.tolist(), value.tolist(), strict=True))


def _read(dictionary: Dictionary, concept: int, z: np.ndarray) -> np.ndarray:
    pre = dictionary.preactivations(z)
    return np.column_stack([dictionary.activate_one(pre, concept), pre[:, concept]])


def _within(
    expression: Csr, layer: HiddenLayer, rule: ConceptRule, *, edits: Edits, concept: int
) -> Float[np.ndarray, "edits 2"]:
    """Measure a concept in edited cells without leaving the hidden layer."""
    pre = (np.maximum(layer.first, 0) @ layer.readout + layer.constant) @ rule.weights.T + rule.biases
    cell_of_change = np.repeat(edits.cells, np.diff(edits.indptr))
    old = np.zeros(0)  # scipy answers an empty question with a sparse array
    if len(edits.genes):
        old = np.asarray(expression[cell_of_change, edits.genes]).ravel()
    change = np.log1p(edits.values) - np.log1p(old) if layer.log1p else edits.values - old
    response = np.empty((len(edits), 2))
    respond(
        (edits.cells, edits.indptr, layer.column[edits.genes], change),
        (layer.first, layer.by_gene, np.ascontiguousarray(layer.readout.T)),
        (rule.weights, pre, _weakest_of_strongest(pre, concept, rule.k)),
        concept,
        rule.threshold,
        rule.k or 0,
        response,
    )
    return response


def _weakest_of_strongest(
    pre: Float[np.ndarray, "cells concepts"], concept: int, k: int | None
) -> Float[np.ndarray, " cells"]:
    """Find the k-th largest pre-activation among the rivals of a concept; -inf where there are fewer."""
    n_rivals = pre.shape[1] - 1
    if k is None or k > n_rivals:
        return np.full(len(pre), -np.inf)
    rivals = np.delete(pre, concept, axis=1)
    return np.asarray(np.partition(rivals, n_rivals - k, axis=1)[:, n_rivals - k])
