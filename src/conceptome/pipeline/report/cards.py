"""One card per concept: its pictures, its numbers, and a sentence wherever something is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from conceptome.core import Attributions
from conceptome.pipeline.report.beside import Side, sides
from conceptome.pipeline.report.contents import ReportContents
from conceptome.pipeline.report.figures import ActivationMaps, Picture, chart
from conceptome.pipeline.report.rows import ConceptRow, display_names, marked_names
from conceptome.pipeline.report.term_rows import TermRow
from conceptome.pipeline.report.theme_pictures import edges_picture
from conceptome.pipeline.report.words import WHY_MISSING, missing_sentences, number
from conceptome.plotting import forest, groups, terms

N_FOREST = 15
MAX_THEMES = 5


@dataclass(frozen=True)
class GeneRow:
    """One line of the table behind the forest."""

    gene: str
    attribution: float
    ci_low: float
    ci_high: float
    q: float
    n_differing: int
    drives: bool


@dataclass(frozen=True)
class Card:
    """What the page shows of one concept."""

    row: ConceptRow
    map: Picture
    max_activation: float
    labels: Picture | None
    genes: Picture | None
    gene_table: tuple[GeneRow, ...]
    running_sum: Picture | None
    running_sum_of: TermRow | None
    edges: Picture | None
    """Genes that carry the findings."""
    de: Picture | None
    beside: tuple[Side, ...]
    """Findings by attribution and by expression."""
    notes: dict[str, str]
    """Why a picture is missing, by its name."""
    facts: tuple[tuple[str, str], ...]


class CardMaker:
    """Makes the cards of one report; what the cards share is prepared once."""

    def __init__(self, contents: ReportContents) -> None:
        self._contents = contents
        self._maps = ActivationMaps(contents.umap)
        self._missing = missing_sentences(contents)
        self._beside = sides(contents.contrast)
        self._pairs = None if contents.pairs is None else contents.pairs.to_frame().groupby("concept")
        self._members = {
            (sets.collection, term): genes
            for sets in contents.gene_sets or ()
            for term, genes in zip(sets.terms, sets.members, strict=True)
        }
        enrichment, attributions = contents.enrichment, contents.attributions
        self._rank_by = (enrichment and enrichment.rank_by) or "z"
        self._names = None if attributions is None else display_names(contents, attributions.genes)

    def make(self, rows: Sequence[ConceptRow]) -> list[Card]:
        """Make one card for each row, with a progress bar.

        Parameters
        ----------
        rows
            The concepts that get a card.

        Returns
        -------
        The cards in the same order.
        """
        return [self._card(row) for row in tqdm(rows, desc="report", unit="card", disable=None)]

    def _card(self, row: ConceptRow) -> Card:
        activation = self._contents.activations.of(row.concept)
        where = f", mostly {row.best_label}" if row.best_label else ""
        alt = f"UMAP of the cells; concept {row.concept} is active in {row.n_active:,} cells{where}."
        best, picture = self._running_sum(row)
        return Card(
            row=row,
            map=self._maps.draw(activation, alt=alt),
            max_activation=float(activation.max()),
            labels=self._labels(row),
            genes=self._genes(row),
            gene_table=self._gene_table(row),
            running_sum=picture,
            running_sum_of=best,
            edges=self._edges(row),
            de=self._de(row),
            beside=self._beside.get(row.concept, ()),
            notes=self._notes(row),
            facts=self._facts(row),
        )

    def _labels(self, row: ConceptRow) -> Picture | None:
        contents = self._contents
        if contents.labels.shape[1] == 0:
            return None
        column = contents.labels.iloc[:, 0]
        return chart(
            lambda ax: groups.labels(contents.activations, column, row.concept, ax=ax),
            alt=f"Share of the cells of each {column.name} that activate concept {row.concept}.",
            margins=(0.32, 0.2, 0.15, 0.02),
        )

    def _attributed(self, row: ConceptRow) -> Attributions | None:
        return self._contents.attributions if row.attributable else None

    def _genes(self, row: ConceptRow) -> Picture | None:
        attributions = self._attributed(row)
        if attributions is None or not self._gene_table(row):
            return None
        names = marked_names(self._contents, attributions, row.concept)
        return chart(
            lambda ax: forest.genes(attributions, row.concept, n=N_FOREST, gene_names=names, ax=ax),
            alt=f"Gene attributions of concept {row.concept} with 95% intervals; numbers in the table below.",
            margins=(0.24, 0.25, 0.13, 0.05),
            size=(3.2, 2.9),
        )

    def _gene_table(self, row: ConceptRow) -> tuple[GeneRow, ...]:
        a = self._attributed(row)
        if a is None or self._names is None:
            return ()
        at = forest.row_of(a, row.concept)
        return tuple(
            GeneRow(
                str(self._names[gene]),
                float(a.attribution[at, gene]),
                float(a.ci_low[at, gene]),
                float(a.ci_high[at, gene]),
                float(a.q[at, gene]),
                int(a.n_differing[at, gene]),
                bool(a.drives[at, gene]),
            )
            for gene in forest.strongest_genes(a, at, n=N_FOREST)
        )

    def _de(self, row: ConceptRow) -> Picture | None:
        attributions, de = self._attributed(row), self._contents.de
        if attributions is None or de is None or row.concept not in de.concepts:
            return None
        return chart(
            lambda ax: forest.attribution_vs_de(attributions, de, row.concept, gene_names=self._names, ax=ax),
            alt=f"Attribution of each gene against its expression where concept {row.concept} is active.",
        )

    def _running_sum(self, row: ConceptRow) -> tuple[TermRow | None, Picture | None]:
        best = row.top_term or (row.terms[0] if row.terms else None)
        attributions = self._attributed(row)
        genes = None if best is None else self._members.get((best.collection, best.term))
        enrichment = self._contents.enrichment
        has_sum = enrichment is not None and enrichment.method == "gsea"  # other methods have none
        if not has_sum or best is None or attributions is None or genes is None:
            return None, None
        scores = self._scores(attributions, row)
        picture = chart(
            lambda ax: terms.running_sum(scores, genes, ax=ax),
            alt=f"Running sum of {best.name} along the genes of concept {row.concept}.",
            size=(3.2, 2.2),
            margins=(0.17, 0.03, 0.19, 0.03),
        )
        return best, picture

    def _scores(self, attributions: Attributions, row: ConceptRow) -> pd.Series:
        ranked = attributions.scores(self._rank_by).loc[row.concept]
        return pd.Series(ranked.to_numpy(), index=self._names)

    def _edges(self, row: ConceptRow) -> Picture | None:
        attributions, themes = self._attributed(row), self._contents.themes
        if attributions is None or self._contents.enrichment is None:
            return None
        return edges_picture(themes, self._scores(attributions, row), row.concept)

    def _notes(self, row: ConceptRow) -> dict[str, str]:
        """Say what is missing from this card and why; the run as a whole first, then this concept."""
        notes = dict(self._missing)
        if "attributions" not in notes and not row.attributable:
            notes["attributions"] = f"This concept is {row.status or 'not among the attributions'}."
        elif row.status == "underpowered":
            notes["underpowered"] = (
                "Underpowered: with these pairs no gene could have reached q ≤ 0.05, so hollow points do not "
                "mean that no gene drives this concept. More pairs (--n-pairs) help if it is active in "
                "enough cells."
            )
        if "enrichment" not in notes and not row.terms:
            notes["enrichment"] = (
                "No gene set could be tested: none has enough genes that affect this concept."
            )
        return notes

    def _facts(self, row: ConceptRow) -> tuple[tuple[str, str], ...]:
        facts = [
            ("Active in", f"{row.n_active:,} cells ({row.frequency:.2%})"),
            ("Mean activation where active", number(row.mean_activation)),
            ("Status", row.status or WHY_MISSING["attributions"]),
        ]
        if row.n_parts:
            facts.insert(
                0, (f"Score {row.score:.2f}, mean of {row.n_parts} of {len(row.parts)} parts", row.made_of)
            )
        if row.themes:
            more = f" and {len(row.themes) - MAX_THEMES} more" if len(row.themes) > MAX_THEMES else ""
            facts.append(("Themes", "; ".join(row.themes[:MAX_THEMES]) + more))
        n_found = row.n_terms_de if self._contents.enrichment is None else row.n_terms
        if np.isfinite(row.survival_75) and n_found:
            survived = number(row.survival_75 * n_found, digits=2)
            words = f"of {n_found:,}, {survived} survive the loss of a quarter of the annotations"
            facts.append(("Findings", words))
        if row.evidence:
            facts.append((f"Name, confidence {number(row.confidence, digits=2)}", row.evidence))
        if np.isfinite(row.stability):
            chance = number(row.stability_null, digits=2)
            facts.append(("Direction over seeds", f"{number(row.stability, digits=2)} (chance {chance})"))
            returns = ", returns with every seed" if row.recurring else ""
            facts.append(("Cells over seeds", number(row.stability_activations, digits=2) + returns))
        if row.module is not None:
            facts.append(("Module", str(row.module)))
        return (*facts, *self._pair_facts(row), *self._attribution_facts(row))

    def _pair_facts(self, row: ConceptRow) -> list[tuple[str, str]]:
        if self._pairs is None or row.concept not in self._pairs.groups or self._contents.pairs is None:
            return []
        pairs = self._pairs.get_group(row.concept)
        dropped = self._contents.pairs.n_dropped.get(row.concept, 0)
        without = f", {dropped:,} active cells without a partner" if dropped else ""
        ratio = number(pairs["library_ratio"].median(), digits=2)
        return [
            ("Pairs", f"{len(pairs):,}{without}"),
            ("Distance within pairs", f"percentile {pairs['distance_percentile'].median():.1f} (median)"),
            ("Library size, active / silent", f"{ratio} (median)"),
            *([("Mind", row.pair_warning)] if row.pair_warning else []),
        ]

    def _attribution_facts(self, row: ConceptRow) -> list[tuple[str, str]]:
        attributions = self._attributed(row)
        if attributions is None:
            return []
        at = forest.row_of(attributions, row.concept)
        rate = attributions.null_driver_rate[at]
        return [
            ("Driving genes", f"{row.n_supporters:,} support, {row.n_opponents:,} oppose"),
            ("Null floor", number(attributions.floor[at], digits=2)),
            ("Genes called on null pairs", "–" if np.isnan(rate) else f"{rate:.2%}"),
        ]
