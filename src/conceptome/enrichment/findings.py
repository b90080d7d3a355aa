"""From the tests of concepts and terms to the rows of the enrichment table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from scipy.stats import false_discovery_control

from conceptome.core import ENRICHMENT_COLUMNS
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.universe import GeneScores, Terms


def tests_frame(
    terms: Terms,
    concepts: Shaped[np.ndarray, " concepts"],
    *,
    measures: Mapping[str, Float[np.ndarray, "concepts terms"]],
    edges: Shaped[np.ndarray, "concepts terms"],
) -> pd.DataFrame:
    """Write one row per concept and term.

    Parameters
    ----------
    terms, concepts
        What was tested.
    measures
        ``es`` and ``p``, and of ``nes`` and ``p_empirical`` what the method knows; others are left out.
    edges
        The genes that carry each test, ``"GENE;GENE;..."``.

    Returns
    -------
    The columns of the enrichment table but for the corrections.
    """
    n_concepts, n_terms = edges.shape
    frame = terms.labels.iloc[np.tile(np.arange(n_terms), n_concepts)].reset_index(drop=True)
    frame.insert(0, "concept", np.repeat(concepts, n_terms))
    for column in ("es", "nes", "p", "p_empirical"):
        frame[column] = measures[column].ravel() if column in measures else np.nan
    return frame.assign(no_signal=frame["es"] == 0, leading_edge=edges.ravel())


def corrected(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join the tests of a run and correct over each concept and over all.

    Parameters
    ----------
    frames
        As `tests_frame` makes them; none if nothing was tested.

    Returns
    -------
    The enrichment table, within a concept by ascending p.
    """
    if not frames:
        return pd.DataFrame(columns=list(ENRICHMENT_COLUMNS))
    frame = pd.concat(frames, ignore_index=True)
    frame["q_concept"] = frame.groupby("concept")["p"].transform(false_discovery_control)
    frame["q_global"] = false_discovery_control(frame["p"])
    concept, collection, term = (
        pd.factorize(frame[key], sort=True)[0] for key in ("concept", "collection", "term")
    )  # numbers sort faster than names
    order = np.lexsort((term, collection, frame["p"].to_numpy(), concept))
    return frame.iloc[order][list(ENRICHMENT_COLUMNS)].reset_index(drop=True)


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
