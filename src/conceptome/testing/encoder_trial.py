"""What the promises of an encoder are tried on: cells, edits, and a measure of difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from conceptome.core import Csr, Edits, Embeddings, Encoder, NotEditableError

if TYPE_CHECKING:
    from anndata import AnnData

EDITS_PER_CELL = 3
MOST_GENES = 3
WHOLE = 4096
"""Batch size that takes all cells at once."""


@dataclass(frozen=True, eq=False)
class EncoderTrial:
    """An encoder and what it is tried on."""

    encoder: Encoder
    adata: AnnData
    tolerance: float
    n_cells: int
    device: str
    seed: int

    @cached_property
    def cells(self) -> AnnData:
        """A copy of some of the cells."""
        rows = np.linspace(0, self.adata.n_obs - 1, min(self.n_cells, self.adata.n_obs)).astype(int)
        return self.adata[rows].copy()

    @cached_property
    def first(self) -> Embeddings:
        """The embedding of all cells; the first that is asked of the encoder."""
        return self.encoder.embed(self.adata, batch_size=WHOLE, device=self.device)

    @cached_property
    def embedded(self) -> Float[np.ndarray, "cells d_embed"]:
        """The embedding of the chosen cells."""
        return self.embed(self.cells)

    @cached_property
    def expression(self) -> Csr:
        """Expression of the chosen cells."""
        return self.encoder.expression(self.cells)

    @cached_property
    def known(self) -> Bool[np.ndarray, " genes"]:
        """Columns of the chosen cells that the encoder reads."""
        return self.encoder.known(self.cells)

    def embed(self, cells: AnnData, *, batch_size: int = WHOLE) -> Float[np.ndarray, "cells d_embed"]:
        """Embed cells, in float64."""
        embeddings = self.encoder.embed(cells, batch_size=batch_size, device=self.device)
        return np.asarray(embeddings.values, dtype=np.float64)

    def embed_edits(
        self, cells: AnnData, edits: Edits, *, batch_size: int = WHOLE
    ) -> Float[np.ndarray, "edits d_embed"]:
        """Embed edited cells."""
        return self.encoder.embed_edits(cells, edits, batch_size=batch_size, device=self.device)

    @cached_property
    def refusals(self) -> tuple[str, ...]:
        """Names of the editing methods that raise `NotEditableError`."""
        calls: dict[str, Callable[[], object]] = {
            "expression": lambda: self.expression,
            "known": lambda: self.known,
            "embed_edits": lambda: self.embed_edits(self.cells, Edits.noop(1)),
        }
        refused = []
        for name, call in calls.items():
            try:
                call()
            except NotEditableError:
                refused.append(name)
        return tuple(refused)

    def difference(self, found: np.ndarray, expected: np.ndarray) -> float:
        """Return the largest absolute difference, as a share of the largest value of the embedding."""
        if found.shape != expected.shape or not np.isfinite(found).all():
            return float("inf")
        scale = np.abs(self.embedded).max() or 1.0
        return float(np.abs(found - expected).max(initial=0.0) / scale)

    def differs(self, found: np.ndarray, expected: np.ndarray) -> str:
        """Say by how much two embeddings differ; an empty text if they agree."""
        if found.shape != expected.shape:
            return f"it has shape {found.shape} in place of {expected.shape}"
        if not np.isfinite(found).all():
            return "it holds NaN or infinite values"
        share = self.difference(found, expected)
        return f"it differs by {share:.2g} of the largest value" if share > self.tolerance else ""

    @cached_property
    def edits(self) -> Edits:
        """Edits of no to several known genes: values of other cells, from 0, to 0 and between."""
        rng = np.random.default_rng(self.seed)
        n_cells = self.cells.n_obs
        cells = np.repeat(np.arange(n_cells), EDITS_PER_CELL)
        chosen = [self._genes(int(cell), rng) for cell in cells]
        lengths = [len(genes) for genes in chosen]
        genes = np.concatenate(chosen).astype(np.int64)
        donors = np.repeat((cells + 1 + np.arange(len(cells)) % (n_cells - 1)) % n_cells, lengths)
        values = self.expression.toarray()[donors, genes].astype(np.float64)
        return Edits(cells, np.concatenate([[0], np.cumsum(lengths)]), genes, values)

    def _genes(self, cell: int, rng: np.random.Generator) -> Int[np.ndarray, " changes"]:
        """Choose genes so that some are expressed and the cell keeps others that are."""
        values = self.expression[[cell]].toarray()[0]
        expressed, silent = (np.flatnonzero(self.known & where) for where in (values != 0, values == 0))
        n_expressed = min(int(rng.integers(0, MOST_GENES + 1)), max(len(expressed) - 1, 0))
        n_silent = min(int(rng.integers(0, 2)), len(silent))
        return np.concatenate(
            [rng.choice(expressed, n_expressed, replace=False), rng.choice(silent, n_silent, replace=False)]
        )
