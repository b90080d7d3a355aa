"""Preranked gene-set enrichment of every concept at once, free of the order of tied genes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import pandas as pd
from jaxtyping import Float

from conceptome.core import (
    Attributions,
    DifferentialExpression,
    Enrichment,
    InputError,
    Ranking,
    require_choice,
)
from conceptome.enrichment.calibration import N_SETS, NULL_PAIRS, control_sets, rates
from conceptome.enrichment.engine import leading_edges, rank_blocks, run_tests
from conceptome.enrichment.findings import corrected, nothing_to_test, tests_frame
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.universe import GeneScores, PerGene, Terms, as_collections

N_NULL_CONCEPTS = 8  # concepts and terms of the control by null pairs, drawn at random
N_NULL_TERMS = 250


def gsea(  # noqa: PLR0913 - the public face: every option of the test is named here
    scores: Attributions | DifferentialExpression | pd.DataFrame,
    gene_sets: GeneSets | Sequence[GeneSets] | Mapping[str, Sequence[str]],
    *,
    min_size: int = 10,
    max_size: int = 500,
    n_permutations: int = 1000,
    rank_by: Ranking = "z",
    expression: PerGene | None = None,
    gene_names: PerGene | None = None,
    calibrate: bool = True,
    seed: int = 0,
) -> Enrichment:
    """Test every term in every concept's gene ranking by preranked GSEA [Subramanian05].

    Weight 1; the running sum is read at the boundaries of tied blocks only; the null is gene permutation.

    Parameters
    ----------
    scores
        Gene scores, concepts x genes; positive = supports the concept. NaN is outside the universe, and a
        concept without any score gives no rows.
    gene_sets
        One or more collections, or a dict of gene lists.
    min_size, max_size
        Terms with fewer or more genes in the universe are not tested.
    n_permutations
        Random sets for each term size.
    rank_by
        What ranks the genes of an `Attributions`. ``"z"`` is attribution over its error, see
        `conceptome.core.signal_to_noise`. The attribution itself has so heavy a tail that a few genes decide
        the score of every set that holds them, random sets included, and next to nothing can be significant.
    expression
        Mean expression of each gene, for the control by random sets matched for size and expression.
    gene_names
        Symbol of each gene, where scores carry other names (Ensembl ids) than the gene sets.
    calibrate
        Whether to measure the rates of small p under the null controls.
    seed
        Seed of the random sets.

    Returns
    -------
    One row per tested concept and term, within a concept by ascending p: ``size`` counts the term's genes in
    the universe, ``overlap`` is the share of the term's genes that are there, ``es`` and ``nes`` are positive
    where the term's genes support the concept, ``q_concept`` and ``q_global`` are
    Benjamini-Hochberg over the concept's and over all tests, ``no_signal`` marks terms wholly among zero
    scores (ES 0, p 1), ``leading_edge`` lists ``GENE;GENE;...``, the most extreme score first. With it the
    rates of small p under the null controls, see `conceptome.enrichment.calibration`.

    Raises
    ------
    InputError
        If scores, gene sets or options do not fit, or no term has an admissible size.
    """
    require_choice("rank_by", rank_by, get_args(Ranking))
    options = Options(min_size, max_size, n_permutations, seed)
    collections = as_collections(gene_sets)
    frame = gene_scores(scores, rank_by)
    table = GeneScores.of(frame, gene_names=gene_names, expression=expression)
    frames, p_of = [], defaultdict(list)
    universes = list(table.universes())
    n_scored = sum(len(universe.concepts) for universe in universes)
    for universe in universes:
        n_sets = math.ceil(N_SETS * len(universe.concepts) / n_scored) if calibrate else 0
        found, controls = _test_universe(universe, collections, options, n_control_sets=n_sets)
        frames.append(found)
        for control, p in controls.items():
            p_of[control].append(p)
    if frames and not any(map(len, frames)):
        raise InputError(nothing_to_test(table, collections, min_size=min_size, max_size=max_size))
    if calibrate and isinstance(scores, Attributions):
        null = GeneScores.of(scores.null_scores(rank_by), gene_names=gene_names)
        p_of[NULL_PAIRS].extend(_null_pairs(null, collections, options))
    calibration = rates({control: np.concatenate(p) for control, p in p_of.items() if p})
    ranking = rank_by if isinstance(scores, Attributions) else None
    return Enrichment(corrected(frames), getattr(scores, "dictionary_id", ""), calibration, ranking)


def gene_scores(
    scores: Attributions | DifferentialExpression | pd.DataFrame, rank_by: Ranking
) -> pd.DataFrame:
    """Return what ranks the genes, concepts x genes.

    Parameters
    ----------
    scores
        Gene scores in any accepted form.
    rank_by
        What ranks the genes of an `Attributions`.
    """
    if isinstance(scores, pd.DataFrame):
        return scores
    return scores.scores(rank_by) if isinstance(scores, Attributions) else scores.scores()


@dataclass(frozen=True)
class Options:
    """What `gsea` was asked for."""

    min_size: int
    max_size: int
    n_permutations: int
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= self.min_size <= self.max_size:
            found = f"min_size is {self.min_size} and max_size {self.max_size}"
            msg = f"{found}; expected 1 <= min_size <= max_size."
            raise InputError(msg)
        if self.n_permutations < 1 or self.seed < 0:
            found = f"n_permutations is {self.n_permutations} and seed {self.seed}"
            msg = f"{found}; expected at least one permutation (1000 for usual work) and a seed of 0 or more."
            raise InputError(msg)


def _test_universe(
    universe: GeneScores, collections: Sequence[GeneSets], options: Options, *, n_control_sets: int
) -> tuple[pd.DataFrame, dict[str, Float[np.ndarray, " _tests"]]]:
    terms = Terms.of(collections, universe.symbols, min_size=options.min_size, max_size=options.max_size)
    if not terms.genes:
        return pd.DataFrame(), {}
    rng = np.random.default_rng([options.seed, len(universe.genes)])
    controls = control_sets(
        terms.genes,
        n_genes=len(universe.genes),
        expression=universe.expression,
        n_sets=n_control_sets,
        rng=rng,
    )
    sets = [*terms.genes, *(genes for drawn in controls.values() for genes in drawn)]
    rankings = rank_blocks(universe.values)
    tests = run_tests(rankings, sets, n_permutations=options.n_permutations, seed=options.seed)
    edges = leading_edges(rankings, terms.genes, tests, universe.symbols)
    p_of, first = {}, len(terms.genes)
    for control, drawn in controls.items():
        concept = rng.integers(len(universe.concepts), size=len(drawn))  # one for each set: independent tests
        p_of[control] = tests.p[concept, np.arange(first, first + len(drawn))]
        first += len(drawn)
    n_terms = len(terms.genes)
    measures = {name: getattr(tests, name)[:, :n_terms] for name in ("es", "nes", "p", "p_empirical")}
    return tests_frame(terms, universe.concepts, measures=measures, edges=edges), p_of


def _null_pairs(
    null: GeneScores, collections: Sequence[GeneSets], options: Options
) -> Iterator[Float[np.ndarray, " tests"]]:
    """Test some terms in the null attributions of some concepts."""
    rng = np.random.default_rng([options.seed, 1])
    measured = np.flatnonzero(~np.isnan(null.values).all(axis=1))
    chosen = np.sort(rng.permutation(measured)[:N_NULL_CONCEPTS])
    for universe in replace(null, values=null.values[chosen], concepts=null.concepts[chosen]).universes():
        terms = Terms.of(collections, universe.symbols, min_size=options.min_size, max_size=options.max_size)
        sets = [terms.genes[term] for term in rng.permutation(len(terms.genes))[:N_NULL_TERMS]]
        rankings = rank_blocks(universe.values)
        yield run_tests(rankings, sets, n_permutations=options.n_permutations, seed=options.seed).p.ravel()
