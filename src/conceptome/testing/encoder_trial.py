"""What the promises of an encoder are tried on: cells, edits, and a measure of difference."""

from __future__ import annotations

import logging
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from conceptome.core import Edits, NotEditableError

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger(__name__)

EDITS_PER_CELL = 3
MOST_GENES = 3
WHOLE = 4096
"""Batch size that takes all cells at once."""


@dataclass(frozen=True, eq=False)
class EncoderTrial:
    """An encoder and what it is tried on; it always gets a copy, so that no check spoils the next."""

    encoder: Any
    adata: AnnData
    tolerance: float
    n_cells: int
    device: str
    seed: int

    @cached_property
    def cells(self) -> AnnData:
        """Some of the cells."""
        rows = np.linspace(0, self.adata.n_obs - 1, min(self.n_cells, self.adata.n_obs)).astype(int)
        return self.adata[rows].copy()

    @cached_property
    def first(self) -> Any:  # noqa: ANN401
        """What `embed` returned for all cells, in the first call of all."""
        return self.encoder.embed(self.adata.copy(), batch_size=WHOLE, device=self.device)

    @cached_property
    def embedded(self) -> Float[np.ndarray, "cells d_embed"]:
        """The embedding of the chosen cells."""
        return self.embed(self.cells)

    @cached_property
    def expression(self) -> Any:  # noqa: ANN401
        """What `expression` returned for the chosen cells."""
        return self.encoder.expression(self.cells.copy())

    @cached_property
    def known(self) -> Any:  # noqa: ANN401
        """What `known` returned for the chosen cells."""
        return self.encoder.known(self.cells.copy())

    def embed(self, cells: AnnData, *, batch_size: int = WHOLE) -> Float[np.ndarray, "cells d_embed"]:
        """Embed a copy of cells, in float64."""
        embeddings = self.encoder.embed(cells.copy(), batch_size=batch_size, device=self.device)
        return np.asarray(embeddings.values, dtype=np.float64)

    def embed_edits(
        self, cells: AnnData, edits: Edits, *, batch_size: int = WHOLE
    ) -> Shaped[np.ndarray, "edits d_embed"]:
        """Embed a copy of edits of a copy of cells."""
        own = deepcopy(edits)
        found = self.encoder.embed_edits(cells.copy(), own, batch_size=batch_size, device=self.device)
        return np.asarray(found)

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
            except Exception:  # what else goes wrong is the business of other promises
                logger.debug("%s() fails", name, exc_info=True)
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
