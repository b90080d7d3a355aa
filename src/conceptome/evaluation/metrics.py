"""Every metric of an evaluation: what it is called, which way is better, and what family it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Better: TypeAlias = Literal["higher", "lower", ""]
Family: TypeAlias = Literal[
    "Fidelity",
    "What the decoder loses",
    "Units and labels",
    "Factuals",
    "Probes",
    "Neighbours",
    "Mixing",
    "Other seeds",
    "Genes",
    "Gene sets",
]


@dataclass(frozen=True)
class Metric:
    """A metric."""

    title: str
    family: Family
    better: Better = "higher"
    """"" where neither end of the scale is better: sizes, and what batches and donors tell."""


def _three(metric: str, title: str, family: Family, better: Better) -> dict[str, Metric]:
    """Name a metric of the embedding, of activations and of reconstructions."""
    of = ("embedding", "activations", "reconstruction")
    return {f"{metric}_{name}": Metric(f"{title} the {name}", family, better) for name in of}


METRICS: dict[str, Metric] = {
    "r2": Metric("Variance of the embedding kept (R², held-out cells)", "Fidelity"),
    "r2_dimension_median": Metric("… in the median coordinate", "Fidelity"),
    "r2_dimension_min": Metric("… in the worst coordinate", "Fidelity"),
    "n_units": Metric("Units", "Fidelity", ""),
    "l0": Metric("Active units per cell (L0)", "Fidelity", ""),
    "dead": Metric("Share of units never active", "Fidelity", "lower"),
    "inactive_heldout": Metric("Share of units inactive on held-out cells", "Fidelity", "lower"),
    "loss_embedding": Metric("Loss of the decoder fed with embeddings", "What the decoder loses", ""),
    "loss_mean": Metric("… with the mean embedding", "What the decoder loses", ""),
    "loss_reconstruction": Metric("… with reconstructions", "What the decoder loses", ""),
    "loss_recovered": Metric("Share of the loss recovered", "What the decoder loses"),
    "mean_best_f1": Metric("Best F1 of a single unit, mean over labels", "Units and labels"),
    "mean_f1_excess": Metric("… above units of the same frequency that know nothing", "Units and labels"),
    "labels_covered": Metric("Share of labels with a unit of F1 ≥ 0.5", "Units and labels"),
    "labels_above_chance": Metric("Share of labels with a unit above all chance draws", "Units and labels"),
    "units_matching": Metric("Share of units that match a label", "Units and labels"),
    "units_per_label": Metric("Units needed for a label (splitting)", "Units and labels", "lower"),
    "absorption": Metric("Share of a label's cells absorbed by other units", "Units and labels", "lower"),
    "factual_purity_top": Metric("Agreement of labels among the strongest factuals", "Factuals"),
    "factual_purity_stratified": Metric("… among factuals over all strata", "Factuals"),
    **_three("probe_macro_f1", "Macro-F1 of a probe on", "Probes", "higher"),
    **_three("knn_accuracy", "Accuracy of neighbours in", "Neighbours", "higher"),
    **_three("knn_purity", "Share of neighbours with the same label in", "Neighbours", "higher"),
    "neighbours_kept_activations": Metric("Neighbours kept in the activations", "Neighbours"),
    "neighbours_kept_reconstruction": Metric("Neighbours kept in the reconstruction", "Neighbours"),
    **_three("ilisi", "Mixing (iLISI) in", "Mixing", ""),
    "stability_directions": Metric("Similarity of directions to those of another seed", "Other seeds"),
    "stability_directions_chance": Metric("… that chance reaches", "Other seeds", ""),
    "stability_activations": Metric("Correlation of activations with those of another seed", "Other seeds"),
    "stability_activations_chance": Metric("… that chance reaches", "Other seeds", ""),
    "attributable": Metric("Share of units with enough pairs", "Genes", ""),
    "with_drivers": Metric("Share of units with genes that drive them", "Genes"),
    "drivers": Metric("Genes that drive a unit, median", "Genes", ""),
    "null_driver_rate": Metric("Share of genes that null pairs would call drivers", "Genes", ""),
    "deletion": Metric("Activation left as a unit's genes are substituted (deletion)", "Genes", ""),
    "deletion_random": Metric("… in random order", "Genes", ""),
    "insertion": Metric("Activation gained as they are put in (insertion)", "Genes", ""),
    "insertion_random": Metric("… in random order", "Genes", ""),
    "faithfulness": Metric("Faithfulness: insertion above deletion, beyond random orders", "Genes"),
    "annotated": Metric("Share of units with a gene set (q ≤ 0.05)", "Gene sets"),
    "annotated_null_pairs": Metric("… by pairs of cells that both have the unit", "Gene sets", ""),
    "annotated_excess": Metric("Share of units with a gene set, beyond that by such pairs", "Gene sets"),
    "term_information": Metric("Information of a unit's best gene set, nats", "Gene sets", ""),
    "term_specificity": Metric("Share of the other units without it", "Gene sets", ""),
    "themes": Metric("Distinct themes", "Gene sets"),
}
"""By name, in the order of display; those of single labels (`best_f1` ...) are left out."""


def whole_title(metric: str) -> str:
    """Return the title of a metric so that it can stand alone.

    Parameters
    ----------
    metric
        Its name in `METRICS`. A title that begins with dots goes on from the last one that does not.
    """
    names = list(METRICS)
    at = names.index(metric)
    first = next(back for back in range(at, -1, -1) if not METRICS[names[back]].title.startswith("…"))
    own = METRICS[metric].title.removeprefix("… ")
    return own if first == at else f"{METRICS[names[first]].title}, {own}"
