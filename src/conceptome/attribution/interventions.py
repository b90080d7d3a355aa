"""What is edited in which cells: the interventions, each as a list of edits for the pairs of one concept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int, Shaped

from conceptome.attribution.listing import differences
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
    """One for each gene (or set of genes) that changes something in a row; row by row, genes ascending."""
    row: Int[np.ndarray, " edits"]
    unit: Int[np.ndarray, " edits"]
    """Gene, or set of genes, of each edit."""
    n_units: int
    cluster: Int[np.ndarray, " rows"]

    @cached_property
    def differs(self) -> Bool[np.ndarray, "rows units"]:
        """Whether a gene (or set of genes) changes something."""
        return self.spread(np.ones(len(self.edits), dtype=bool))

    def spread(self, values: Shaped[np.ndarray, " edits"]) -> Shaped[np.ndarray, "rows units"]:
        """Put one value per edit into a matrix of rows and units, 0 elsewhere."""
        matrix = np.zeros((len(self.rows), self.n_units), dtype=values.dtype)
        matrix[self.row, self.unit] = values
        return matrix

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
        if self.intervention == "mean":
            indptr, gene, value = self._towards_mean(expression[edited], int(pairs.concept[0]))
        else:
            lent = lender if self.intervention in NEEDS_COUNTERFACTUAL else None
            indptr, gene, value = differences(expression, edited, lent, self.known)
        row = np.repeat(np.arange(len(rows)), np.diff(indptr))
        edits, n_units = Edits.single(edited[row], gene, value), expression.shape[1]
        if self.intervention == "gene_set":
            row, gene, edits = self._by_set(edited, row, edits, n_genes=n_units)
            n_units = len(self.sets)
        return Plan(rows, factual[rows], edited, edits, row, gene, n_units, cluster)

    def _towards_mean(
        self, expression: Csr, concept: int
    ) -> tuple[Int[np.ndarray, " rows_plus_one"], Int[np.ndarray, " some"], Float[np.ndarray, " some"]]:
        """List what differs from the mean of the cells in which the concept is inactive."""
        mean = self.means[concept]
        differs = (expression.toarray() != mean) & self.known
        gene = np.nonzero(differs)[1]
        return np.concatenate([[0], np.cumsum(differs.sum(axis=1))]), gene, np.asarray(mean[gene])

    def _by_set(
        self, edited: Int[np.ndarray, " rows"], row: Int[np.ndarray, " edits"], edits: Edits, *, n_genes: int
    ) -> tuple[Int[np.ndarray, " sets"], Int[np.ndarray, " sets"], Edits]:
        """Edit all genes of a set that differ, together; return row and set of each edit, and the edits."""
        shape = (len(edited), n_genes)
        place = sp.csr_array((np.arange(1, len(row) + 1), (row, edits.genes)), shape=shape)
        chosen = [place[:, members] for members in self.sets]
        lengths = np.column_stack([np.diff(part.indptr) for part in chosen])
        own, chosen_set = np.nonzero(lengths)
        changes = [
            part.data[part.indptr[r] : part.indptr[r + 1]] for r in range(len(edited)) for part in chosen
        ]
        at = np.concatenate([np.zeros(0, dtype=np.int64), *changes]) - 1
        indptr = np.concatenate([[0], np.cumsum(lengths[own, chosen_set])])
        together = Edits(edited[own], indptr, edits.genes[at], edits.values[at])
        return own, chosen_set, together
