"""One row per concept: what the table, the cards and the sentences of the report are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from conceptome.core import Attributions, DifferentialExpression, Enrichment
from conceptome.evaluation.naming import UNEXPLAINED
from conceptome.pipeline.report.contents import ReportContents
from conceptome.plotting.forest import strongest_genes

ALPHA = 0.05
N_GENES = 8
N_TERMS = 6


@dataclass(frozen=True)
class TermRow:
    """One term of a concept."""

    term: str
    name: str
    collection: str
    nes: float
    q: float
    """Corrected over all tests of the run."""
    q_de: float
    """The same on the differential expression of the concept; NaN if not tested."""
    size: int
    leading_edge: tuple[str, ...]


@dataclass(frozen=True)
class ConceptRow:
    """One concept; a part that was not computed is NaN, None or empty."""

    concept: int
    frequency: float
    n_active: int
    mean_activation: float
    best_label: str
    best_label_f1: float
    auto_name: str
    """Made of label, term and genes; empty where nothing stands."""
    confidence: float
    """Of the name, 0 to 1."""
    evidence: str
    themes: tuple[str, ...]
    """Groups of alike findings, the most significant first."""
    stability: float
    stability_null: float
    """What chance reaches."""
    stability_activations: float
    recurring: bool
    """Whether every other seed has the concept, by the cells that activate it."""
    module: int | None
    status: str
    """``"ok"``, ``"underpowered"``, ``"not attributable: ..."``, or empty without attributions."""
    pair_warning: str
    """What may confound its attribution; empty where nothing was found."""
    supporters: tuple[str, ...]
    """Genes that drive the concept with a positive attribution, the strongest first."""
    opponents: tuple[str, ...]
    n_supporters: int
    n_opponents: int
    strongest: tuple[str, ...]
    """Genes with the largest positive attribution, whether or not they pass as drivers."""
    raised: tuple[str, ...]
    """Genes most raised where the concept is active, by differential expression."""
    terms: tuple[TermRow, ...]
    """Best terms by q, then by NES."""
    n_terms: int
    """Terms at q <= 0.05."""
    n_terms_shared: int
    """Of these, found by the differential expression too."""
    n_terms_de: int

    @property
    def attributable(self) -> bool:
        """Whether the concept has gene scores."""
        return self.status in {"ok", "underpowered"}

    @property
    def top_term(self) -> TermRow | None:
        """The best term that supports the concept at q <= 0.05."""
        return next((term for term in self.terms if term.q <= ALPHA and term.nes > 0), None)


def concept_rows(contents: ReportContents) -> list[ConceptRow]:
    """Gather what is known of every concept, in the order of the dictionary.

    Parameters
    ----------
    contents
        What the report shows.

    Returns
    -------
    One row per concept of ``contents.concepts``.
    """
    n_active = np.bincount(
        contents.activations.values.indices[contents.activations.values.data > 0],
        minlength=contents.activations.n_concepts,
    )
    terms = _by_concept(contents.enrichment)
    terms_de = _by_concept(contents.enrichment_de)
    rows = []
    for record in contents.concepts.to_dict("records"):
        concept = int(record["concept"])
        genes = _driving(contents, concept)
        found = _terms(terms.get(concept), terms_de.get(concept))
        label = record.get("best_label")
        rows.append(
            ConceptRow(
                concept=concept,
                frequency=float(record["frequency"]),
                n_active=int(n_active[concept]),
                mean_activation=_number(record.get("mean_activation")),
                best_label="" if label is None or pd.isna(label) else str(label),
                best_label_f1=_number(record.get("best_label_f1")),
                auto_name=_named(record),
                confidence=_number(record.get("confidence")),
                evidence=str(record.get("evidence") or ""),
                themes=tuple(filter(None, str(record.get("themes") or "").split(";"))),
                stability=_number(record.get("stability")),
                stability_null=_number(record.get("stability_null")),
                stability_activations=_number(record.get("stability_activations")),
                recurring=record.get("recurring_activations") is True,
                pair_warning=str(record.get("pair_warning") or ""),
                module=None if pd.isna(record.get("module", pd.NA)) else int(record["module"]),
                raised=_raised(contents, concept),
                **genes,
                **found,
            )
        )
    return rows


def choose_cards(rows: list[ConceptRow], max_cards: int) -> list[ConceptRow]:
    """Choose the concepts that get a card: attributable before frequent, never silent ones.

    Parameters
    ----------
    rows
        All concepts.
    max_cards
        Largest number of cards.

    Returns
    -------
    The chosen concepts, those that separate a label best first.
    """
    active = [row for row in rows if row.n_active > 0]
    rank = {"ok": 0, "underpowered": 1}
    chosen = sorted(active, key=lambda row: (rank.get(row.status, 2), -row.frequency, row.concept))[
        :max_cards
    ]
    return sorted(chosen, key=lambda row: -np.nan_to_num(row.best_label_f1))


def display_names(contents: ReportContents, genes: pd.Index[str]) -> pd.Index[str]:
    """Return the symbol of each gene where the contents know one, otherwise its own name."""
    symbols = contents.gene_names or {}
    return pd.Index([str(symbols.get(gene, gene)) for gene in genes])


def marked_names(contents: ReportContents, attributions: Attributions, concept: int) -> pd.Index[str]:
    """Name the genes, with an arrow down where a gene is lower where the concept is active (q <= 0.05).

    Without differential expression of the same genes no gene is marked.
    """
    names = display_names(contents, attributions.genes)
    de, row = contents.de, _row_position(contents.de, concept)
    if de is None or row is None or not de.genes.equals(attributions.genes):
        return names
    lower = (de.score[row] < 0) & (de.q[row] <= ALPHA)
    return pd.Index([f"{name}↓" if low else name for name, low in zip(names, lower, strict=True)])


def _named(record: dict[Any, Any]) -> str:
    name = str(record.get("auto_name") or "")
    return "" if name == UNEXPLAINED else name


def _number(value: Any) -> float:  # noqa: ANN401 - a cell of a table
    return float("nan") if value is None or pd.isna(value) else float(value)


def _row_position(record: Attributions | DifferentialExpression | None, concept: int) -> int | None:
    if record is None:
        return None
    found = np.flatnonzero(record.concepts == concept)
    return int(found[0]) if len(found) else None


def _driving(contents: ReportContents, concept: int) -> dict[str, Any]:
    attributions = contents.attributions
    row = _row_position(attributions, concept)
    if attributions is None or row is None:
        return {
            "status": "",
            "supporters": (),
            "opponents": (),
            "strongest": (),
            "n_supporters": 0,
            "n_opponents": 0,
        }
    score = attributions.attribution[row]
    drivers = strongest_genes(attributions, row, n=len(score), drivers_only=True)
    supporters, opponents = drivers[score[drivers] > 0], drivers[score[drivers] < 0][::-1]
    names = marked_names(contents, attributions, concept)
    largest = np.argsort(-np.nan_to_num(score), kind="stable")[:N_GENES]
    largest = largest[np.nan_to_num(score[largest]) > 0]
    return {
        "strongest": tuple(names[largest]),
        "status": str(attributions.status[row]),
        "supporters": tuple(names[supporters[:N_GENES]]),
        "opponents": tuple(names[opponents[:N_GENES]]),
        "n_supporters": len(supporters),
        "n_opponents": len(opponents),
    }


def _raised(contents: ReportContents, concept: int) -> tuple[str, ...]:
    row = _row_position(contents.de, concept)
    if contents.de is None or row is None:
        return ()
    score = np.where(contents.de.q[row] <= ALPHA, np.nan_to_num(contents.de.score[row]), 0.0)
    best = np.argsort(-score, kind="stable")[:N_GENES]
    return tuple(display_names(contents, contents.de.genes[best[score[best] > 0]]))


def _by_concept(enrichment: Enrichment | None) -> dict[int, pd.DataFrame]:
    if enrichment is None:
        return {}
    tested = enrichment.table[~enrichment.table["no_signal"].astype(bool)]
    groups = tested.groupby("concept", sort=False)
    return {int(table["concept"].iloc[0]): table for _, table in groups}


def _terms(table: pd.DataFrame | None, table_de: pd.DataFrame | None) -> dict[str, Any]:
    q_de: dict[tuple[str, str], float] = {}
    if table_de is not None:
        keys = zip(table_de["collection"], table_de["term"], strict=True)
        q_de = dict(zip(keys, table_de["q_global"], strict=True))
    n_de = sum(q <= ALPHA for q in q_de.values())
    if table is None:
        return {"terms": (), "n_terms": 0, "n_terms_shared": 0, "n_terms_de": n_de}
    best = table.assign(strength=table["nes"].abs()).sort_values(
        ["q_global", "strength", "term"], ascending=[True, False, True], kind="stable"
    )
    significant = best[best["q_global"] <= ALPHA]
    keys = zip(significant["collection"], significant["term"], strict=True)
    shared = sum(q_de.get(key, np.nan) <= ALPHA for key in keys)
    rows = tuple(_term_row(record, q_de) for record in best.head(N_TERMS).to_dict("records"))
    return {"terms": rows, "n_terms": len(significant), "n_terms_shared": shared, "n_terms_de": n_de}


def _term_row(record: dict[Any, Any], q_de: dict[tuple[str, str], float]) -> TermRow:
    edge = str(record["leading_edge"] or "")
    return TermRow(
        term=str(record["term"]),
        name=str(record["name"]).replace("_", " "),  # so that long names can break
        collection=str(record["collection"]),
        nes=float(record["nes"]),
        q=float(record["q_global"]),
        q_de=float(q_de.get((record["collection"], record["term"]), np.nan)),
        size=int(record["size"]),
        leading_edge=tuple(edge.split(";")) if edge else (),
    )
