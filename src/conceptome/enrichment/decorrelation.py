"""Which terms stand on genes of their own: `elim` [Alexa06], on top of preranked enrichment.

Every gene of a term belongs to the terms above it as well, so that one finding deep in the ontology pulls a
whole path of general terms along. From the deepest level upwards, the genes of a significant term are taken
away from all terms above it before these are tested. What remains significant does so without them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from tqdm.auto import tqdm

from conceptome.core import Attributions, Csr, DifferentialExpression, InputError, Ranking
from conceptome.enrichment.engine import Tests, rank_blocks, run_tests
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.ontology import Ontology
from conceptome.enrichment.preranked import Options, gene_scores
from conceptome.enrichment.propagation import mapped_positions
from conceptome.enrichment.term_matching import match_terms
from conceptome.enrichment.universe import GeneScores, PerGene, Terms, as_collections


def elim(  # noqa: PLR0913 - the options of `gsea`, and those of its own
    scores: Attributions | DifferentialExpression | pd.DataFrame,
    gene_sets: GeneSets | Sequence[GeneSets] | Mapping[str, Sequence[str]],
    ontology: Ontology,
    *,
    elim_alpha: float = 0.01,
    min_size: int = 10,
    max_size: int = 500,
    n_permutations: int = 1000,
    rank_by: Ranking = "z",
    gene_names: PerGene | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Test every term in every concept without the genes of significant terms below it [Alexa06].

    Parameters
    ----------
    scores, gene_sets
        As for `gsea`. The sets should follow the true-path rule, see `propagate`.
    ontology
        The ontology that the sets' terms belong to. Sets it does not know are tested as they are.
    elim_alpha
        A term whose p is at most this takes its genes away from all terms above it. This p is not corrected.
    min_size, max_size, n_permutations, rank_by, gene_names, seed
        As for `gsea`.

    Returns
    -------
    One row per tested concept and term, within a concept by ascending conditional p:
    ``concept, collection, term, name, level, size, nes, p`` as `gsea` finds them (`level` counts steps from
    the root, -1 outside the ontology), ``n_removed, nes_conditional, p_conditional``, NaN where fewer than
    `min_size` genes were left, and ``explained_by``, the terms whose genes were taken away. A conditional p
    depends on what was found below, so it is not to be corrected as if tests were independent.

    Raises
    ------
    InputError
        If `elim_alpha` is no probability, `gsea` refuses the input, or the ontology knows none of the terms.
    """
    if not 0 < elim_alpha < 1:
        msg = f"elim_alpha is {elim_alpha}, expected a number between 0 and 1, such as 0.01."
        raise InputError(msg)
    options = Options(min_size, max_size, n_permutations, seed)
    collections = as_collections(gene_sets)
    table = GeneScores.of(gene_scores(scores, rank_by), gene_names=gene_names)
    known = {sets.collection: _positions(sets, ontology) for sets in collections}
    frames = []
    for universe in table.universes():
        terms = Terms.of(collections, universe.symbols, min_size=min_size, max_size=max_size)
        if terms.genes:
            frames.append(_eliminate(universe, terms, _Graph.of(terms, known, ontology), options, elim_alpha))
    if not frames:
        names = ", ".join(sets.collection for sets in collections)
        msg = f"No term of {names} has {min_size} to {max_size} scored genes; see gsea for what may be wrong."
        raise InputError(msg)
    found = pd.concat(frames, ignore_index=True)
    return found.sort_values(["concept", "p_conditional", "p", "collection", "term"], ignore_index=True)


@dataclass(frozen=True, eq=False)
class _Graph:
    """The tested terms in the ontology."""

    level: Int[np.ndarray, " terms"]
    """-1 = outside."""
    above: Csr
    """Tested terms x tested terms: True where the column's stands above the row's."""

    @classmethod
    def of(cls, terms: Terms, known: Mapping[str, Mapping[str, int]], ontology: Ontology) -> _Graph:
        labels = zip(terms.labels["collection"], terms.labels["term"], strict=True)
        positions = np.array([known[collection][term] for collection, term in labels])
        inside = np.where(positions >= 0, positions, 0)
        level = np.where(positions >= 0, ontology.levels[inside], -1)
        above = ontology.ancestors[inside][:, inside].tocoo()
        real = (level[above.row] > level[above.col]) & (level[above.col] >= 0)
        above.data &= real
        above.eliminate_zeros()
        return cls(level, above.tocsr())

    def above_of(self, term: int) -> Int[np.ndarray, " terms"]:
        return np.asarray(self.above.indices[self.above.indptr[term] : self.above.indptr[term + 1]])


def _positions(sets: GeneSets, ontology: Ontology) -> dict[str, int]:
    positions = mapped_positions(match_terms(sets, ontology), sets, ontology)
    return dict(zip(sets.terms, positions.tolist(), strict=True))


def _eliminate(
    universe: GeneScores, terms: Terms, graph: _Graph, options: Options, alpha: float
) -> pd.DataFrame:
    blocks = rank_blocks(universe.values)
    plain = run_tests(blocks, terms.genes, n_permutations=options.n_permutations, seed=options.seed)
    frames = []
    concepts = tqdm(universe.concepts, desc="elim", unit="concept", disable=None)
    for row, concept in enumerate(concepts):
        found = (plain.p[row].copy(), plain.nes[row].copy())
        walk = _Walk(universe.values[[row]], terms, graph, options, *found)
        for level in np.unique(graph.level[graph.level >= 0])[::-1]:
            walk.climb(np.flatnonzero(graph.level == level), alpha)
        frames.append(walk.frame(concept, plain, row))
    return pd.concat(frames)


@dataclass(eq=False)
class _Walk:
    """One concept's way from the deepest terms upwards."""

    scores: Float[np.ndarray, "1 genes"]
    terms: Terms
    graph: _Graph
    options: Options
    p: Float[np.ndarray, " terms"]
    nes: Float[np.ndarray, " terms"]

    def __post_init__(self) -> None:
        self.genes = list(self.terms.genes)
        self.explained_by: dict[int, list[int]] = defaultdict(list)

    def climb(self, level: Int[np.ndarray, " terms"], alpha: float) -> None:
        """Test one level's terms that lost genes; take the genes of significant terms from those above."""
        touched = [term for term in level if len(self.genes[term]) < len(self.terms.genes[term])]
        self.p[touched], self.nes[touched] = np.nan, np.nan
        testable = [term for term in touched if len(self.genes[term]) >= self.options.min_size]
        if testable:
            found = run_tests(
                rank_blocks(self.scores),
                [self.genes[term] for term in testable],
                n_permutations=self.options.n_permutations,
                seed=self.options.seed,
            )
            self.p[testable], self.nes[testable] = found.p[0], found.nes[0]
        for term in level[self.p[level] <= alpha]:
            for general in self.graph.above_of(int(term)):
                kept = np.setdiff1d(self.genes[general], self.genes[term], assume_unique=True)
                if len(kept) < len(self.genes[general]):
                    self.genes[general] = kept
                    self.explained_by[int(general)].append(int(term))

    def frame(self, concept: object, plain: Tests, row: int) -> pd.DataFrame:
        """Say what was found with all genes and without those below."""
        labels = self.terms.labels
        sizes = np.array([len(genes) for genes in self.genes])
        names = labels["term"].to_numpy()
        return pd.DataFrame(
            {
                "concept": concept,
                **{column: labels[column] for column in ("collection", "term", "name")},
                "level": self.graph.level,
                "size": labels["size"],
                "nes": plain.nes[row],
                "p": plain.p[row],
                "n_removed": labels["size"].to_numpy() - sizes,
                "nes_conditional": self.nes,
                "p_conditional": self.p,
                "explained_by": [";".join(names[self.explained_by.get(at, [])]) for at in range(len(names))],
            }
        )
