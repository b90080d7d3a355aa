"""What is edited in which cells: the interventions, each as a list of edits for the pairs of one concept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from conceptome.core import Csr, Edits, Pairs
from conceptome.counterfactuals.clusters import cluster_labels

Intervention: TypeAlias = Literal["substitute", "insert", "mask", "mean", "gene_set"]

NEEDS_COUNTERFACTUAL = frozenset({"substitute", "insert", "gene_set"})


@dataclass(frozen=True, eq=False)
class Plan:
    """Edits of the pairs of one concept."""

    rows: Int[np.ndarray, " rows"]
    """Which of the pairs; those without a counterfactual take each factual once."""
    factual: Int[np.ndarray, " rows"]
    """Position of the factual among the cells."""
    edited: Int[np.ndarray, " rows"]
    """Position of the cell that is edited: the factual, or with ``"insert"`` the counterfactual."""
    edits: Edits
    """One edit per True of `differs`, in row-major order."""
    differs: Bool[np.ndarray, "rows units"]
    """Whether a gene (or set of genes) changes something."""
    cluster: Int[np.ndarray, " rows"]

    @property
    def sign(self) -> int:
        """1 if an edit takes support away from the factual, -1 if it gives support to the counterfactual."""
        return -1 if (self.edited != self.factual).any() else 1


@dataclass(frozen=True, eq=False)
class Planner:
    """Makes the edits of one kind of intervention."""

    intervention: Intervention
    known: Bool[np.ndarray, " genes"]
    """Genes the encoder reads; the others are never edited."""
    means: Mapping[int, Float[np.ndarray, " genes"]]
    """For ``"mean"``: by concept, what its inactive cells hold on average."""
    sets: tuple[Int[np.ndarray, " _"], ...] = ()
    """For ``"gene_set"``: the genes of each set."""

    @property
    def measured(self) -> Bool[np.ndarray, " units"]:
        """Which genes, or sets, the encoder reads at all."""
        if self.intervention == "gene_set":
            return np.array([self.known[members].any() for members in self.sets], dtype=bool)
        return self.known

    def plan(
        self,
        pairs: Pairs,
        expression: Csr,
        *,
        factual: Int[np.ndarray, " pairs"],
        counterfactual: Int[np.ndarray, " pairs"],
    ) -> Plan:
        """List the edits of the pairs of one concept.

        Parameters
        ----------
        pairs
            Pairs of one concept.
        expression
            What the encoder reads of some cells.
        factual, counterfactual
            Where the cells of each pair are among them.

        Returns
        -------
        The edits.
        """
        if self.intervention in NEEDS_COUNTERFACTUAL:
            rows = np.arange(len(pairs))
            cluster = cluster_labels(factual, counterfactual)
        else:
            rows = np.unique(pairs.pair, return_index=True)[1]
            cluster = cluster_labels(factual[rows], factual[rows])
        edited, lender = factual[rows], counterfactual[rows]
        if self.intervention == "insert":
            edited, lender = lender, edited
        values = expression[edited].toarray()
        new = self._new(values.shape, expression, lender, pairs)
        differs = (values != new) & self.known
        if self.intervention == "gene_set":
            differs, edits = self._by_set(edited, new, differs)
        else:
            row, gene = np.nonzero(differs)
            edits = Edits.single(edited[row], gene, np.asarray(new[row, gene]))
        return Plan(rows, factual[rows], edited, edits, differs, cluster)

    def _new(
        self, shape: tuple[int, ...], expression: Csr, lender: Int[np.ndarray, " rows"], pairs: Pairs
    ) -> Float[np.ndarray, "rows genes"]:
        if self.intervention in NEEDS_COUNTERFACTUAL:
            return np.asarray(expression[lender].toarray())
        new = self.means[int(pairs.concept[0])] if self.intervention == "mean" else np.zeros(shape[1])
        return np.broadcast_to(new, shape)

    def _by_set(
        self,
        edited: Int[np.ndarray, " rows"],
        new: Float[np.ndarray, "rows genes"],
        differs: Bool[np.ndarray, "rows genes"],
    ) -> tuple[Bool[np.ndarray, "rows sets"], Edits]:
        """Edit all genes of a set that differ, together."""
        lengths = np.column_stack([differs[:, members].sum(axis=1) for members in self.sets])
        genes = [members[differs[row, members]] for row in range(len(edited)) for members in self.sets]
        flat = np.concatenate([np.zeros(0, dtype=np.int64), *genes])
        row_of_change = np.repeat(np.arange(len(edited)), lengths.sum(axis=1))
        any_differs = lengths > 0
        indptr = np.concatenate([[0], np.cumsum(lengths[any_differs])])
        cells = edited[np.nonzero(any_differs)[0]]
        return any_differs, Edits(cells, indptr, flat, new[row_of_change, flat])
