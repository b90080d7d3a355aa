"""The report of a run: one HTML file that a biologist can read without a network or a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from conceptome.core import Activations, Attributions, DifferentialExpression, Enrichment, Evaluation, Pairs

if TYPE_CHECKING:
    from conceptome.enrichment import GeneSets


@dataclass(frozen=True, eq=False)
class ReportContents:
    """What a report shows; a part that is None is replaced by a sentence that says why and what to run."""

    title: str
    facts: Mapping[str, str | int | float]
    """Facts about the dataset, the encoder and the dictionary, in the order of display."""
    umap: Float[np.ndarray, "cells 2"]
    labels: pd.DataFrame
    """Label columns, rows as in `activations`; the first is the one of ``best_label``. May have no columns."""
    activations: Activations
    concepts: pd.DataFrame
    """The table of ``concepts.parquet``: ``concept, frequency, mean_activation`` and where known
    ``best_label, best_label_f1, stability``."""
    manifest: Mapping[str, Any]
    """``command``, ``created`` (text) and ``versions, seeds, settings, timings`` (mappings); all optional."""
    attributions: Attributions | None = None
    pairs: Pairs | None = None
    de: DifferentialExpression | None = None
    enrichment: Enrichment | None = None
    enrichment_de: Enrichment | None = None
    """The same enrichment run on the ranking of `de`."""
    evaluation: Evaluation | None = None
    gene_sets: Sequence[GeneSets] | None = None
    """The collections of `enrichment`, for the running sums."""
    gene_names: Mapping[str, str] | None = None
    """Symbol of each gene where the AnnData is named by Ensembl id."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Why a part is None, by its field name, such as ``{"attributions": "precomputed embeddings ..."}``."""


def write_report(path: Path | str, contents: ReportContents, *, max_cards: int = 100) -> None:
    """Write the report as one self-contained HTML file.

    Parameters
    ----------
    path
        The file to write; it is replaced in one step once the new report is complete.
    contents
        What the report shows.
    max_cards
        Largest number of concept cards, attributable and frequent concepts first; the table lists all.
    """
    raise NotImplementedError
