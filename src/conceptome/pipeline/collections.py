"""The gene sets of a run, their genes named as the data do."""

from __future__ import annotations

import logging

import pandas as pd

from conceptome import enrichment
from conceptome.core import InputError
from conceptome.enrichment import GeneSets, Ontology
from conceptome.pipeline.config import RunConfig

logger = logging.getLogger(__name__)

Matched = tuple[GeneSets, pd.DataFrame | None]
"""A collection, and its genes that the data name otherwise or lack; None where they lack all."""


def matched_collections(
    config: RunConfig, symbols: pd.Index[str], ontology: Ontology | None
) -> list[Matched]:
    """Load the collections of a run and find their genes among those of the data.

    Parameters
    ----------
    config
        Names the collections, and the table of former symbols.
    symbols
        Genes of the data.
    ontology
        Of collections that are annotations.

    Returns
    -------
    Collections and what did not match; one without any gene of the data stays as it is, and that is logged.
    """
    loaded = [enrichment.load_gene_sets(name, ontology=ontology) for name in config.gene_sets]
    return [_matched(sets, symbols, config.gene_table) for sets in loaded]


def _matched(sets: GeneSets, symbols: pd.Index[str], table: str | None) -> Matched:
    try:
        return enrichment.match_genes(sets, symbols, table=table)
    except InputError as error:
        logger.warning("%s", error)
        return sets, None
