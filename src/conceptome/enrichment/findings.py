"""From the tests of concepts and terms to the rows of the enrichment table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from scipy.stats import false_discovery_control

from conceptome.core import ENRICHMENT_COLUMNS
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.universe import GeneScores, Terms


@dataclass(frozen=True, eq=False)
class TestedTerms:
    """The tests of one universe."""

    terms: Terms
    concepts: Shaped[np.ndarray, " concepts"]
    measures: Mapping[str, Float[np.ndarray, "concepts terms"]]
    """``es`` and ``p``, and of ``nes`` and ``p_empirical`` what the method knows."""
    edges: Shaped[np.ndarray, "concepts terms"]
    """The genes that carry each test, ``"GENE;GENE;..."``."""


def corrected(tested: Sequence[TestedTerms]) -> pd.DataFrame:
    """Correct the tests of a run over each concept and over all, and write them as a table.

    Parameters
    ----------
    tested
        Tests by universe; none if nothing was tested.

    Returns
    -------
    The enrichment table, concepts ascending and within each by ascending p; NaN where a method does not know
    a measure.
    """
    if not tested:
        return pd.DataFrame(columns=list(ENRICHMENT_COLUMNS))
    over_all = false_discovery_control(np.concatenate([part.measures["p"].ravel() for part in tested]))
    ends = np.cumsum([part.measures["p"].size for part in tested])
    frames = [_frame(part, q) for part, q in zip(tested, np.split(over_all, ends[:-1]), strict=True)]
    if len(frames) == 1:
        return frames[0]
    return pd.concat(frames).sort_values("concept", kind="stable", ignore_index=True)


def _frame(part: TestedTerms, q_global: Float[np.ndarray, " tests"]) -> pd.DataFrame:
    """Write the rows of one universe, straight into their order."""
    p, labels = part.measures["p"], part.terms.labels
    by_name = np.lexsort((labels["term"].to_numpy(dtype=str), labels["collection"].to_numpy(dtype=str)))
    rows = np.argsort(part.concepts, kind="stable")
    order = by_name[np.argsort(p[np.ix_(rows, by_name)], axis=1, kind="stable")]

    def ordered(values: Shaped[np.ndarray, "concepts terms"]) -> Shaped[np.ndarray, " tests"]:
        return np.take_along_axis(values[rows], order, axis=1).ravel()

    known = {name: ordered(measure) for name, measure in part.measures.items()}
    known |= {name: labels[name].to_numpy()[order].ravel() for name in map(str, labels.columns)}
    columns = known | {
        "concept": np.repeat(part.concepts[rows], len(labels)),
        "q_concept": ordered(false_discovery_control(p, axis=1)),
        "q_global": ordered(q_global.reshape(p.shape)),
        "no_signal": known["es"] == 0,
        "leading_edge": ordered(part.edges),
    }
    missing = dict.fromkeys(("nes", "p_empirical"), np.nan)
    return pd.DataFrame(missing | columns, columns=list(ENRICHMENT_COLUMNS), copy=False)


def nothing_to_test(
    table: GeneScores, collections: Sequence[GeneSets], *, min_size: int, max_size: int
) -> str:
    """Say why no term could be tested.

    Parameters
    ----------
    table
        The scores.
    collections
        The terms.
    min_size, max_size
        Admissible sizes.

    Returns
    -------
    The message.
    """
    searched = ", ".join(sets.collection for sets in collections)
    named = {gene for sets in collections for members in sets.members for gene in members}
    known = len(named & set(table.symbols))
    return (
        f"No term of {searched} has {min_size} to {max_size} scored genes: {known} of the "
        f"{len(named)} genes in the terms are among the {len(table.genes)} scored genes "
        f"({', '.join(map(str, table.genes[:3]))} ...). Lower min_size, give gene_names where the scores "
        "name genes by another system, or find genes by alias and case with cm.enrichment.match_genes."
    )
