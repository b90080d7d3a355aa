"""The sentences of the report: what was learned, what is missing and why, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from conceptome.pipeline.report.contents import ReportContents
from conceptome.pipeline.report.method_words import described
from conceptome.pipeline.report.rows import ConceptRow
from conceptome.pipeline.report.term_rows import ALPHA

AGGREGATES = {
    "relative": "the summed effect divided by the summed activation",
    "pre": "the mean effect on the pre-activation",
}
GOOD_F1, FAIR_F1, WEAK_F1 = 0.8, 0.5, 0.3

WHY_MISSING: Mapping[str, str] = {
    "attributions": (
        "Gene attribution was not computed. It needs an encoder that can read edited cells: run again with "
        "--encoder linear or --encoder scvi."
    ),
    "pairs": "No counterfactual pairs were matched.",
    "de": "Differential expression was not computed.",
    "enrichment": (
        "No gene sets were tested on the attributions. Run again with --gene-sets FILE.gmt, or with the "
        "shipped collection immune-starter."
    ),
    "enrichment_de": "No gene sets were tested on the differential expression.",
    "completeness": "What findings owe to complete annotations was not measured. Run again to measure it.",
    "contrast": "Findings by attribution and by expression were not compared.",
    "evaluation": "Fidelity was not measured.",
    "stability": "Stability over seeds was not measured. Run again with --n-seeds 5.",
    "modules": "Concepts were not grouped into modules.",
    "labels": "The run was given no label column. Run again with --label-key to see what a concept marks.",
}


@dataclass(frozen=True)
class Finding:
    """What stands for one label in the summary."""

    label: str
    n_cells: int
    row: ConceptRow | None
    """The concept that has this as its best label, with the highest F1; None if there is none."""
    closest: int | None = None
    """Without such a concept, the one that separates the label best, though it fits another better."""
    closest_f1: float = float("nan")


def missing_sentences(contents: ReportContents) -> dict[str, str]:
    """Say for every part that the report lacks why, and what to run.

    Parameters
    ----------
    contents
        What the report shows.

    Returns
    -------
    A sentence by the name of the part; parts that are there do not occur.
    """
    absent = [name for name in WHY_MISSING if name != "labels" and getattr(contents, name) is None]
    if contents.labels.shape[1] == 0:
        absent.append("labels")
    sentences = {name: contents.missing.get(name, WHY_MISSING[name]) for name in absent}
    if "attributions" in sentences and "enrichment" in sentences and "enrichment" not in contents.missing:
        sentences["enrichment"] = "Gene sets are tested on gene attributions, and there are none in this run."
    return sentences


def findings(contents: ReportContents, rows: Sequence[ConceptRow]) -> dict[str, list[Finding]]:
    """Find the concept that marks each label.

    Parameters
    ----------
    contents
        What the report shows.
    rows
        All concepts.

    Returns
    -------
    Findings by label column, the most frequent label first.
    """
    by_concept = {row.concept: row for row in rows}
    table = contents.concepts
    if "best_label" not in table:
        return {}
    keys = table["best_label_key"] if "best_label_key" in table else [contents.labels.columns[0]] * len(table)
    named = table.assign(best_label_key=keys, best_label=table["best_label"].astype("string"))
    named = named.sort_values(["best_label_f1", "concept"], ascending=[False, True], kind="stable")
    best = named.dropna(subset=["best_label"]).drop_duplicates(["best_label_key", "best_label"])
    chosen = {(r["best_label_key"], r["best_label"]): int(r["concept"]) for r in best.to_dict("records")}
    units = _best_units(contents)
    found = {}
    for key in contents.labels.columns:
        counts = contents.labels[key].astype("string").value_counts()
        found[str(key)] = [
            _finding(str(label), n, chosen.get((key, label)), units.get((key, label)), by_concept)
            for label, n in zip(counts.index, counts.tolist(), strict=True)
        ]
    return found


def _finding(
    label: str,
    n_cells: int,
    chosen: int | None,
    unit: tuple[int, float] | None,
    by_concept: Mapping[int, ConceptRow],
) -> Finding:
    if chosen is not None:
        return Finding(label, n_cells, by_concept[chosen])
    return Finding(label, n_cells, None, *(unit or ()))


def _best_units(contents: ReportContents) -> dict[tuple[Any, Any], tuple[int, float]]:
    if contents.evaluation is None or contents.evaluation.units.empty:
        return {}
    units = contents.evaluation.units
    ours = units[(units["dictionary"] == units["dictionary"].iloc[0]) & units["f1"].notna()]
    return {(r["label_key"], r["label"]): (int(r["unit"]), float(r["f1"])) for r in ours.to_dict("records")}


def headline(contents: ReportContents, rows: Sequence[ConceptRow]) -> str:
    """Sum the run up in a few sentences.

    Parameters
    ----------
    contents
        What the report shows.
    rows
        All concepts.

    Returns
    -------
    Plain text.
    """
    n_cells = len(contents.activations.cell_ids)
    alive = sum(row.n_active > 0 for row in rows)
    words = [
        f"The model's description of {n_cells:,} cells was taken apart into {len(rows):,} concepts, of which "
        f"{alive:,} are active in at least one cell."
    ]
    if contents.attributions is not None:
        driven = sum(row.n_supporters > 0 for row in rows)
        if np.isfinite(contents.attributions.floor).any():
            words.append(f"For {driven:,} of them the model uses at least one gene more than chance allows.")
        else:
            words.append("Without null pairs no gene can be called a driver; the largest effects are shown.")
    if contents.enrichment is not None:
        named = sum(row.n_terms > 0 for row in rows)
        having = "1 has" if named == 1 else f"{named:,} have" if named else "None has"
        words.append(f"{having} a gene set at q ≤ {ALPHA}, corrected over all tests of the run.")
    return " ".join(words)


def marking(f1: float) -> str:
    """Say how well a concept separates a label."""
    if f1 >= GOOD_F1:
        return "marks"
    if f1 >= FAIR_F1:
        return "partly marks"
    return "leans towards" if f1 >= WEAK_F1 else "fits no label well; the nearest is"


def lacking(row: ConceptRow) -> str:
    """Say why no genes are named as drivers of a concept; empty where none were looked for."""
    if row.status == "ok":
        return "No gene passes as a driver."
    if row.status == "underpowered":
        return "Too few cells to judge single genes."
    return "Its genes could not be attributed." if row.status else ""


def fidelity_sentence(contents: ReportContents) -> str:
    """Say how much of the embedding the concepts keep, beside the baselines; empty if not measured."""
    if contents.evaluation is None:
        return ""
    measures = contents.evaluation.measures
    overall = measures[(measures["label_key"] == "") & (measures["label"] == "")]
    r2 = overall[overall["metric"] == "r2"].set_index("dictionary")["value"]
    l0 = overall[overall["metric"] == "l0"].set_index("dictionary")["value"]
    if r2.empty or l0.empty:
        return ""
    return (
        f"On cells that were held out, the concepts reproduce {r2.iloc[0]:.1%} of the variance of the "
        f"embedding with {l0.iloc[0]:.1f} active concepts per cell."
    )


def _silence(contents: ReportContents) -> str:
    settings = contents.manifest.get("settings", {})
    silence = {"absent": "silent, also before competition between concepts"}.get(
        settings.get("contrast"), "silent"
    )
    return silence + {"distinct": ", each used once"}.get(settings.get("pairing"), "")


def not_attributed(contents: ReportContents, rows: Sequence[ConceptRow]) -> list[tuple[ConceptRow, str]]:
    """List the concepts without trustworthy gene scores, each with the reason."""
    if contents.attributions is None:
        return []
    reasons = {
        "underpowered": "underpowered: with its pairs no gene could have reached q ≤ 0.05",
        "": "not attributed",
    }
    return [
        (row, "silent: active in no cell" if row.n_active == 0 else reasons.get(row.status, row.status))
        for row in rows
        if row.status != "ok"
    ]


def number(value: object, *, digits: int = 3) -> str:
    """Write a number for people: thousands separated, few digits, a dash where there is none."""
    if value is None or (not isinstance(value, str) and pd.isna(value)):  # type: ignore[call-overload]
        return "–"
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float, np.number)):
        return str(value)
    real = float(value)
    if real.is_integer() or abs(real) >= 1000:
        return f"{real:,.0f}"
    return f"{real:.{digits}g}"


def methods(contents: ReportContents) -> str:
    """Describe what was done, with the numbers of this run."""
    words = [
        "Embeddings of the cells were decomposed by a sparse dictionary, whose concepts have non-negative "
        "activations, few of them per cell."
    ]
    pairs, attributions, enrichment = contents.pairs, contents.attributions, contents.enrichment
    if pairs is not None:
        n_concepts = len(np.unique(pairs.concept))
        words.append(
            f"For {n_concepts:,} concepts, {len(pairs):,} pairs of an active and a near cell were formed "
            f"(Euclidean distance in the scaled embedding); the second is {_silence(contents)}."
        )
    if attributions is not None:
        score = AGGREGATES[attributions.aggregate]
        words.append(
            f"Gene by gene, the active cell was edited ({attributions.intervention}) and encoded again; "
            f"attribution is {score}, with 95% bootstrap intervals over cells, a sign-flip test per gene, "
            "Benjamini–Hochberg q-values within each concept, and a null floor from pairs of two active "
            "cells (the 95th percentile of absolute attribution). Editing nothing moved the embedding by "
            f"at most {attributions.noise_floor:.1e}."
        )
    if contents.de is not None:
        words.append(
            "Differential expression compares active with silent cells (Wilcoxon rank-sum, tie-corrected)."
        )
    if enrichment is not None:
        words.append(described(enrichment))
    ids = f"Dictionary {contents.activations.dictionary_id}"
    if attributions is not None:
        ids += f", encoder {attributions.encoder_id}"
    return " ".join([*words, f"{ids}."])
