"""A short name for every concept, made of what is known of it, with the evidence beside it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from conceptome.core import Attributions, DifferentialExpression, Enrichment
from conceptome.enrichment.flags import suspect_flags
from conceptome.evaluation.term_words import readable_term

UNEXPLAINED = "unexplained"
ALPHA = 0.05
LEAST_F1 = 0.5
LEAST_SHARE = 0.5  # of the activation that lies in the label's cells, for the label to be the name
KEY = ["concept", "collection", "term"]
BY_BOTH, BY_ATTRIBUTION = 1.0, 0.6  # strength of a term that differential expression finds too, or does not
SUSPECT = 0.2  # of a term of a kind that is called where there is nothing to find
HALF_GENES = 3  # drivers that are half of the strongest evidence
N_GENES = 3


@dataclass(frozen=True)
class _Evidence:
    """One kind of evidence for one concept."""

    words: str
    """For the name; empty where it is not what the concept should be called by."""
    sentence: str
    strength: float
    """0 to 1."""


def name_concepts(
    concepts: Sequence[int],
    *,
    labels: pd.DataFrame | None = None,
    attributions: Attributions | None = None,
    enrichment: Enrichment | None = None,
    enrichment_de: Enrichment | None = None,
    de: DifferentialExpression | None = None,
) -> pd.DataFrame:
    """Name concepts by the label they mark, the term that their genes make up, and the genes themselves.

    Three kinds of evidence count, each with a strength between 0 and 1: the label that the concept separates
    best, by its F1 on test cells, from 0.5 on; a term with q_global <= 0.05 whose genes support the concept,
    1 if differential expression finds it too and 0.6 if not; the n genes that drive the concept and support
    it, by n / (n + 3). The confidence is their mean; kinds that are missing count 0. Where less than half of
    the concept's activation lies in cells of the label, its F1 counts times that share, and the label is no
    part of the name. Of the terms, the strongest evidence names, then the smallest q. A cell may be
    recognised by what it lacks: where the genes of a term are lower in the cells of the concept, the name
    says "low", and the term counts 0.6. Ribosomal or mitochondrial terms count 0.2 and come last where null
    controls call such terms too often.

    Parameters
    ----------
    concepts
        The concepts to name.
    labels
        ``concept, best_label, best_label_f1, best_label_share``, as `label_concepts` gives them.
    attributions
        Gene scores.
    enrichment
        Terms by attribution.
    enrichment_de
        Terms by differential expression, for comparison.
    de
        Differential expression of the same genes: those lower in the concept's cells come last and get an
        arrow down.

    Returns
    -------
    ``concept, auto_name, confidence, evidence``: a row per concept in the order given. Without any evidence
    the name is ``"unexplained"`` and the confidence 0. Several concepts may have one name.
    """
    marked = _by_label(labels)
    terms = _by_term(enrichment, enrichment_de)
    genes = _by_genes(attributions, de)
    rows = []
    for concept in concepts:
        kinds = [found.get(concept) for found in (marked, terms, genes)]
        known = [each for each in kinds if each is not None]
        rows.append(
            {
                "concept": concept,
                "auto_name": _name(*kinds),
                "confidence": sum(each.strength for each in known) / len(kinds),
                "evidence": "; ".join(each.sentence for each in known),
            }
        )
    return pd.DataFrame(rows, columns=["concept", "auto_name", "confidence", "evidence"])


def _name(label: _Evidence | None, term: _Evidence | None, genes: _Evidence | None) -> str:
    """Put the label first, then the term, else the genes; genes alone only where there is nothing else."""
    label = label if label and label.words else None
    if label is None and term is None:
        return genes.words if genes else UNEXPLAINED
    if term is None:
        return f"{label.words} ({genes.words})" if label and genes else str(label and label.words)
    if label is None:
        return f"{term.words} ({genes.words})" if genes else term.words
    return f"{label.words}: {term.words}"


def _by_label(labels: pd.DataFrame | None) -> dict[int, _Evidence]:
    if labels is None:
        return {}
    known = labels.dropna(subset=["best_label", "best_label_f1"])
    known = known[known["best_label_f1"] >= LEAST_F1]
    return {int(row["concept"]): _label(row) for row in known.to_dict("records")}


def _label(row: Mapping[Hashable, Any]) -> _Evidence:
    name, f1, share = str(row["best_label"]), float(row["best_label_f1"]), float(row["best_label_share"])
    if share >= LEAST_SHARE:
        return _Evidence(words=name, sentence=f"marks {name} (F1 {f1:.2f})", strength=f1)
    sentence = f"strongest in {name} (F1 {f1:.2f}), where {share:.0%} of its activation is"
    return _Evidence(words="", sentence=sentence, strength=f1 * share)


def _by_term(enrichment: Enrichment | None, enrichment_de: Enrichment | None) -> dict[int, _Evidence]:
    """Take the best term of each concept: suspect ones last, before them those of genes the cells lack."""
    if enrichment is None:
        return {}
    suspect = enrichment.table["flag"].isin(suspect_flags(enrichment.calibration))
    table = enrichment.table.assign(effect=enrichment.effect, suspect=suspect)
    table = table[(table["q_global"] <= ALPHA) & (table["effect"] > 0)]
    if enrichment_de is None:
        table = table.assign(effect_de=np.nan, q_de=np.nan)
    else:
        de = enrichment_de.table[[*KEY, "q_global"]].assign(effect_de=enrichment_de.effect)
        table = table.merge(de.rename(columns={"q_global": "q_de"}), on=KEY, how="left")
    table = table.assign(lacked=table["effect_de"] < 0, alone=~(table["q_de"] <= ALPHA))
    order = ["concept", "suspect", "lacked", "alone", "q_global", "effect", "term"]
    ascending = [name != "effect" for name in order]
    best = table.sort_values(order, ascending=ascending, kind="stable").drop_duplicates("concept")
    return {int(row["concept"]): _term(row) for row in best.to_dict("records")}


def _term(row: Mapping[Hashable, Any]) -> _Evidence:
    words = readable_term(str(row["name"]))
    notes = f"q {row['q_global']:.2g}"
    notes += "" if row["alone"] else ", by expression too"
    notes += f", but {row['flag']} terms are called where nothing is" if row["suspect"] else ""
    lower = ", whose genes the cells lack" if row["lacked"] else ""
    strength = BY_ATTRIBUTION if row["alone"] or row["lacked"] else BY_BOTH
    return _Evidence(
        words=f"low {words}" if row["lacked"] else words,
        sentence=f"{words}{lower} ({notes})",
        strength=SUSPECT if row["suspect"] else strength,
    )


def _by_genes(attributions: Attributions | None, de: DifferentialExpression | None) -> dict[int, _Evidence]:
    if attributions is None:
        return {}
    evidence = {}
    for row, concept in enumerate(attributions.concepts.tolist()):
        score = attributions.attribution[row]
        drivers = np.flatnonzero(attributions.drives[row] & (score > 0))
        if not len(drivers):
            continue
        lower = _lower(attributions, de, concept)
        strongest = drivers[np.lexsort((-score[drivers], lower[drivers]))][:N_GENES]
        words = ", ".join(f"{attributions.genes[gene]}{'↓' if lower[gene] else ''}" for gene in strongest)
        many = f" and {len(drivers) - N_GENES} more" if len(drivers) > N_GENES else ""
        strength = len(drivers) / (len(drivers) + HALF_GENES)
        evidence[concept] = _Evidence(words, f"driven by {words}{many}", strength)
    return evidence


def _lower(
    attributions: Attributions, de: DifferentialExpression | None, concept: int
) -> Bool[np.ndarray, " genes"]:
    """Tell which genes are lower in the cells of the concept; none where that is not known."""
    if de is None or concept not in de.concepts or not de.genes.equals(attributions.genes):
        return np.zeros(len(attributions.genes), dtype=bool)
    return np.asarray(de.score[int(np.flatnonzero(de.concepts == concept)[0])] < 0)
