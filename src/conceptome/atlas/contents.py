"""What an atlas is built from: the records of one dictionary on one set of cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from conceptome.core import (
    Activations,
    Attributions,
    Csr,
    DictionaryMismatchError,
    DifferentialExpression,
    Enrichment,
    Evaluation,
    InputError,
    Pairs,
)

ROLES = ("label", "donor", "batch", "depth")


@dataclass(frozen=True, eq=False)
class Contents:
    """Records of one dictionary on one set of cells; a part that is None is left out, and `missing` says why.

    Rows of everything over cells follow `activations`, rows of everything over genes follow `genes`.
    """

    activations: Activations
    obs: pd.DataFrame
    """Columns that describe the cells: categories, texts, truth values or numbers."""
    layout: Float[np.ndarray, "cells 2"]
    """Coordinates of the map, y upward; NaN for a cell that is not shown."""
    genes: pd.DataFrame
    """``name`` and, where known, ``symbol, ensembl, aliases`` (joined by spaces)."""
    concepts: pd.DataFrame
    """One row per concept, ``concept`` from 0 on, with any of the columns of ``concepts.parquet``."""
    directions: Float[np.ndarray, "concepts d_embed"] | None = None
    """What each concept adds to the embedding."""
    pairs: Pairs | None = None
    changes: pd.DataFrame | None = None
    """``concept, number`` (row of the pair within its concept), ``rank, gene`` (position), ``factual_value,
    counterfactual_value, effect_act, effect_pre`` and ``n_differing`` (genes with another value there)."""
    attributions: Attributions | None = None
    de: DifferentialExpression | None = None
    enrichment: Enrichment | None = None
    enrichment_de: Enrichment | None = None
    curves: pd.DataFrame | None = None
    """``concept, collection, term, n_genes, peak, es`` and arrays ``rank, value, hits``."""
    themes: pd.DataFrame | None = None
    modules: pd.DataFrame | None = None
    evaluation: Evaluation | None = None
    verdicts: pd.DataFrame | None = None
    """``metric, label_key, evidence, reason``: whether each metric is evidence of understanding."""
    expression: Csr | None = None
    """Counts, cells x genes; the genes that drive a concept get a map."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """What a column of `obs` is: label, donor, batch or depth."""
    title: str = ""
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Versions, settings, command, time: JSON values."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Why a part is None and what to run, by its field name."""

    def __post_init__(self) -> None:
        n_cells, n_concepts = self.activations.values.shape
        self._require("obs", len(self.obs), n_cells, "cells")
        self._require("layout", len(self.layout), n_cells, "cells")
        self._require("concepts", len(self.concepts), n_concepts, "concepts")
        if list(self.concepts.get("concept", ())) != list(range(n_concepts)):
            msg = (
                f"Contents: concepts needs a column 'concept' from 0 to {n_concepts - 1} in order. "
                "Give the table of every concept of the dictionary."
            )
            raise InputError(msg)
        if self.directions is not None:
            self._require("directions", len(self.directions), n_concepts, "concepts")
        if self.expression is not None:
            self._require("expression", self.expression.shape[0], n_cells, "cells")
            self._require("expression", self.expression.shape[1], len(self.genes), "genes")
        for name, record in (("attributions", self.attributions), ("de", self.de)):
            if record is not None and list(record.genes) != self.genes["name"].tolist():
                msg = f"Contents: {name} and genes name other genes. Build both from one AnnData."
                raise InputError(msg)
        self._require_dictionary()

    def _require(self, name: str, found: int, expected: int, axis: str) -> None:
        if found != expected:
            msg = (
                f"Contents: {name} has {found} {axis}, activations and genes have {expected}. "
                "Build all parts from one run."
            )
            raise InputError(msg)

    def _require_dictionary(self) -> None:
        names = ("pairs", "attributions", "de", "enrichment", "enrichment_de", "evaluation")
        for name in names:
            found = getattr(getattr(self, name), "dictionary_id", "")
            if found and found != self.activations.dictionary_id:
                msg = (
                    f"Contents: {name} comes from dictionary {found}, activations from "
                    f"{self.activations.dictionary_id}. Build all parts from one run."
                )
                raise DictionaryMismatchError(msg)

    @property
    def symbols(self) -> pd.Index[str]:
        """Symbol of each gene where known, else its name."""
        names = self.genes["name"].astype(str)
        if "symbol" not in self.genes:
            return pd.Index(names)
        known = self.genes["symbol"].fillna("").astype(str)
        return pd.Index(known.where(known != "", names))
