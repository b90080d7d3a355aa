"""What different methods say a gene's expression does to a concept: gene scores with the sign of the dose."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float

from conceptome.attribution import attribute, baseline_scores, effects
from conceptome.attribution.baselines import Baseline
from conceptome.attribution.interventions import Intervention
from conceptome.core import Activations, Attributions, Dictionary, Encoder, Pairs

UNSIGNED = ("level", "degree")
"""Scores that say nothing of the direction: they are the same for every concept."""
BASELINES: tuple[Baseline, ...] = ("wilcoxon", "log_fold_change", "random")
INTERVENTIONS: tuple[Intervention, ...] = ("substitute", "mask")
LEVEL, DRIVERS = "level", "drivers"


def gene_evidence(  # noqa: PLR0913 (what attribution needs)
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    pairs: Pairs,
    activations: Activations,
    *,
    batch_size: int = 4096,
    device: str = "cpu",
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Score genes so that a positive score says: the concept rises with the expression of the gene.

    An attribution is positive for a gene that supports a concept, be it by its presence or by its absence.
    What a knock-out does depends on which: the attribution takes the sign of the slope of the pre-activation
    over the difference of log1p counts within pairs, through the origin.

    Parameters
    ----------
    adata
        The cells that `pairs` was made from.
    encoder
        The encoder.
    dictionary
        The dictionary.
    pairs
        Pairs of the concepts to score.
    activations
        Activations of the cells.
    batch_size
        Edited cells per forward pass; changes no result.
    device
        Where the encoder runs.
    seed
        Seed of all that is drawn.

    Returns
    -------
    By name, concepts x genes, one row per concept that could be attributed: ``"attribution"`` (over its
    error), ``"drivers"`` (the same, 0 for genes that do not drive the concept), ``"knockout"`` (mean fall
    of the pre-activation when the gene is set to 0), ``"wilcoxon"`` and ``"log_fold_change"`` (active against
    other cells), ``"level"`` (mean log1p count), ``"degree"`` (concepts that the gene drives), ``"random"``.
    """
    record = attribute(
        adata, encoder, dictionary, pairs, batch_size=batch_size, device=device, n_bootstrap=200, seed=seed
    )
    rows = np.flatnonzero(record.n_pairs > 0)
    concepts: list[int] = record.concepts[rows].tolist()
    index = pd.Index(concepts, name="concept")
    expression = sp.csr_array(encoder.expression(adata)).log1p()
    slopes, knockouts = [], []
    for concept in concepts:
        of = pairs.of(concept)
        difference = (expression[of.factual] - expression[of.counterfactual]).toarray()
        substituted, masked = (
            effects(
                *(adata, encoder, dictionary, pairs),
                concept=concept,
                intervention=intervention,
                batch_size=batch_size,
                device=device,
            )
            for intervention in INTERVENTIONS
        )
        slopes.append((substituted.pre * difference).sum(axis=0))
        knockouts.append(masked.pre.mean(axis=0))
    signed = _signed(record, rows, np.array(slopes))
    level: np.ndarray = np.asarray(expression.mean(axis=0)).ravel()
    drives = record.drives[rows]
    values = {
        "attribution": signed,
        DRIVERS: np.where(np.isnan(signed), np.nan, signed * drives),
        "knockout": np.array(knockouts),
        LEVEL: np.tile(level, (len(rows), 1)),
        "degree": np.tile(drives.sum(axis=0).astype(np.float64), (len(rows), 1)),
    }
    tables = {name: pd.DataFrame(value, index, adata.var_names) for name, value in values.items()}
    return tables | baseline_scores(adata, activations, methods=BASELINES, concepts=concepts, seed=seed)


def _signed(
    record: Attributions, rows: np.ndarray, slopes: Float[np.ndarray, "concepts genes"]
) -> Float[np.ndarray, "concepts genes"]:
    return np.asarray(np.abs(record.scores("z").to_numpy()[rows]) * np.sign(slopes))
