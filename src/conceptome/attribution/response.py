"""How a concept responds to edited cells: by encoding them, or within a shallow encoder's hidden layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from anndata import AnnData
from jaxtyping import Bool, Float, Int

from conceptome.attribution.kernels import respond, stand
from conceptome.attribution.listing import changes
from conceptome.attribution.memory import Key, Memory
from conceptome.core import (
    ConceptRule,
    Csr,
    Dictionary,
    Edits,
    Encoder,
    HiddenLayer,
    OneHiddenLayer,
    Pairs,
    ThresholdedConcepts,
    map_blocks,
)

EDITS_PER_CALL = 65_536  # fixed, so that results do not depend on the batch size; bounds the memory
LISTED_RIVALS = 16  # by cell; if more are within reach, all are looked at
HELD_CELLS = 8192  # read at once, if there are no more; bounds the memory


@dataclass(frozen=True, eq=False)
class Cells:
    """Some cells of an AnnData, and what the encoder reads of them."""

    adata: AnnData
    rows: Int[np.ndarray, " cells"]
    expression: Csr
    """Canonical."""
    layer: HiddenLayer | None
    """None where the encoder has no single hidden layer."""

    @classmethod
    def of(cls, adata: AnnData, encoder: Encoder, rows: Int[np.ndarray, " cells"]) -> Cells:
        """Read cells by their rows, each once."""
        view = adata[rows]
        expression = encoder.expression(view)
        if not expression.has_canonical_format:
            expression = expression.copy()
            expression.sum_duplicates()
        layer = encoder.hidden_layer(view) if isinstance(encoder, OneHiddenLayer) else None
        return cls(adata, rows, expression, layer)

    @cached_property
    def view(self) -> AnnData:
        """The cells as the encoder takes them."""
        return self.adata[self.rows]

    def take(self, positions: Int[np.ndarray, " some"]) -> Cells:
        """Take some of the cells."""
        layer = self.layer and replace(self.layer, first=self.layer.first[positions])
        return Cells(self.adata, self.rows[positions], self.expression[positions], layer)


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads cells for several concepts: to find the model's genes in the data takes longer than to read."""

    adata: AnnData
    encoder: Encoder
    rows: Int[np.ndarray, " all_cells"]
    """All cells that will be asked for, ascending."""

    @classmethod
    def of(cls, adata: AnnData, encoder: Encoder, pairs: Pairs) -> Reader:
        """Prepare for the cells of some pairs and of their null pairs."""
        parts = [pairs] if pairs.null is None else [pairs, pairs.null]
        ends = [cells for part in parts for cells in (part.factual, part.counterfactual)]
        return cls(adata, encoder, np.unique(np.concatenate(ends)))

    @cached_property
    def known(self) -> Bool[np.ndarray, " genes"]:
        """Which columns the encoder reads."""
        return self.encoder.known(self.adata)

    def read(self, rows: Int[np.ndarray, " cells"]) -> Cells:
        """Read cells by their rows, each once."""
        if len(self.rows) > HELD_CELLS:
            return Cells.of(self.adata, self.encoder, rows)
        return self._held.take(np.searchsorted(self.rows, rows))

    @cached_property
    def _held(self) -> Cells:
        return Cells.of(self.adata, self.encoder, self.rows)


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
        if rule and cells.layer:
            return _within(cells.expression, cells.layer, rule, edits=edits, concept=concept)
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
    change = changes(expression, edits, log1p=layer.log1p)
    pre = (np.maximum(layer.first, 0) @ layer.readout + layer.constant) @ rule.weights.T + rule.biases
    slopes = rule.weights @ layer.readout.T
    (n_cells, n_concepts), k = pre.shape, rule.k or 0
    listed = (n_cells, min(LISTED_RIVALS, n_concepts))
    standing = (
        pre,
        np.empty(n_concepts),
        np.empty(n_concepts),
        np.empty(n_cells, dtype=bool),
        np.empty(n_cells, dtype=np.int64),
        np.empty(listed, dtype=np.int64),
        np.empty(listed),
    )
    if k:
        stand(slopes, concept, k, standing)
    response = np.empty((len(edits), 2))
    respond(
        (edits.cells, edits.indptr, layer.column[edits.genes], change),
        (layer.first, layer.by_gene, slopes),
        standing,
        concept,
        rule.threshold,
        k,
        response,
    )
    return response
