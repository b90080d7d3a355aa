"""What every test of terms goes through: universes, null controls, corrections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pandas as pd

from conceptome.core import InputError
from conceptome.enrichment.calibration import NULL_PAIRS, Control, control_sets, rates
from conceptome.enrichment.findings import TestedTerms, corrected, nothing_to_test
from conceptome.enrichment.flags import FLAGS
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.universe import GeneScores, Sets, Terms

N_NULL_CONCEPTS = 8  # concepts and terms of the control by null pairs, drawn at random
N_NULL_TERMS = 250

Tested: TypeAlias = tuple[dict[str, np.ndarray], np.ndarray]
"""Concepts x sets by measure, ``es`` and ``p`` at least; and the genes that carry the first tests."""
Method: TypeAlias = Callable[[GeneScores, Sets, int], Tested]
"""Tests every set in every concept of one universe, and names the genes that carry the first n sets."""


@dataclass(frozen=True)
class Options:
    """What is tested and how."""

    min_size: int
    max_size: int
    n_permutations: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.min_size <= self.max_size:
            found = f"min_size is {self.min_size} and max_size {self.max_size}"
            msg = f"{found}; expected 1 <= min_size <= max_size."
            raise InputError(msg)
        if self.n_permutations < 1 or self.seed < 0:
            found = f"n_permutations is {self.n_permutations} and seed {self.seed}"
            msg = f"{found}; expected at least one permutation (1000 for usual work) and a seed of 0 or more."
            raise InputError(msg)


def run_method(
    method: Method,
    table: GeneScores,
    collections: Sequence[GeneSets],
    options: Options,
    *,
    null: GeneScores | None,
    calibrate: bool,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Test every term in every concept, and the null controls beside them.

    Parameters
    ----------
    method
        The test.
    table
        The scores.
    collections
        The terms.
    options
        Admissible sizes and seed.
    null
        The same scores from null pairs; without them there is no such control.
    calibrate
        Whether to run the controls.

    Returns
    -------
    The enrichment table and the rates of small p.

    Raises
    ------
    InputError
        If no term has an admissible size.
    """
    tested: list[TestedTerms] = []
    p_of: dict[Control, list[np.ndarray]] = defaultdict(list)
    universes = list(table.universes())
    n_scored = sum(len(universe.concepts) for universe in universes)
    for universe in universes:
        terms = _terms(universe, collections, options)
        if terms.genes:
            share = len(universe.concepts) / n_scored if calibrate else 0.0
            tested.append(_test_universe(method, universe, terms, p_of, share=share, seed=options.seed))
    if universes and not tested:
        sizes = {"min_size": options.min_size, "max_size": options.max_size}
        raise InputError(nothing_to_test(table, collections, **sizes))
    if calibrate and null is not None:
        _test_null_pairs(method, null, collections, options, p_of)
    calibration = rates({control: np.concatenate(p) for control, p in p_of.items()})
    return corrected(tested), calibration


def _terms(universe: GeneScores, collections: Sequence[GeneSets], options: Options) -> Terms:
    return Terms.of(collections, universe.symbols, min_size=options.min_size, max_size=options.max_size)


def _test_universe(
    method: Method,
    universe: GeneScores,
    terms: Terms,
    p_of: dict[Control, list[np.ndarray]],
    *,
    share: float,
    seed: int,
) -> TestedTerms:
    """Test terms and random sets at once, which share what can be shared; return the tests of the terms."""
    n_genes, n_terms = len(universe.genes), len(terms.genes)
    rng = np.random.default_rng([seed, n_genes])
    informative = np.flatnonzero((universe.values != 0).any(axis=1))  # elsewhere nothing can be called
    controls = []
    if share and len(informative):
        controls = control_sets(terms, n_genes=n_genes, expression=universe.expression, share=share, rng=rng)
    sets = Sets.joined([terms, *(control.sets for control in controls)])
    measures, edges = method(universe, sets, n_terms)
    first = n_terms
    for drawn in controls:
        n_sets = len(drawn.sets.genes)
        concept = rng.choice(informative, size=n_sets)  # one for each set: independent tests
        p_of[drawn.control].append(measures["p"][concept, np.arange(first, first + n_sets)])
        first += n_sets
    of_terms = {name: measure[:, :n_terms] for name, measure in measures.items()}
    return TestedTerms(terms, universe.concepts, of_terms, edges)


def _test_null_pairs(
    method: Method,
    null: GeneScores,
    collections: Sequence[GeneSets],
    options: Options,
    p_of: dict[Control, list[np.ndarray]],
) -> None:
    """Test some terms, and all flagged ones, in the null attributions of some concepts."""
    rng = np.random.default_rng([options.seed, 1])
    informative = np.flatnonzero((np.nan_to_num(null.values) != 0).any(axis=1))
    chosen = np.sort(rng.permutation(informative)[:N_NULL_CONCEPTS])
    for universe in replace(null, values=null.values[chosen], concepts=null.concepts[chosen]).universes():
        terms = _terms(universe, collections, options)
        flags = terms.labels["flag"].to_numpy()
        drawn = {"": rng.permutation(len(flags))[:N_NULL_TERMS]}
        drawn |= {flag: rng.permutation(np.flatnonzero(flags == flag))[:N_NULL_TERMS] for flag in FLAGS}
        for flag, some in drawn.items():
            if len(some):
                p = method(universe, terms.subset(some), 0)[0]["p"]
                p_of[NULL_PAIRS, flag].append(p.ravel())
