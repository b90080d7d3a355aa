"""Preranked gene-set enrichment of every concept at once, free of the order of tied genes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped
from scipy.stats import false_discovery_control
from tqdm.auto import tqdm

from conceptome.core import ENRICHMENT_COLUMNS, Attributions, DifferentialExpression, Enrichment, InputError
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.null import null_scores, random_ranks
from conceptome.enrichment.rankings import Rankings
from conceptome.enrichment.significance import log_smallest_p, significance
from conceptome.enrichment.universe import GeneScores, PerGene, Terms, as_collections

BLOCK_CONCEPTS = 16

logger = logging.getLogger(__name__)


def gsea(  # noqa: PLR0913 - the public face: every option of the test is named here
    scores: Attributions | DifferentialExpression | pd.DataFrame,
    gene_sets: GeneSets | Sequence[GeneSets] | Mapping[str, Sequence[str]],
    *,
    min_size: int = 10,
    max_size: int = 500,
    n_permutations: int = 1000,
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
    the universe, ``overlap`` is the share of the term's genes that are there, ``es`` and ``nes`` have the sign
    of the association, ``q_concept`` and ``q_global`` are Benjamini-Hochberg over the concept's and over all
    tests, ``no_signal`` marks terms wholly among zero scores (ES 0, p 1), ``leading_edge`` lists
    ``GENE;GENE;...``, the most extreme score first.

    Raises
    ------
    InputError
        If scores, gene sets or options do not fit, or no term has an admissible size.
    """
    _check_options(min_size=min_size, max_size=max_size, n_permutations=n_permutations, seed=seed)
    table = GeneScores.of(scores, gene_names)
    collections = as_collections(gene_sets)
    parts = []
    for rows, columns in table.universes():
        terms = Terms.of(collections, table.symbols[columns], min_size=min_size, max_size=max_size)
        values = table.values[np.ix_(rows, columns)]
        tests = run_tests(values, table.symbols[columns], terms, n_permutations=n_permutations, seed=seed)
        parts.append(_frame(tests, terms, table.concepts[rows]))
    if parts and not any(map(len, parts)):
        raise InputError(_nothing_to_test(table, collections, min_size=min_size, max_size=max_size))
    result = _corrected(
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=ENRICHMENT_COLUMNS)
    )
    return Enrichment(result, dictionary_id=getattr(scores, "dictionary_id", ""))


@dataclass(frozen=True, eq=False)
class Tests:
    """What was found for each concept and term of one universe."""

    es: Float[np.ndarray, "concepts terms"]
    nes: Float[np.ndarray, "concepts terms"]
    p: Float[np.ndarray, "concepts terms"]
    p_empirical: Float[np.ndarray, "concepts terms"]
    leading_edge: Shaped[np.ndarray, "concepts terms"]

    @classmethod
    def empty(cls, n_concepts: int, n_terms: int) -> Tests:
        """Make room for the results."""
        numbers = np.empty((4, n_concepts, n_terms))
        return cls(*numbers, leading_edge=np.empty((n_concepts, n_terms), dtype=object))


def run_tests(
    values: Float[np.ndarray, "concepts genes"],
    symbols: Shaped[np.ndarray, " genes"],
    terms: Terms,
    *,
    n_permutations: int,
    seed: int,
) -> Tests:
    """Test terms in complete scores over one universe.

    Parameters
    ----------
    values
        Finite scores.
    symbols
        Name of each gene in the leading edge.
    terms
        Terms over the same genes.
    n_permutations
        Random sets for each size.
    seed
        Seed of the draws.

    Returns
    -------
    The tests.
    """
    n_concepts, n_genes = values.shape
    tests = Tests.empty(n_concepts, len(terms.genes))
    blocks = [slice(at, min(at + BLOCK_CONCEPTS, n_concepts)) for at in range(0, n_concepts, BLOCK_CONCEPTS)]
    rankings = [Rankings.of(values[block]) for block in blocks]
    for size, of_size in tqdm(terms.by_size().items(), desc="enrichment", unit="size", disable=None):
        drawn = random_ranks(n_genes, size, n_sets=n_permutations, seed=seed)
        for block, ranking in zip(blocks, rankings, strict=True):
            null = null_scores(ranking, drawn)
            ranks = np.sort(ranking.ranks[terms.positions(of_size)], axis=0)
            deviations = ranking.deviations(ranks)
            es = deviations.scores()
            found = significance(es, null, log_smallest_p=log_smallest_p(n_genes, size))
            at = np.ix_(range(block.start, block.stop), of_size)
            tests.es[at], tests.nes[at] = es.T, found.nes.T
            tests.p[at], tests.p_empirical[at] = found.p.T, found.p_empirical.T
            tests.leading_edge[at] = _leading_edges(ranking, ranks, deviations.peaks(), es, symbols)
    return tests


def _leading_edges(
    ranking: Rankings,
    ranks: Int[np.ndarray, "hits sets concepts"],
    peaks: Int[np.ndarray, "sets concepts"],
    es: Float[np.ndarray, "sets concepts"],
    symbols: Shaped[np.ndarray, " genes"],
) -> Shaped[np.ndarray, "concepts sets"]:
    edges = np.full(peaks.T.shape, "", dtype=object)
    for concept, names in enumerate(symbols[ranking.order].T):
        ordered = names[ranks[:, :, concept].T]
        for row, (genes, peak, score) in enumerate(
            zip(ordered, peaks[:, concept], es[:, concept], strict=True)
        ):
            if score != 0:
                edges[concept, row] = ";".join(genes[: peak + 1] if score > 0 else genes[peak:][::-1])
    return edges


def _frame(tests: Tests, terms: Terms, concepts: Shaped[np.ndarray, " concepts"]) -> pd.DataFrame:
    n_concepts, n_terms = tests.es.shape
    frame = terms.labels.iloc[np.tile(np.arange(n_terms), n_concepts)].reset_index(drop=True)
    frame.insert(0, "concept", np.repeat(concepts, n_terms))
    for column in ("es", "nes", "p", "p_empirical", "leading_edge"):
        frame[column] = getattr(tests, column).ravel()
    frame["no_signal"] = frame["es"] == 0
    return frame


def _corrected(frame: pd.DataFrame) -> pd.DataFrame:
    frame["q_concept"] = frame.groupby("concept")["p"].transform(false_discovery_control)
    frame["q_global"] = false_discovery_control(frame["p"])
    return frame.sort_values(["concept", "p", "collection", "term"], ignore_index=True)[
        list(ENRICHMENT_COLUMNS)
    ]


def _check_options(*, min_size: int, max_size: int, n_permutations: int, seed: int) -> None:
    if not 1 <= min_size <= max_size:
        msg = f"min_size is {min_size} and max_size {max_size}; expected 1 <= min_size <= max_size."
        raise InputError(msg)
    if n_permutations < 1:
        msg = f"n_permutations is {n_permutations}; expected at least 1, 1000 for usual work."
        raise InputError(msg)
    if seed < 0:
        msg = f"seed is {seed}; expected 0 or a positive integer."
        raise InputError(msg)


def _nothing_to_test(
    table: GeneScores, collections: Sequence[GeneSets], *, min_size: int, max_size: int
) -> str:
    named = {gene for sets in collections for members in sets.members for gene in members}
    known = len(named & set(table.symbols))
    return (
        f"No term of {', '.join(sets.collection for sets in collections)} has {min_size} to {max_size} scored genes: "
        f"{known} of the {len(named)} genes in the terms are among the {len(table.genes)} scored genes "
        f"({', '.join(map(str, table.genes[:3]))} ...). Lower min_size, or give gene_names where the scores are "
        "named by another system."
    )
