"""What is scored and what is tested: gene scores, and the terms' genes among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from conceptome.core import InputError
from conceptome.enrichment.flags import flag_of, gene_kinds
from conceptome.enrichment.gene_sets import GeneSets

PerGene = pd.Series | Sequence[object] | np.ndarray


@dataclass(frozen=True, eq=False)
class GeneScores:
    """Scores with genes in the order of their names, so that ties never follow the input's order."""

    values: Float[np.ndarray, "concepts genes"]
    concepts: Shaped[np.ndarray, " concepts"]
    genes: Shaped[np.ndarray, " genes"]
    symbols: Shaped[np.ndarray, " genes"]
    """Name by which terms know each gene; empty if there is none."""
    expression: Float[np.ndarray, " genes"] | None = None
    """Mean expression of each gene."""

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        *,
        gene_names: PerGene | None = None,
        expression: PerGene | None = None,
    ) -> GeneScores:
        """Check scores and bring the genes into the order of their names.

        Parameters
        ----------
        frame
            Concepts x genes.
        gene_names
            Symbol of each gene; by default the gene's own name.
        expression
            Mean expression of each gene.

        Returns
        -------
        The scores, NaN kept.

        Raises
        ------
        InputError
            If concepts or genes are repeated, a score is infinite or no number, or a gene's value is missing.
        """
        for axis, labels in (("concepts", frame.index), ("genes", frame.columns)):
            repeated = list(labels[labels.duplicated()].unique()[:5])
            if repeated:
                msg = f"The scores repeat the {axis} {repeated}; expected each once. Make the names unique."
                raise InputError(msg)
        own_names = frame.columns.astype(str)
        order = np.argsort(own_names.to_numpy(dtype=object), kind="stable")
        names = own_names if gene_names is None else _per_gene(gene_names, frame.columns, what="gene_names")
        symbols = pd.Series(np.asarray(names, dtype=object)).fillna("").astype(str).to_numpy(dtype=object)
        means = None
        if expression is not None:
            means = _mean_expression(_per_gene(expression, frame.columns, what="expression"))[order]
        genes = frame.columns.to_numpy()[order]
        return cls(_scores(frame)[:, order], frame.index.to_numpy(), genes, symbols[order], means)

    def some(self, concepts: slice) -> GeneScores:
        """Return the scores of some concepts.

        Parameters
        ----------
        concepts
            Which.
        """
        return replace(self, values=self.values[concepts], concepts=self.concepts[concepts])

    def universes(self) -> Iterator[GeneScores]:
        """Group the concepts that have scores for the same genes; concepts without any score are left out.

        Yields
        ------
        Complete scores: some of the concepts and the genes that have scores in them.
        """
        measured = ~np.isnan(self.values)
        patterns, group = np.unique(np.packbits(measured, axis=1), axis=0, return_inverse=True)
        for pattern in range(len(patterns)):
            rows = np.flatnonzero(group.ravel() == pattern)
            columns = np.flatnonzero(measured[rows[0]])
            if len(columns):
                yield GeneScores(
                    self.values[np.ix_(rows, columns)],
                    self.concepts[rows],
                    self.genes[columns],
                    self.symbols[columns],
                    None if self.expression is None else self.expression[columns],
                )


@dataclass(frozen=True, eq=False)
class Sets:
    """Sets of genes of one universe; sequences run parallel."""

    genes: list[Int[np.ndarray, " _hits"]]
    """Positions of each set's genes in the universe."""
    weights: list[Float[np.ndarray, " _hits"]]
    """Weight of each of them; 1 where the collection gives none."""

    @staticmethod
    def joined(parts: Sequence[Sets]) -> Sets:
        """Put sets one after the other."""
        return Sets(
            [genes for part in parts for genes in part.genes],
            [weights for part in parts for weights in part.weights],
        )

    def subset(self, chosen: Int[np.ndarray, " _sets"]) -> Sets:
        """Take some of the sets."""
        return Sets([self.genes[at] for at in chosen], [self.weights[at] for at in chosen])


@dataclass(frozen=True, eq=False)
class Terms(Sets):
    """The testable terms over one universe."""

    labels: pd.DataFrame
    """``collection, term, name, size, overlap, flag``."""

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
        positions, kinds = _positions(symbols), gene_kinds(symbols)
        labels, genes, weights = [], [], []
        for sets in collections:
            weighted = sets.weights or [(1.0,) * len(members) for members in sets.members]
            rows = zip(sets.terms, sets.names, sets.members, weighted, strict=True)
            for term, name, members, weight_of in rows:
                known = [at for at, gene in enumerate(members) if gene in positions]
                present = [positions[members[at]] for at in known]
                size = sum(map(len, present))
                if min_size <= size <= min(max_size, len(symbols) - 1):
                    genes.append(np.concatenate(present))
                    flag = flag_of(kinds[genes[-1]])
                    labels.append((sets.collection, term, name, size, len(present) / len(members), flag))
                    given = [weight_of[at] for at in known]
                    weights.append(np.repeat(given, [len(some) for some in present]))
        columns = ["collection", "term", "name", "size", "overlap", "flag"]
        return cls(genes, weights, pd.DataFrame(labels, columns=columns))


def _positions(symbols: Shaped[np.ndarray, " genes"]) -> dict[str, Int[np.ndarray, " _genes"]]:
    """Find where each name stands; genes without a name belong to no term."""
    order = np.argsort(symbols, kind="stable")
    names, first = np.unique(symbols[order], return_index=True)
    found = dict(zip(names.tolist(), np.split(order, first[1:]), strict=True))
    found.pop("", None)
    return found


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


def _per_gene(values: PerGene, genes: pd.Index, *, what: str) -> Shaped[np.ndarray, " genes"]:
    if isinstance(values, pd.Series):
        missing = genes.difference(values.index)
        if len(missing):
            msg = (
                f"{what} lacks {len(missing)} of the {len(genes)} scored genes, such as {list(missing[:3])}. "
                "Give a Series with an entry for every gene, or a sequence in the order of the scores' genes."
            )
            raise InputError(msg)
        return values.loc[genes].to_numpy()
    if len(values) != len(genes):
        msg = f"{what} has {len(values)} entries for {len(genes)} scored genes. Give one entry per gene."
        raise InputError(msg)
    return np.asarray(values)


def _scores(frame: pd.DataFrame) -> Float[np.ndarray, "concepts genes"]:
    try:
        values = frame.to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        msg = "The scores hold entries that are no numbers; expected concepts x genes of floats."
        raise InputError(msg) from None
    n_infinite = np.isinf(values).sum()
    if n_infinite:
        msg = (
            f"The scores hold {n_infinite} infinite values; expected finite ones, NaN where a gene was not "
            "measured. Clip them or rank by another statistic."
        )
        raise InputError(msg)
    return values


def _mean_expression(values: np.ndarray) -> Float[np.ndarray, " genes"]:
    means = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(dtype=np.float64)
    n_bad = (~np.isfinite(means)).sum()
    if n_bad:
        msg = f"expression is no finite number for {n_bad} of {len(means)} genes; give means over all cells."
        raise InputError(msg)
    return means
