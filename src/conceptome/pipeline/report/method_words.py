"""What the page says of the test that a run used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from conceptome.core import Enrichment, EnrichmentMethod

RANKINGS = {
    "z": "genes ranked by attribution / standard error",
    "attribution": "genes ranked by attribution",
}


@dataclass(frozen=True)
class MethodWords:
    """Words for one method."""

    effect: str
    """Heading of what a test found."""
    edge: str
    """Heading of the genes that carry it."""
    reading: str
    """How to read it."""
    described: str
    """For the methods, after "tested by"."""


METHODS: Mapping[EnrichmentMethod, MethodWords] = {
    "gsea": MethodWords(
        effect="NES",
        edge="Leading edge",
        reading=(
            "are tested along all genes, ranked by attribution over its standard error. NES above 0: the "
            "set's genes support the concept. q is corrected over all concepts and sets of the run. In the "
            "running sum, ticks are the genes of the set; coloured ticks are its leading edge."
        ),
        described="preranked gene set enrichment analysis, read at the boundaries of tied scores",
    ),
    "ulm": MethodWords(
        effect="t",
        edge="Genes with its sign",
        reading=(
            "are tested by a linear model: are the scores of the set's genes, attribution over its standard "
            "error, higher than those of all other genes? t above 0: the set's genes support the concept. "
            "The model takes genes as independent, which they are not; q is corrected over all concepts and "
            "sets of the run, but not for this."
        ),
        described="univariate linear models",
    ),
    "ora": MethodWords(
        effect="log₂ odds",
        edge="Driving genes in the set",
        reading=(
            "are tested for holding more of the genes that drive and support the concept than chance allows. "
            "Log₂ odds of 1: twice the odds. For comparison the same is done with the genes that are higher "
            "where the concept is active (q ≤ 0.05). q is corrected over all concepts and sets of the run."
        ),
        described=(
            "over-representation (Fisher's exact test) among the genes that drive and support a concept, or, "
            "by expression, those with q ≤ 0.05 that are higher where it is active"
        ),
    ),
}


def words_of(enrichment: Enrichment | None) -> MethodWords:
    """Return the words for the method of an enrichment, or of a run without one those of the default.

    Parameters
    ----------
    enrichment
        What the page shows.
    """
    return METHODS["gsea" if enrichment is None else enrichment.method]


def described(enrichment: Enrichment) -> str:
    """Describe the tests of a run in one sentence.

    Parameters
    ----------
    enrichment
        By attribution.
    """
    n_terms = len(enrichment.table[["collection", "term"]].drop_duplicates())
    ranked = f" ({RANKINGS[enrichment.rank_by]})" if enrichment.rank_by else ""
    return (
        f"{n_terms:,} gene sets were tested by {METHODS[enrichment.method].described}{ranked}, with q-values "
        f"over all {len(enrichment.table):,} tests of the run."
    )
