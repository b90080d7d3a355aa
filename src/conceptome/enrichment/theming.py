"""A concept's findings as themes: groups of terms that say the same, each with a representative.

Greedy, as REVIGO does [Supek11]: from the most significant term to the least, a term joins the theme whose
representative it resembles most, if it does so enough, and founds a theme of its own if not. Every term thus
resembles its representative, which average linkage does not promise, and the most significant term of a
theme speaks for it. Equal terms follow their specificity and then their identifiers, so the result depends on
nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from conceptome.core import Enrichment, InputError, require_choice
from conceptome.enrichment.gene_overlap import gene_overlap
from conceptome.enrichment.gene_sets import GeneSets
from conceptome.enrichment.ontology import Ontology
from conceptome.enrichment.similarity import Similarity, information_content, semantic_similarity
from conceptome.enrichment.term_matching import match_terms

Correction = Literal["q_global", "q_concept"]
THEME_COLUMNS = (
    *("concept", "theme", "theme_term", "theme_name", "n_terms"),
    *("collection", "term", "name", "similarity", "basis", "information_content"),
    *("size", "es", "nes", "p", "q_concept", "q_global", "leading_edge", "flag"),
)
SEMANTIC = "semantic similarity"
OVERLAP = "leading-edge overlap"


def themes(  # noqa: PLR0913 - what is significant, what is alike, and by what
    enrichment: Enrichment,
    ontology: Ontology | None = None,
    *,
    gene_sets: GeneSets | Sequence[GeneSets] = (),
    alpha: float = 0.05,
    correction: Correction = "q_global",
    measure: Similarity = "relevance",
    min_similarity: float = 0.5,
    min_overlap: float = 0.5,
) -> pd.DataFrame:
    """Group each concept's significant terms into themes with a representative.

    Supporting terms (`Enrichment.effect` above 0) and opposing ones never share a theme.

    Parameters
    ----------
    enrichment
        What was found.
    ontology
        Compares the terms that it knows by meaning. All others, and all without an ontology, are compared by
        the Jaccard overlap of their leading edges.
    gene_sets
        Collections that were tested, from which the ontology's information content is taken; needed with it.
    alpha, correction
        A term is significant where this q is at most `alpha`.
    measure
        Semantic similarity, see `semantic_similarity`.
    min_similarity, min_overlap
        How much a term must resemble a theme's representative to join it, by meaning and by overlap.

    Returns
    -------
    One row per significant term. Within a concept themes are numbered from 0, the most significant, and the
    first row of a theme is its representative: ``theme_term``, ``theme_name`` and the number of terms
    ``n_terms`` are the theme's; ``similarity`` is that to the representative, and ``basis`` says by what.

    Raises
    ------
    InputError
        If an ontology comes without gene sets that it knows, or an option is not one of the choices.
    """
    require_choice("correction", correction, get_args(Correction))
    table = enrichment.table.assign(supports=enrichment.effect > 0)
    table = table[table[correction] <= alpha].copy()
    table["ontology_id"], table["information_content"] = "", np.nan
    meaning = None
    if ontology is not None:
        meaning = _Meaning.of(ontology, gene_sets, measure)
        keys = zip(table["collection"], table["term"], strict=True)
        table["ontology_id"] = [meaning.identifiers.get(key, "") for key in keys]
        table["information_content"] = meaning.information.reindex(table["ontology_id"]).to_numpy()
    table["_specific"] = -table["information_content"].fillna(0.0)
    table = table.sort_values(["concept", "p", "_specific", "collection", "term"], ignore_index=True)
    cuts = {SEMANTIC: min_similarity, OVERLAP: min_overlap}
    frames = [_themes_of(rows, meaning, cuts) for _, rows in table.groupby("concept", sort=True)]
    if not frames:
        return pd.DataFrame(columns=list(THEME_COLUMNS))
    return pd.concat(frames, ignore_index=True)[list(THEME_COLUMNS)]


@dataclass(frozen=True, eq=False)
class _Meaning:
    """What the ontology knows of the terms."""

    ontology: Ontology
    information: pd.Series
    identifiers: dict[tuple[str, str], str]
    """The ontology's term by collection and term."""
    measure: Similarity

    @classmethod
    def of(
        cls, ontology: Ontology, gene_sets: GeneSets | Sequence[GeneSets], measure: Similarity
    ) -> _Meaning:
        collections = [gene_sets] if isinstance(gene_sets, GeneSets) else list(gene_sets)
        found = {sets.collection: match_terms(sets, ontology) for sets in collections}
        identifiers = {
            (collection, str(term)): str(identifier)
            for collection, matches in found.items()
            for term, identifier in zip(matches["term"], matches["ontology_id"], strict=True)
            if identifier
        }
        if not identifiers:
            names = ", ".join(found) or "none"
            msg = (
                f"The ontology knows no term of the gene sets given ({names}), so it cannot compare them. "
                "Give gene_sets=, the collections that were tested, with the ontology they were made from."
            )
            raise InputError(msg)
        return cls(ontology, information_content(_joined(collections), ontology), identifiers, measure)

    def name(self, identifier: str) -> str:
        return self.ontology.names[self.ontology.position(identifier)]


def _joined(collections: Sequence[GeneSets]) -> GeneSets:
    """Put collections together as annotations; what stands twice for a term adds up."""
    members: dict[str, list[str]] = {}
    names, sources = {}, {}
    for sets in collections:
        given = sets.sources or [""] * len(sets)
        for term, name, genes, source in zip(sets.terms, sets.names, sets.members, given, strict=True):
            members.setdefault(term, []).extend(genes)
            names[term], sources[term] = name, source
    return GeneSets(
        "+".join(sets.collection for sets in collections),
        tuple(members),
        tuple(names.values()),
        tuple(tuple(dict.fromkeys(genes)) for genes in members.values()),
        tuple(sources.values()),
    )


def _themes_of(rows: pd.DataFrame, meaning: _Meaning | None, cuts: dict[str, float]) -> pd.DataFrame:
    """Group the significant terms of one concept, the most significant first."""
    similarity, semantic = _similarity(rows, meaning)
    supports = rows["supports"].to_numpy()
    similarity[supports[:, None] != supports] = -1.0
    leader = _leaders(similarity, np.where(semantic, cuts[SEMANTIC], cuts[OVERLAP]))
    at = np.arange(len(rows))
    first, theme, sizes = np.unique(leader, return_inverse=True, return_counts=True)
    labels = rows["name"].to_numpy(dtype=object)[first]
    identifiers = rows["ontology_id"].to_numpy(dtype=object)[first]
    named = [
        meaning.name(identifier) if meaning and identifier else name
        for identifier, name in zip(identifiers, labels, strict=True)
    ]
    grouped = rows.assign(
        theme=theme,
        theme_term=rows["term"].to_numpy()[leader],
        theme_name=np.array(named, dtype=object)[theme],
        n_terms=sizes[theme],
        similarity=np.where(leader == at, 1.0, similarity[at, leader]),
        basis=np.where(semantic[at, leader], SEMANTIC, OVERLAP),
    )
    return grouped.sort_values("theme", kind="stable")


def _similarity(
    rows: pd.DataFrame, meaning: _Meaning | None
) -> tuple[Float[np.ndarray, "terms terms"], np.ndarray]:
    """Compare terms by meaning where the ontology knows both, by their leading edges where not."""
    similarity = gene_overlap([edge.split(";") if edge else [] for edge in rows["leading_edge"]])
    known = (rows["information_content"].notna()).to_numpy()
    if meaning is not None and known.any():
        terms = list(rows.loc[known, "ontology_id"])
        similarity[np.ix_(known, known)] = semantic_similarity(
            terms, meaning.ontology, meaning.information, measure=meaning.measure
        )
    return similarity, np.logical_and.outer(known, known)


def _leaders(
    similarity: Float[np.ndarray, "terms terms"], least: Float[np.ndarray, "terms terms"]
) -> Int[np.ndarray, " terms"]:
    """Return each term's representative."""
    leader = np.arange(len(similarity))
    for term in range(1, len(similarity)):
        founders = np.flatnonzero(leader[:term] == np.arange(term))
        nearest = founders[np.argmax(similarity[term, founders])]
        if similarity[term, nearest] >= least[term, nearest]:
            leader[term] = nearest
    return leader
