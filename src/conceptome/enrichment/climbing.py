"""One concept's way through the ontology from the deepest terms upwards, in two manners [Alexa06]."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from conceptome.core import Csr
from conceptome.enrichment.conditional_tests import ConditionalTest
from conceptome.enrichment.ontology import Ontology


@dataclass(frozen=True, eq=False)
class Graph:
    """The tested terms in the ontology."""

    level: Int[np.ndarray, " terms"]
    """Steps from the root; -1 = outside the ontology."""
    above: Csr
    """Tested terms x tested terms: True where the column's stands above the row's."""
    below: Csr
    """The same, transposed and without the terms that have another tested one in between."""

    @classmethod
    def of(cls, positions: Int[np.ndarray, " terms"], ontology: Ontology) -> Graph:
        """Restrict an ontology to some terms.

        Parameters
        ----------
        positions
            Where each stands in the ontology; -1 = nowhere.
        ontology
            The ontology.
        """
        inside = np.where(positions >= 0, positions, 0)
        level = np.where(positions >= 0, ontology.levels[inside], -1)
        every = ontology.ancestors[inside][:, inside].tocoo()
        every.data &= (level[every.row] > level[every.col]) & (level[every.col] >= 0)
        every.eliminate_zeros()
        above = every.tocsr()
        indirect = (above @ above).astype(bool)
        return cls(level, above, (above > indirect).T.tocsr())

    def above_of(self, term: int) -> list[int]:
        """Return the tested terms above one."""
        return _columns(self.above, term)

    def below_of(self, term: int) -> list[int]:
        """Return the tested terms right below one."""
        return _columns(self.below, term)


def _columns(matrix: Csr, row: int) -> list[int]:
    return sorted(matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]].tolist())


class Elim:
    """Take the genes of a significant term away from all terms above it.

    Parameters
    ----------
    test
        The test of sets in this concept.
    genes
        Positions of each term's genes.
    graph
        The terms.
    p, nes
        Of the terms with all their genes; overwritten with what remains.
    """

    def __init__(
        self,
        test: ConditionalTest,
        genes: Sequence[Int[np.ndarray, " _hits"]],
        graph: Graph,
        p: Float[np.ndarray, " terms"],
        nes: Float[np.ndarray, " terms"],
    ) -> None:
        self.test, self.graph, self.p, self.nes = test, graph, p, nes
        self.size = np.array([len(term) for term in genes])
        self.genes = list(genes)
        self.explained_by: dict[int, list[int]] = defaultdict(list)

    @property
    def n_removed(self) -> Float[np.ndarray, " terms"]:
        """How many genes each term lost."""
        return np.asarray(self.size - np.array([len(term) for term in self.genes]), dtype=np.float64)

    def climb(self, level: Int[np.ndarray, " terms"], alpha: float) -> None:
        """Test one level's terms that lost genes; take the genes of significant terms from those above.

        Parameters
        ----------
        level
            The terms of one level, all below them done.
        alpha
            A term is significant where p is at most this.
        """
        touched = [term for term in level if len(self.genes[term]) < self.size[term]]
        self.p[touched], self.nes[touched] = self.test.of_sets([self.genes[term] for term in touched])
        for term in level[self.p[level] <= alpha]:
            for general in self.graph.above_of(int(term)):
                kept = np.setdiff1d(self.genes[general], self.genes[term], assume_unique=True)
                if len(kept) < len(self.genes[general]):
                    self.genes[general] = kept
                    self.explained_by[general].append(int(term))


class Weight:
    """Let the genes of a significant term count less in less significant terms above it.

    The ratio of the logarithms of p is the factor. In the original, genes of a term less significant than
    the one above count less in that term itself, too; in a running sum that would change nothing, for all of
    them do alike.

    Parameters
    ----------
    test, genes, graph, p, nes
        As for `Elim`.
    """

    def __init__(
        self,
        test: ConditionalTest,
        genes: Sequence[Int[np.ndarray, " _hits"]],
        graph: Graph,
        p: Float[np.ndarray, " terms"],
        nes: Float[np.ndarray, " terms"],
    ) -> None:
        self.test, self.graph, self.p, self.nes = test, graph, p, nes
        self.genes = genes
        self.shares = [np.ones(len(term)) for term in genes]
        self.explained_by: dict[int, list[int]] = defaultdict(list)

    @property
    def n_removed(self) -> Float[np.ndarray, " terms"]:
        """How many genes each term lost, in parts."""
        return np.array([len(shares) - shares.sum() for shares in self.shares])

    def climb(self, level: Int[np.ndarray, " terms"], alpha: float) -> None:
        """Compare one level's terms with those right below them, and pass on what counts less.

        Parameters
        ----------
        level
            The terms of one level, all below them done.
        alpha
            A term below is significant where p is at most this.
        """
        for term in map(int, level):
            if term in self.explained_by:
                self._test(term)
            waiting = [below for below in self.graph.below_of(term) if self.p[below] <= alpha]
            while stronger := [below for below in waiting if self.p[below] < self.p[term]]:
                for below in stronger:
                    self._outweigh(term, below)
                self._test(term)
                waiting = [below for below in waiting if below not in stronger]

    def _outweigh(self, term: int, below: int) -> None:
        factor = np.log(self.p[term]) / np.log(self.p[below])
        for general in (term, *self.graph.above_of(term)):
            self.shares[general][np.isin(self.genes[general], self.genes[below])] *= factor
            self.explained_by[general].append(below)

    def _test(self, term: int) -> None:
        self.p[term], self.nes[term] = self.test.of_shares(self.genes[term], self.shares[term])


def climb_to_the_root(way: Elim | Weight, alpha: float) -> None:
    """Go through all levels, the deepest first.

    Parameters
    ----------
    way
        Where to go from; changed.
    alpha
        A term is significant where p is at most this.
    """
    levels = way.graph.level
    for level in np.unique(levels[levels >= 0])[::-1]:
        way.climb(np.flatnonzero(levels == level), alpha)
