"""Frozen records: arrays with named axes and the identity of their source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from conceptome.core.errors import InputError
from conceptome.core.types import Csr, Names


def _require_length(record: str, lengths: Mapping[str, int], expected: int, axis: str) -> None:
    wrong = {name: n for name, n in lengths.items() if n != expected}
    if wrong:
        found = ", ".join(f"{name} has {n}" for name, n in wrong.items())
        msg = f"{record}: {found} along axis {axis!r}, expected {expected}. Build all parts from one source."
        raise InputError(msg)


@dataclass(frozen=True, eq=False)
class Embeddings:
    """What an encoder says of each cell."""

    values: Float[np.ndarray, "cells d_embed"]
    cell_ids: Names
    encoder_id: str
    """Content hash of the encoder; empty for a bare array."""
    encoder_name: str = ""

    def __post_init__(self) -> None:
        if self.values.ndim != 2:
            msg = f"Embeddings need a 2-d array (cells x d_embed), found {self.values.ndim} dimensions."
            raise InputError(msg)
        _require_length("Embeddings", {"values": self.values.shape[0]}, len(self.cell_ids), "cells")

    @property
    def d_embed(self) -> int:
        """Number of coordinates of the embedding."""
        return int(self.values.shape[1])

    def to_frame(self) -> pd.DataFrame:
        """Return cells x coordinates."""
        return pd.DataFrame(self.values, index=self.cell_ids)


@dataclass(frozen=True, eq=False)
class Activations:
    """How strongly each cell expresses each concept, never negative."""

    values: Csr
    """CSR (n_cells, n_concepts)."""
    cell_ids: Names
    dictionary_id: str
    scale: float = 1.0
    """The dictionary's scalar, so that distances can be given in its scaled embedding."""

    def __post_init__(self) -> None:
        _require_length("Activations", {"values": self.values.shape[0]}, len(self.cell_ids), "cells")

    @property
    def n_concepts(self) -> int:
        """Number of concepts in the dictionary."""
        return int(self.values.shape[1])

    def of(self, concept: int) -> Float[np.ndarray, " cells"]:
        """Return the activation of one concept in every cell."""
        return np.asarray(self.values[:, [concept]].todense()).ravel()

    def frequency(self) -> Float[np.ndarray, " concepts"]:
        """Return the share of cells that activate each concept."""
        active = np.bincount(self.values.indices[self.values.data > 0], minlength=self.n_concepts)
        return active / max(len(self.cell_ids), 1)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per cell and active concept: ``cell, concept, activation``."""
        coo = self.values.tocoo()
        return pd.DataFrame(
            {"cell": self.cell_ids[coo.row], "concept": coo.col.astype(np.int64), "activation": coo.data}
        )


@dataclass(frozen=True, eq=False)
class Edits:
    """Edited cells: for each edit the cell it starts from and a sparse row of new values.

    One form serves substitution and masking, of one gene or of many. Edit `e` sets the genes
    ``genes[indptr[e]:indptr[e + 1]]`` of cell ``cells[e]`` to ``values[indptr[e]:indptr[e + 1]]``.
    """

    cells: Int[np.ndarray, " edits"]
    """Row positions in the cells the edits refer to."""
    indptr: Int[np.ndarray, " edits_plus_one"]
    genes: Int[np.ndarray, " changes"]
    """Column positions in the AnnData."""
    values: Float[np.ndarray, " changes"]
    """New values, in the units the encoder reads (raw counts unless it says otherwise)."""

    def __post_init__(self) -> None:
        _require_length("Edits", {"indptr": len(self.indptr) - 1}, len(self.cells), "edits")
        _require_length("Edits", {"values": len(self.values)}, len(self.genes), "changes")

    def __len__(self) -> int:
        return len(self.cells)

    def take(self, positions: Int[np.ndarray, " some"]) -> Edits:
        """Take some of the edits, in the order given."""
        lengths = np.diff(self.indptr)[positions]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        changes = np.arange(indptr[-1]) + np.repeat(self.indptr[positions] - indptr[:-1], lengths)
        return Edits(self.cells[positions], indptr, self.genes[changes], self.values[changes])

    @classmethod
    def joined(cls, parts: Sequence[Edits]) -> Edits:
        """Put edits one after the other."""
        cells, genes, values = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("cells", "genes", "values")
        )
        ends, stop = [np.zeros(1, dtype=np.int64)], 0
        for part in parts:
            ends.append(part.indptr[1:] + stop)
            stop += part.indptr[-1]
        return cls(cells, np.concatenate(ends), genes, values)

    @classmethod
    def single(
        cls,
        cells: Int[np.ndarray, " edits"],
        genes: Int[np.ndarray, " edits"],
        values: Float[np.ndarray, " edits"],
    ) -> Edits:
        """Build edits of one gene each."""
        return cls(cells, np.arange(len(cells) + 1), genes, values)

    @classmethod
    def noop(cls, n_cells: int) -> Edits:
        """Build one edit per cell that changes nothing."""
        empty = np.zeros(0)
        return cls(np.arange(n_cells), np.zeros(n_cells + 1, dtype=np.int64), empty.astype(np.int64), empty)


@dataclass(frozen=True, eq=False)
class HiddenLayer:
    """An encoder with one hidden layer, as far as edits move it, for some cells.

    ``z = relu(first) @ readout + constant``, and an edit of gene g adds
    ``(f(new value) - f(old value)) * by_gene[column[g]]`` to the cell's row of `first`, with f the log1p or
    the identity.
    """

    first: Float[np.ndarray, "cells hidden"]
    """Input of the ReLU, float64."""
    by_gene: Float[np.ndarray, "model_genes hidden"]
    column: Int[np.ndarray, " genes"]
    """Row of `by_gene` for each column of the AnnData; -1 where the encoder does not read it."""
    readout: Float[np.ndarray, "hidden d_embed"]
    constant: Float[np.ndarray, " d_embed"]
    log1p: bool


@dataclass(frozen=True, eq=False)
class ConceptRule:
    """How a concept's activation follows from affine pre-activations ``p = z @ weights.T + biases``.

    The activation is the concept's own pre-activation where that exceeds `threshold` and, with a `k`, fewer
    than k other concepts are stronger (of equal ones those of lower index); elsewhere it is 0.
    """

    weights: Float[np.ndarray, "concepts d_embed"]
    """Of an embedding in original units, float64."""
    biases: Float[np.ndarray, " concepts"]
    threshold: float
    k: int | None


@dataclass(frozen=True, eq=False)
class Pairs:
    """Factual cells and their counterfactuals, one entry per pair, ordered by concept then pair."""

    concept: Int[np.ndarray, " pairs"]
    pair: Int[np.ndarray, " pairs"]
    """Number of the factual within its concept; several counterfactuals of one factual share it."""
    factual: Int[np.ndarray, " pairs"]
    """Row position in `cell_ids`."""
    counterfactual: Int[np.ndarray, " pairs"]
    """Row position in `cell_ids`."""
    activation: Float[np.ndarray, " pairs"]
    """Activation of the concept in the factual."""
    distance: Float[np.ndarray, " pairs"]
    """Euclidean, in the dictionary's scaled embedding."""
    distance_percentile: Float[np.ndarray, " pairs"]
    """Percentile (0-100) of the distance among distances of random pairs of cells."""
    library_ratio: Float[np.ndarray, " pairs"]
    """Library size of the factual / that of the counterfactual; NaN when no library size was given."""
    matched: np.ndarray
    """Comma-separated names of the obs columns on which both cells agree."""
    cell_ids: Names
    dictionary_id: str
    not_attributable: Mapping[int, str] = field(default_factory=dict)
    """Concepts without enough pairs, and why."""
    n_dropped: Mapping[int, int] = field(default_factory=dict)
    """Factuals dropped for lack of an admissible counterfactual, per concept."""
    null: Pairs | None = None
    """Null pairs: both cells active, distances and library ratios matched to the real pairs."""

    def __post_init__(self) -> None:
        columns = ("pair", "factual", "counterfactual", "activation", "distance", "distance_percentile")
        lengths = {name: len(getattr(self, name)) for name in (*columns, "library_ratio", "matched")}
        _require_length("Pairs", lengths, len(self.concept), "pairs")

    def __len__(self) -> int:
        return len(self.concept)

    def take(self, rows: Bool[np.ndarray, " pairs"] | Int[np.ndarray, " some"]) -> Pairs:
        """Take some of the pairs, with neither null pairs nor notes on concepts."""
        columns = ("concept", "pair", "factual", "counterfactual", "activation", "distance")
        others = ("distance_percentile", "library_ratio", "matched")
        taken = {name: getattr(self, name)[rows] for name in (*columns, *others)}
        return Pairs(**taken, cell_ids=self.cell_ids, dictionary_id=self.dictionary_id)

    def of(self, concept: int) -> Pairs:
        """Take the pairs of one concept, without null pairs.

        Parameters
        ----------
        concept
            The concept.

        Raises
        ------
        InputError
            If it has none; the message says why.
        """
        if concept not in self.concept:
            reason = self.not_attributable.get(concept, "it was not paired")
            msg = f"Concept {concept} has no pairs: {reason}. Ask for one of those in pairs.concept."
            raise InputError(msg)
        return self.take(self.concept == concept)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per pair, with cell ids in place of positions."""
        return pd.DataFrame(
            {
                "concept": self.concept,
                "pair": self.pair,
                "factual": self.cell_ids[self.factual],
                "counterfactual": self.cell_ids[self.counterfactual],
                "activation": self.activation,
                "distance": self.distance,
                "distance_percentile": self.distance_percentile,
                "library_ratio": self.library_ratio,
                "matched": self.matched,
            }
        )


@dataclass(frozen=True, eq=False)
class Effects:
    """Effects of single-gene edits for one concept: factual minus edited, positive = the gene supports it."""

    concept: int
    act: Float[np.ndarray, "pairs genes"]
    """Change of the activation, TopK recomputed; 0 where values were equal, NaN for unknown genes."""
    pre: Float[np.ndarray, "pairs genes"]
    """Change of the pre-activation."""
    differs: Bool[np.ndarray, "pairs genes"]
    """Whether the edit changed the gene's value in that pair."""
    activation: Float[np.ndarray, " pairs"]
    """Unedited activation of the cell that was edited."""
    cluster: Int[np.ndarray, " pairs"]
    """Pairs that edit one cell or share a counterfactual, directly or by a chain, share a cluster."""
    factual: Int[np.ndarray, " pairs"]
    """Identity of the factual, for averaging over its counterfactuals and for the bootstrap."""
    exact: Bool[np.ndarray, "pairs genes"] | None = None
    """With a prescreen: whether the effect was measured; else it was estimated."""
    recall: Float[np.ndarray, " 3"] | None = None
    """With a prescreen: see `Attributions.recall`."""

    def to_frame(self) -> pd.DataFrame:
        """Return one row per pair and gene: ``pair`` (number of the factual), ``gene`` (column position)."""
        n_pairs, n_genes = self.act.shape
        return pd.DataFrame(
            {
                "pair": np.repeat(self.factual, n_genes),
                "gene": np.tile(np.arange(n_genes), n_pairs),
                "act": self.act.ravel(),
                "pre": self.pre.ravel(),
                "differs": self.differs.ravel(),
            }
        )
