"""Which terms stand on genes of their own: `elim` and `weight` [Alexa06], on top of preranked enrichment.

Every gene of a term belongs to the terms above it as well, so that one finding deep in the ontology pulls a
whole path of general terms along. From the deepest level upwards, the genes of a significant term are taken
away from all terms above it, or count less there, before these are tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float
from tqdm.auto import tqdm

from conceptome.core import Attributions, DifferentialExpression, InputError, Ranking, require_choice
from conceptome.enrichment.climbing import Elim, Graph, Weight, climb_to_the_root
from conceptome.enrichment.conditional_tests import ConditionalTest, OverRepresentationTest, PrerankedTest
from conceptome.enrichment.engine import rank_blocks, run_tests
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.ontology import Ontology
from conceptome.enrichment.over_representation import selection
from conceptome.enrichment.preranked import gene_scores
from conceptome.enrichment.propagation import mapped_positions
from conceptome.enrichment.term_matching import match_terms
from conceptome.enrichment.testing import Options
from conceptome.enrichment.universe import GeneScores, PerGene, Terms, as_collections

Decorrelation = Literal["elim", "weight"]
TestName = Literal["gsea", "ora"]


def decorrelate(  # noqa: PLR0913 - the options of `gsea`, and those of its own
    scores: Attributions | DifferentialExpression | pd.DataFrame,
    gene_sets: GeneSets | Sequence[GeneSets] | Mapping[str, Sequence[str]],
    ontology: Ontology,
    *,
    method: Decorrelation = "elim",
    test: TestName = "gsea",
    elim_alpha: float = 0.01,
    min_size: int = 10,
    max_size: int = 500,
    n_permutations: int = 1000,
    rank_by: Ranking = "z",
    gene_names: PerGene | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Test every term in every concept apart from the significant terms below it [Alexa06].

    Parameters
    ----------
    scores, gene_sets
        As for `gsea`. The sets should follow the true-path rule, see `propagate`.
    ontology
        The ontology that the sets' terms belong to. Sets it does not know are tested as they are.
    method
        ``"elim"``: the genes of a significant term are taken away from all terms above it. ``"weight"``,
        softer: where a significant term is more significant than one right above it, its genes count less
        there and further up, by the ratio of the logarithms of p.
    test
        ``"gsea"``: the ranking of all genes; ``"ora"``: the genes that support the concept as its drivers, or
        are higher in it, see `ora`, which `scores` may also give as concepts x genes of 0 and 1. It has no
        NES.
    elim_alpha
        A term is significant here where its p, given what was found below, is at most this. It is not
        corrected.
    min_size, max_size, n_permutations, rank_by, gene_names, seed
        As for `gsea`.

    Returns
    -------
    One row per tested concept and term, within a concept by ascending conditional p:
    ``concept, collection, term, name, level, size``, ``nes, p`` with all genes (`level` counts steps from the
    root, -1 outside the ontology), ``n_removed`` (with ``"weight"`` in parts of genes),
    ``nes_conditional, p_conditional``, NaN where fewer than `min_size` genes were left, and
    ``explained_by``, the terms whose genes these were. A conditional p depends on what was found below, so
    it is not to be corrected as if tests were independent.

    Raises
    ------
    InputError
        If an option is out of its range, `gsea` or `ora` refuse the input, or the ontology knows no term.
    """
    require_choice("method", method, get_args(Decorrelation))
    require_choice("test", test, get_args(TestName))
    if not 0 < elim_alpha < 1:
        msg = f"elim_alpha is {elim_alpha}, expected a number between 0 and 1, such as 0.01."
        raise InputError(msg)
    options = Options(min_size, max_size, n_permutations, seed)
    collections = as_collections(gene_sets)
    table = _scored(scores, test, rank_by=rank_by, gene_names=gene_names)
    known = {sets.collection: _positions(sets, ontology) for sets in collections}
    way = Elim if method == "elim" else Weight
    frames: list[pd.DataFrame] = []
    for universe in table.universes():
        terms = Terms.of(collections, universe.symbols, min_size=min_size, max_size=max_size)
        if terms.genes:
            tests, p, nes = (_ranked if test == "gsea" else _selected)(universe, terms, options)
            graph = _graph(terms, known, ontology)
            for row, concept in enumerate(tqdm(universe.concepts, desc="decorrelate", disable=None)):
                walk = way(tests[row], terms.genes, graph, p[row].copy(), nes[row].copy())
                climb_to_the_root(walk, elim_alpha)
                frames.append(_frame(walk, terms, p[row], nes[row]).assign(concept=concept))
    if not frames:
        names = ", ".join(sets.collection for sets in collections)
        msg = f"No term of {names} has {min_size} to {max_size} scored genes; see gsea for what may be wrong."
        raise InputError(msg)
    found = pd.concat(frames, ignore_index=True)
    found.insert(0, "concept", found.pop("concept"))
    return found.sort_values(["concept", "p_conditional", "p", "collection", "term"], ignore_index=True)


def _positions(sets: GeneSets, ontology: Ontology) -> dict[str, int]:
    positions = mapped_positions(match_terms(sets, ontology), sets, ontology)
    return dict(zip(sets.terms, positions.tolist(), strict=True))


def _graph(terms: Terms, known: Mapping[str, Mapping[str, int]], ontology: Ontology) -> Graph:
    labels = zip(terms.labels["collection"], terms.labels["term"], strict=True)
    return Graph.of(np.array([known[collection][term] for collection, term in labels]), ontology)


def _scored(
    scores: Attributions | DifferentialExpression | pd.DataFrame,
    test: TestName,
    *,
    rank_by: Ranking,
    gene_names: PerGene | None,
) -> GeneScores:
    if test == "gsea":
        return GeneScores.of(gene_scores(scores, rank_by), gene_names=gene_names)
    return selection(scores, drivers="supporting", gene_names=gene_names)


Plain: TypeAlias = tuple[
    Sequence[ConditionalTest], Float[np.ndarray, "concepts terms"], Float[np.ndarray, "concepts terms"]
]


def _ranked(universe: GeneScores, terms: Terms, options: Options) -> Plain:
    """Return each concept's test, and p and NES with all genes."""
    n_permutations, seed = options.n_permutations, options.seed
    plain = run_tests(rank_blocks(universe.values), terms.genes, n_permutations=n_permutations, seed=seed)
    tests = [
        PrerankedTest(rank_blocks(scores[None])[0], options.min_size, n_permutations, seed)
        for scores in universe.values
    ]
    return tests, plain.p, plain.nes


def _selected(universe: GeneScores, terms: Terms, options: Options) -> Plain:
    """Return each concept's test, p with all genes, and NaN."""
    tests = [OverRepresentationTest(selected, options.min_size) for selected in universe.values == 1]
    p = np.stack([test.of_sets(terms.genes)[0] for test in tests])
    return tests, p, np.full_like(p, np.nan)


def _frame(
    walk: Elim | Weight, terms: Terms, p: Float[np.ndarray, " terms"], nes: Float[np.ndarray, " terms"]
) -> pd.DataFrame:
    labels = terms.labels[["collection", "term", "name"]]
    names = labels["term"].to_numpy()
    return labels.assign(
        level=walk.graph.level,
        size=terms.labels["size"],
        nes=nes,
        p=p,
        n_removed=walk.n_removed,
        nes_conditional=walk.nes,
        p_conditional=walk.p,
        explained_by=[";".join(names[walk.explained_by.get(term, [])]) for term in range(len(names))],
    )
