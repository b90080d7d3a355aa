"""The part of the page on trust in gene sets: null controls, thinned annotations, expression beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from conceptome.enrichment.calibration import EXPRESSION_MATCHED, GENE_PERMUTED, NULL_PAIRS
from conceptome.pipeline.report.contents import ReportContents
from conceptome.pipeline.report.figures import Picture, chart
from conceptome.pipeline.report.rows import ConceptRow
from conceptome.pipeline.report.term_rows import ALPHA
from conceptome.plotting import terms, thinning

QUESTIONS = {
    GENE_PERMUTED: "Gene sets of random genes",
    NULL_PAIRS: "The run's gene sets, on pairs of two cells that both have the concept",
    EXPRESSION_MATCHED: "Gene sets of random genes that are expressed as highly as the true ones",
}
MEANINGS = {
    GENE_PERMUTED: "The test itself calls too much: take q as a ranking, not as an error rate.",
    NULL_PAIRS: (
        "Some gene sets come up whichever cells are compared: a finding near q = 0.05 may not be owed to the "
        "concept."
    ),
    EXPRESSION_MATCHED: (
        "Genes of like expression score alike: part of the findings may be owed to how highly genes are "
        "expressed."
    ),
}


@dataclass(frozen=True)
class ControlLine:
    """One null control."""

    question: str
    rate: float
    n_tests: int
    exceeded: bool
    """Whether the rate is above its bound by more than chance explains."""


@dataclass(frozen=True)
class Trust:
    """What the page says."""

    lines: tuple[ControlLine, ...]
    warnings: tuple[str, ...]
    flagged: tuple[str, ...]
    """Sentences on ribosomal and mitochondrial sets."""
    calibration: Picture | None
    completeness: Picture | None
    completeness_sentence: str
    contrast_sentence: str


def trust(contents: ReportContents, rows: Sequence[ConceptRow]) -> Trust:
    """Prepare the part on trust.

    Parameters
    ----------
    contents
        What the report shows.
    rows
        All concepts.

    Returns
    -------
    What the page says.
    """
    rates = _rates_at_level(contents)
    by_control = {str(record["control"]): record for record in rates[rates["flag"] == ""].to_dict("records")}
    whole = [by_control[control] for control in QUESTIONS if control in by_control]
    lines = tuple(_line(record, str(QUESTIONS[record["control"]])) for record in whole)
    exceeded = [record["control"] for record, line in zip(whole, lines, strict=True) if line.exceeded]
    return Trust(
        lines=lines,
        warnings=tuple(MEANINGS[control] for control in exceeded),
        flagged=tuple(_flagged(rates, rows, flag) for flag in dict.fromkeys(rates["flag"]) if flag),
        calibration=_calibration(contents),
        completeness=_completeness(contents),
        completeness_sentence=_completeness_sentence(contents),
        contrast_sentence=_contrast_sentence(contents, rows),
    )


def _rates_at_level(contents: ReportContents) -> pd.DataFrame:
    if contents.enrichment is None or contents.enrichment.calibration.empty:
        return pd.DataFrame({"flag": [], "control": []})
    table = contents.enrichment.calibration
    return table[np.isclose(table["alpha"], ALPHA)]


def _line(record: Mapping[Any, Any], question: str) -> ControlLine:
    return ControlLine(question, record["rate"], record["n_tests"], exceeded=record["ci_low"] > ALPHA)


def _flagged(rates: pd.DataFrame, rows: Sequence[ConceptRow], flag: str) -> str:
    """Say how often flagged sets are called where there is nothing to find, and what that means here."""
    records = rates[rates["flag"] == flag].to_dict("records")
    where = {
        NULL_PAIRS: "on such pairs of cells",
        EXPRESSION_MATCHED: "when random genes expressed alike stand in",
    }
    called = " and ".join(f"in {r['rate']:.0%} of tests {where[r['control']]}" for r in records)
    n_concepts = sum(any(term.flag == flag and term.q <= ALPHA for term in row.terms) for row in rows)
    words = f"Sets of mostly {flag} genes are called {called}, where 5% is the most to expect."
    if all(record["ci_low"] <= ALPHA for record in records):
        return f"{words} That is within bounds."
    return (
        f"{words} Such findings are marked {flag} (concepts with one among their best gene sets: "
        f"{n_concepts:,}). Do not build on them alone; names prefer other gene sets."
    )


def _calibration(contents: ReportContents) -> Picture | None:
    enrichment = contents.enrichment
    if enrichment is None or enrichment.calibration.empty:
        return None
    return chart(
        lambda ax: terms.calibration(enrichment, ax=ax),
        alt="Share of null tests with p below each level, against the level.",
        size=(5.0, 3.4),
        margins=(0.16, 0.03, 0.15, 0.03),
    )


def _has_findings(contents: ReportContents) -> bool:
    table = contents.completeness
    return table is not None and bool((table["n_findings"] > 0).any())


def _completeness(contents: ReportContents) -> Picture | None:
    table = contents.completeness
    if table is None or not _has_findings(contents):
        return None
    return chart(
        lambda ax: thinning.completeness(table, ax=ax),
        alt="Share of findings that survive, against the share of annotations that is kept.",
        size=(5.0, 3.4),
        margins=(0.13, 0.03, 0.14, 0.03),
    )


def _completeness_sentence(contents: ReportContents) -> str:
    """Say how many findings survive; empty if that was not measured."""
    table = contents.completeness
    if table is None:
        return ""
    if not _has_findings(contents):
        return "There is no finding that could be lost."
    by = "attribution" if contents.enrichment is not None else "expression"
    tested = contents.enrichment or contents.enrichment_de
    permuted = tested is not None and tested.method == "gsea"
    chance = "Part of the loss is the chance of the test's permutations. " if permuted else ""
    repeats = table["repeat"].nunique()
    summed = table.groupby("share", sort=True)[["n_survived", "n_findings"]].sum().iloc[::-1]
    survival = summed["n_survived"] / summed["n_findings"]
    parts = [f"{rate:.0%} with {share:.0%}" for share, rate in survival.items()]
    parts[0] = parts[0].replace(" with", " are found again with") + " of the annotations"
    listed = ", ".join(parts[:-1]) + (f" and {parts[-1]}" if len(parts) > 1 else parts[-1])
    return (
        f"Of {int(summed['n_findings'].iloc[0] / repeats):,} findings by {by}, {listed} ({repeats} random "
        f"draws each). {chance}What is lost first rests on few annotations; the cards say it for each "
        "concept."
    )


def _contrast_sentence(contents: ReportContents, rows: Sequence[ConceptRow]) -> str:
    """Compare what attribution and differential expression find in the gene sets."""
    found, shared = sum(row.n_terms for row in rows), sum(row.n_terms_shared for row in rows)
    by_de = sum(row.n_terms_de for row in rows)
    words = (
        f"At q ≤ {ALPHA} attribution finds {found:,} concept–term links, differential expression {by_de:,}; "
        f"{shared:,} are found by both."
    )
    record = contents.contrast
    if record is None or not np.isfinite([record.jaccard, record.expected, record.p]).all():
        return words
    opposite = int((record.findings["found"] == "opposite").sum())
    less = "more than chance explains" if record.p <= ALPHA else "no more than chance explains"
    return (
        f"{words} Of these, {opposite:,} have opposite signs. Within a concept the two agree on "
        f"{record.jaccard:.1%} of what either finds (mean over concepts); when the findings of different "
        f"concepts are compared it is {record.expected:.1%}, so they agree {less} (p = {record.p:.2g})."
    )
