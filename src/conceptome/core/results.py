"""Frozen records of what is said about concepts besides gene scores: expression, terms, measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from conceptome.core.attributions import Ranking
from conceptome.core.errors import InputError
from conceptome.core.options import require_choice
from conceptome.core.types import Names

DifferentialMeasure: TypeAlias = Literal["wilcoxon", "t_test", "log_fold_change"]
EnrichmentMethod: TypeAlias = Literal["gsea", "ulm", "ora"]

ENRICHMENT_COLUMNS = (
    "concept",
    "collection",
    "term",
    "name",
    "size",
    "overlap",
    "es",
    "nes",
    "p",
    "p_empirical",
    "q_concept",
    "q_global",
    "no_signal",
    "leading_edge",
    "flag",
)


@dataclass(frozen=True, eq=False)
class DifferentialExpression:
    """Active against inactive cells, per concept: the correlational baseline. Arrays are concepts x genes."""

    log_fold_change: Float[np.ndarray, "concepts genes"]
    """log2 ratio of mean CP10k in active and inactive cells; positive = higher where active."""
    score: Float[np.ndarray, "concepts genes"]
    """Wilcoxon z; positive = higher where the concept is active."""
    p: Float[np.ndarray, "concepts genes"]
    """Wilcoxon rank-sum, two-sided, tie-corrected."""
    q: Float[np.ndarray, "concepts genes"]
    t: Float[np.ndarray, "concepts genes"]
    """Welch's t on log1p CP10k."""
    p_t: Float[np.ndarray, "concepts genes"]
    q_t: Float[np.ndarray, "concepts genes"]
    concepts: Int[np.ndarray, " concepts"]
    genes: Names
    dictionary_id: str

    def scores(self, by: DifferentialMeasure = "wilcoxon") -> pd.DataFrame:
        """Return what ranks the genes of each concept, concepts x genes.

        Parameters
        ----------
        by
            ``"wilcoxon"``: its z, the ranking that enrichment compares with; ``"t_test"``: Welch's t;
            ``"log_fold_change"``.

        Raises
        ------
        InputError
            If it is none of these.
        """
        require_choice("by", by, get_args(DifferentialMeasure))
        value = {"wilcoxon": self.score, "t_test": self.t, "log_fold_change": self.log_fold_change}[by]
        return pd.DataFrame(value, index=pd.Index(self.concepts, name="concept"), columns=self.genes)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per concept and gene, with the columns of ``de.parquet``."""
        n_concepts, n_genes = self.score.shape
        columns = ("log_fold_change", "score", "p", "q", "t", "p_t", "q_t")
        return pd.DataFrame(
            {
                "concept": np.repeat(self.concepts, n_genes),
                "gene": pd.Categorical.from_codes(
                    np.tile(np.arange(n_genes), n_concepts), categories=self.genes
                ),
                **{name: getattr(self, name).ravel() for name in columns},
            }
        )


@dataclass(frozen=True, eq=False)
class Enrichment:
    """Terms tested per concept, one row per test."""

    table: pd.DataFrame
    """Columns as in ``enrichment.parquet``; see `ENRICHMENT_COLUMNS`."""
    dictionary_id: str = ""
    calibration: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Rates of p <= alpha under the null controls: ``control, flag, alpha, rate, n_tests``, interval."""
    rank_by: Ranking | None = None
    """What ranked the genes, for enrichment of attributions; None where nothing was ranked."""
    method: EnrichmentMethod = "gsea"

    def __post_init__(self) -> None:
        require_choice("method", self.method, get_args(EnrichmentMethod))
        missing = [name for name in ENRICHMENT_COLUMNS if name not in self.table.columns]
        if missing:
            msg = f"Enrichment: the table lacks the columns {missing}; it needs {list(ENRICHMENT_COLUMNS)}."
            raise InputError(msg)

    @property
    def effect(self) -> pd.Series:
        """What each test found, above 0 where the term's genes support the concept.

        NES of ``"gsea"``, t of ``"ulm"``, log2 of the odds ratio of ``"ora"``.
        """
        effect: pd.Series = self.table["nes" if self.method == "gsea" else "es"]
        return effect

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table."""
        return self.table.copy()


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Measures of the dictionary and of its baselines on the same cells."""

    measures: pd.DataFrame
    """``dictionary, metric, label_key, label, value, sd, low, high``: one row per number; "" where a key does
    not apply. With several seeds `value` is the mean over dictionaries of different seeds, `sd` their
    standard deviation, `low` and `high` the least and the largest; with one, they are over splits of the
    cells."""
    units: pd.DataFrame
    """``dictionary, label_key, label, unit, threshold, f1_validation, f1, f1_chance``: the best unit for each
    label."""
    dictionary_id: str = ""
    """Of the first dictionary under study."""
    seeds: tuple[int, ...] = ()
    """Seeds of the dictionaries under study."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Why a control or a measure could not be taken, by its name."""

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the measures."""
        return self.measures.copy()
