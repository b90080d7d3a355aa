"""What is scored and what is tested: gene scores, and the terms' genes among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from conceptome.core import Attributions, DifferentialExpression, InputError
from conceptome.enrichment.gene_sets import GeneSets

PerGene = pd.Series | Sequence[object] | np.ndarray


@dataclass(frozen=True, eq=False)
class GeneScores:
    """Scores with genes in the order of their names, so that ties never follow the input's order."""

    values: Float[np.ndarray, "concepts genes"]
    concepts: Shaped[np.ndarray, " concepts"]
    genes: pd.Index
    symbols: Shaped[np.ndarray, " genes"]
    """Name by which terms know each gene; empty if there is none."""

    @classmethod
    def of(
        cls,
        scores: Attributions | DifferentialExpression | pd.DataFrame,
        gene_names: PerGene | None = None,
    ) -> GeneScores:
        """Check scores and bring the genes into the order of their names.

        Parameters
        ----------
        scores
            A record or a table, concepts x genes.
        gene_names
            Symbol of each gene; by default the gene's own name.

        Returns
        -------
        The scores, NaN kept.

        Raises
        ------
        InputError
            If concepts or genes are repeated, a score is infinite or no number, or `gene_names` does not fit.
        """
        frame = scores if isinstance(scores, pd.DataFrame) else scores.scores()
        for axis, labels in (("concepts", frame.index), ("genes", frame.columns)):
            repeated = list(labels[labels.duplicated()].unique()[:5])
            if repeated:
                msg = f"The scores repeat the {axis} {repeated}; expected each once. Make the names unique."
                raise InputError(msg)
        values = _numbers(frame)
        symbols = pd.Series(frame.columns.astype(str), index=frame.columns)
        if gene_names is not None:
            symbols = per_gene(gene_names, frame.columns, what="gene_names").fillna("").astype(str)
        order = np.argsort(frame.columns.astype(str), kind="stable")
        return cls(
            np.ascontiguousarray(values[:, order]),
            frame.index.to_numpy(),
            frame.columns[order],
            symbols.to_numpy(dtype=object)[order],
        )

    def universes(self) -> Iterator[tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " columns"]]]:
        """Group the concepts that have scores for the same genes; concepts without any score are left out.

        Yields
        ------
        Rows and columns of `values` that hold a complete block.
        """
        measured = ~np.isnan(self.values)
        patterns, group = np.unique(np.packbits(measured, axis=1), axis=0, return_inverse=True)
        for pattern in range(len(patterns)):
            rows = np.flatnonzero(group.ravel() == pattern)
            columns = np.flatnonzero(measured[rows[0]])
            if len(columns):
                yield rows, columns


@dataclass(frozen=True, eq=False)
class Terms:
    """The testable terms over one universe; sequences run parallel."""

    labels: pd.DataFrame
    """``collection, term, name, size, overlap``."""
    genes: tuple[Int[np.ndarray, " hits"], ...]
    """Positions in the universe."""

    @classmethod
    def of(
        cls,
        collections: Sequence[GeneSets],
        symbols: Shaped[np.ndarray, " genes"],
        *,
        min_size: int,
        max_size: int,
    ) -> Terms:
        """Intersect terms with a universe and keep those of an admissible size.

        Parameters
        ----------
        collections
            Where the terms come from.
        symbols
            Name of each gene in the universe; genes of one name all belong to its terms.
        min_size, max_size
            Smallest and largest number of the universe's genes in a term; a term never holds all of them.

        Returns
        -------
        The terms to test, in the order given.
        """
        positions = pd.Series(np.arange(len(symbols))).groupby(symbols).apply(np.array).to_dict()
        labels, genes = [], []
        for sets in collections:
            for term, name, members in zip(sets.terms, sets.names, sets.members, strict=True):
                present = [positions[gene] for gene in members if gene in positions]
                size = sum(map(len, present))
                if min_size <= size <= min(max_size, len(symbols) - 1):
                    labels.append((sets.collection, term, name, size, len(present) / len(members)))
                    genes.append(np.concatenate(present))
        columns = ["collection", "term", "name", "size", "overlap"]
        return cls(pd.DataFrame(labels, columns=columns), tuple(genes))

    def by_size(self) -> dict[int, Int[np.ndarray, " terms"]]:
        """Return the positions of the terms of each size."""
        groups = self.labels.groupby("size", sort=True).indices
        return {int(size): np.asarray(at) for size, at in groups.items()}

    def positions(self, terms: Int[np.ndarray, " terms"]) -> Int[np.ndarray, "hits terms"]:
        """Return the genes of terms of one size."""
        return np.stack([self.genes[term] for term in terms], axis=1)


def per_gene(values: PerGene, genes: pd.Index, *, what: str) -> pd.Series:
    """Align one value per gene with the scores' genes.

    Parameters
    ----------
    values
        A Series indexed by gene, or a sequence in the order of `genes`.
    genes
        Names of the scored genes.
    what
        Name of the argument, for messages.

    Returns
    -------
    The values, indexed by `genes`.

    Raises
    ------
    InputError
        If genes are missing or the length is wrong.
    """
    if isinstance(values, pd.Series):
        missing = genes.difference(values.index)
        if len(missing):
            msg = (
                f"{what} lacks {len(missing)} of the {len(genes)} scored genes, such as {list(missing[:3])}. "
                "Give a Series with an entry for every gene, or a sequence in the order of the scores' genes."
            )
            raise InputError(msg)
        return values.loc[genes]
    if len(values) != len(genes):
        msg = (
            f"{what} has {len(values)} entries, the scores have {len(genes)} genes. Give one entry per gene."
        )
        raise InputError(msg)
    return pd.Series(values, index=genes)


def as_collections(gene_sets: GeneSets | Sequence[GeneSets] | Mapping[str, Sequence[str]]) -> list[GeneSets]:
    """Bring every accepted form of gene sets into a list of collections.

    Parameters
    ----------
    gene_sets
        One collection, several of different names, or a dict of gene lists.

    Returns
    -------
    The collections.

    Raises
    ------
    InputError
        If there is none, or two have one name.
    """
    if isinstance(gene_sets, GeneSets):
        return [gene_sets]
    if isinstance(gene_sets, Mapping):
        return [GeneSets.from_mapping(gene_sets)]
    names = [sets.collection for sets in gene_sets]
    if not names or len(set(names)) < len(names):
        msg = f"Found the gene-set collections {names}; expected at least one, each with a name of its own."
        raise InputError(msg)
    return list(gene_sets)


def _numbers(frame: pd.DataFrame) -> Float[np.ndarray, "concepts genes"]:
    try:
        values = frame.to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        msg = "The scores hold values that are no numbers; expected concepts x genes of floats. Drop other columns."
        raise InputError(msg) from None
    if np.isinf(values).any():
        msg = (
            f"The scores hold {np.isinf(values).sum()} infinite values; expected finite ones, NaN where not measured. "
            "Clip them or rank by another statistic."
        )
        raise InputError(msg)
    return values
