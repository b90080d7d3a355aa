"""What a report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from conceptome.core import (
    Activations,
    Attributions,
    DifferentialExpression,
    Enrichment,
    Evaluation,
    InputError,
    Pairs,
)
from conceptome.dictionaries import Modules
from conceptome.enrichment import Contrast, GeneSets
from conceptome.evaluation import SeedStability


@dataclass(frozen=True, eq=False)
class ReportContents:
    """What a report shows; a part that is None is replaced by a sentence that says why and what to run."""

    title: str
    facts: Mapping[str, str | int | float]
    """Facts about the dataset, the encoder and the dictionary, in the order of display."""
    umap: Float[np.ndarray, "cells 2"]
    labels: pd.DataFrame
    """Label columns, rows as in `activations`; the first is shown on the maps. May have no columns."""
    activations: Activations
    concepts: pd.DataFrame
    """The table of ``concepts.parquet``: ``concept, frequency, mean_activation`` and where known
    ``best_label, best_label_key, best_label_f1, stability, stability_null``."""
    manifest: Mapping[str, Any]
    """``command``, ``created`` (text) and ``versions, seeds, settings, timings`` (mappings); all optional."""
    attributions: Attributions | None = None
    pairs: Pairs | None = None
    de: DifferentialExpression | None = None
    enrichment: Enrichment | None = None
    enrichment_de: Enrichment | None = None
    """The same enrichment run on the ranking of `de`."""
    themes: pd.DataFrame | None = None
    """What ``enrichment.themes`` found in `enrichment`."""
    completeness: pd.DataFrame | None = None
    """What ``enrichment.completeness`` counted, on attributions or, without these, on `de`."""
    contrast: Contrast | None = None
    """`enrichment` beside `enrichment_de`."""
    evaluation: Evaluation | None = None
    stability: SeedStability | None = None
    """Stability of the concepts over seeds."""
    modules: Modules | None = None
    """Concepts grouped by the cells that activate them."""
    gene_sets: Sequence[GeneSets] | None = None
    """The collections of `enrichment`, for the running sums."""
    gene_names: Mapping[str, str] | None = None
    """Symbol of each gene where the AnnData is named by Ensembl id."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Why a part is None, by its field name, such as ``{"attributions": "precomputed embeddings ..."}``."""

    def __post_init__(self) -> None:
        n_cells = len(self.activations.cell_ids)
        for name, found in (("umap", len(self.umap)), ("labels", len(self.labels))):
            if found != n_cells:
                msg = (
                    f"ReportContents: {name} has {found} rows, activations have {n_cells} cells. "
                    "Build both from one run."
                )
                raise InputError(msg)
        lacking = [name for name in ("concept", "frequency") if name not in self.concepts]
        if lacking:
            msg = (
                f"ReportContents: the table of concepts lacks the columns {lacking}; it has "
                f"{list(self.concepts.columns)}. Build it with every concept of the dictionary."
            )
            raise InputError(msg)
