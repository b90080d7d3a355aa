"""One row per concept: what the table, the cards and the sentences of the report are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd

from conceptome.core import Attributions, DifferentialExpression
from conceptome.evaluation.cards import Part
from conceptome.evaluation.naming import UNEXPLAINED
from conceptome.pipeline.report.contents import ReportContents
from conceptome.pipeline.report.term_rows import ALPHA, TermRow, TermTables
from conceptome.plotting.forest import strongest_genes

N_GENES = 8


@dataclass(frozen=True)
class ConceptRow:
    """One concept; a part that was not computed is NaN, None or empty."""

    concept: int
    score: float
    """Mean of the parts that were measured, see `evaluation.card_scores`."""
    parts: dict[str, float]
    """What the score is made of, by name; NaN where not measured."""
    frequency: float
    n_active: int
    mean_activation: float
    best_label: str
    best_label_f1: float
    best_label_share: float
    """How much of the activation lies in cells of the label."""
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
    top_term: TermRow | None
    n_terms: int
    n_terms_shared: int
    n_terms_de: int
    """These five as in `FoundTerms`."""
    survival_75: float
    """Share of the terms at q <= 0.05 that are found again with three quarters of the annotations."""

    @property
    def made_of(self) -> str:
        """The parts of the score, and which were not measured."""
        known = {name: value for name, value in self.parts.items() if np.isfinite(value)}
        words = "made of: " + ", ".join(f"{name} {value:.2f}" for name, value in known.items())
        left = [name for name in self.parts if name not in known]
        return words + (f"; not measured: {', '.join(left)}" if left else "")

    @property
    def n_parts(self) -> int:
        """How many parts of the score were measured."""
        return sum(bool(np.isfinite(value)) for value in self.parts.values())

    @property
    def attributable(self) -> bool:
        """Whether the concept has gene scores."""
        return self.status in {"ok", "underpowered"}


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
    tables = TermTables(contents.enrichment, contents.enrichment_de)
    rows = []
    for record in contents.concepts.to_dict("records"):
        concept = int(record["concept"])
        genes = _driving(contents, concept)
        label = record.get("best_label")
        rows.append(
            ConceptRow(
                concept=concept,
                score=_number(record.get("card_score")),
                parts={name: _number(record.get(f"part_{name}")) for name in get_args(Part)},
                frequency=float(record["frequency"]),
                n_active=int(n_active[concept]),
                mean_activation=_number(record.get("mean_activation")),
                best_label="" if label is None or pd.isna(label) else str(label),
                best_label_f1=_number(record.get("best_label_f1")),
                best_label_share=_number(record.get("best_label_share")),
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
                survival_75=_number(record.get("survival_75")),
                **genes,
                **vars(tables.of(concept)),
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
