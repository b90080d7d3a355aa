"""Check cells before a run: what they are, whether they are fit for use, and what to mend."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from anndata import AnnData

from conceptome.core import InputError, Names
from conceptome.data.columns import label_problem, require_names
from conceptome.data.counts import CountTotals, count_totals
from conceptome.data.genes import GeneNaming, gene_naming, symbols
from conceptome.data.wording import did_you_mean, some

logger = logging.getLogger(__name__)

QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
MOST_CATEGORIES = 100
FEWEST_CELLS = 50
"""A dictionary is not trained on fewer."""


@dataclass(frozen=True)
class DataReport:
    """Facts about an AnnData, what forbids its use and what to mind."""

    n_cells: int
    n_genes: int
    naming: GeneNaming
    problems: tuple[str, ...]
    """What must be mended before a run; empty if the data are fit for use."""
    warnings: tuple[str, ...]
    """What does not forbid a run but should be known."""
    counts: str = ""
    """Where the raw counts are; empty if there are none."""
    n_empty_cells: int = 0
    n_empty_genes: int = 0
    library_size: tuple[float, ...] = ()
    """Counts per cell at the quantiles 0, 0.05, 0.5, 0.95 and 1."""
    categories: dict[str, int] = field(default_factory=dict)
    """Columns of obs that could be labels or batches, and the number of their values."""

    @property
    def fit_for_use(self) -> bool:
        """Whether a run can start."""
        return not self.problems

    def describe(self) -> str:
        """Say what the data are, whether they are fit for use, and what to do next."""
        lines = [f"{self.n_cells:,} cells x {self.n_genes:,} genes, named by {self.naming}"]
        if self.counts:
            low, p5, median, p95, high = self.library_size
            lines += [
                f"raw counts: in {self.counts}; none at all for {self.n_empty_cells:,} cells and "
                f"{self.n_empty_genes:,} genes",
                f"counts per cell: median {median:,.0f}, 90% within {p5:,.0f}-{p95:,.0f}, "
                f"all within {low:,.0f}-{high:,.0f}",
            ]
        if self.categories:
            listed = ", ".join(f"{name} ({n})" for name, n in self.categories.items())
            lines.append(f"categories in obs: {listed}")
        lines += [f"mind: {warning}" for warning in self.warnings]
        lines += [f"problem: {problem}" for problem in self.problems]
        lines.append(f"fit for use: {'yes' if self.fit_for_use else 'no, mend the problems above'}")
        if self.fit_for_use:
            lines.append(f"next: conceptome run DATA.h5ad --encoder scvi{self._label_option()} --out RUN")
        return "\n".join(lines)

    def _label_option(self) -> str:
        likely = [name for name, n in self.categories.items() if n > 1 and "type" in name.lower()]
        return f" --label-key {likely[0]}" if likely else ""


def inspect(
    adata: AnnData,
    *,
    obs_keys: Sequence[str] = (),
    label_keys: Sequence[str] = (),
    layer: str | None = None,
) -> DataReport:
    """Describe cells without refusing any.

    Parameters
    ----------
    adata
        Cells, in memory or backed; a backed file is read in pieces.
    obs_keys
        Columns of ``obs`` that a run would use as batch, donor or for matching; every cell needs a value.
    label_keys
        Columns of ``obs`` that a run would use as labels; cells without a value count as unlabelled.
    layer
        Take the raw counts from this layer and no other place.

    Returns
    -------
    The facts, all problems and all warnings.

    Raises
    ------
    InputError
        If `obs_keys` or `label_keys` is a single text.
    """
    require_names(obs_keys, "obs_keys")
    require_names(label_keys, "label_keys")
    facts = {"n_cells": adata.n_obs, "n_genes": adata.n_vars, "naming": gene_naming(adata.var_names)}
    if not adata.n_obs or not adata.n_vars:
        problem = f"The AnnData is empty: {adata.n_obs:,} cells x {adata.n_vars:,} genes."
        return DataReport(**facts, problems=(problem,), warnings=())
    problems = _name_problems(adata.var_names, "var_names") + _name_problems(adata.obs_names, "obs_names")
    problems += [problem for key in obs_keys for problem in _key_problems(adata.obs, key)]
    warnings = _size_warnings(adata) + _naming_warnings(adata)
    problems += [problem for key in label_keys for problem in _label_problems(adata.obs, key)]
    usable = [key for key in label_keys if not _label_problems(adata.obs, key)]
    found = dict.fromkeys((*(key for key in obs_keys if key in adata.obs), *usable))
    warnings += [warning for key in found for warning in _key_warnings(adata.obs, key)]
    facts["categories"] = _categories(adata.obs)
    try:
        totals = count_totals(adata, layer=layer)
    except InputError as error:
        return DataReport(**facts, problems=(*problems, str(error)), warnings=tuple(warnings))
    return DataReport(
        **facts,
        problems=(*problems, *_count_problems(adata, totals)),
        warnings=(*warnings, *_count_warnings(adata, totals)),
        counts=totals.source,
        n_empty_cells=int((totals.per_cell == 0).sum()),
        n_empty_genes=int((totals.per_gene == 0).sum()),
        library_size=tuple(np.quantile(totals.per_cell, QUANTILES).tolist()),
    )


def validate(
    adata: AnnData,
    *,
    obs_keys: Sequence[str] = (),
    label_keys: Sequence[str] = (),
    layer: str | None = None,
) -> DataReport:
    """Refuse cells that a run could not use.

    Parameters
    ----------
    adata
        Cells, in memory or backed; a backed file is read in pieces.
    obs_keys
        Columns of ``obs`` that the run uses as batch, donor or for matching; every cell needs a value.
    label_keys
        Columns of ``obs`` that the run uses as labels; cells without a value count as unlabelled.
    layer
        Take the raw counts from this layer and no other place.

    Returns
    -------
    The facts; its warnings are also logged.

    Raises
    ------
    InputError
        If there are problems; the message holds all of them, one to a line.
    """
    report = inspect(adata, obs_keys=obs_keys, label_keys=label_keys, layer=layer)
    if report.problems:
        raise InputError("\n".join(report.problems))
    for warning in report.warnings:
        logger.warning(warning)
    return report


def _name_problems(names: Names, axis: str) -> list[str]:
    no_text = [name for name in names if not isinstance(name, str) or not name]
    if no_text:
        return [f"{axis} must be texts that are not empty, found {some(map(repr, no_text))}. Name all."]
    repeated = names[names.duplicated()].unique()
    if len(repeated):
        return [
            f"{len(repeated):,} names in {axis} stand for more than one: {some(repeated)}. Sum or drop the "
            f"copies, or run adata.{axis}_make_unique() if they are different things."
        ]
    return []


def _missing_key(obs: pd.DataFrame, key: str) -> list[str]:
    near = did_you_mean(key, list(map(str, obs.columns)))
    return [f"obs has no column {key!r}; it has {some(obs.columns, shown=20)}.{near}"]


def _label_problems(obs: pd.DataFrame, key: str) -> list[str]:
    if key not in obs:
        return _missing_key(obs, key)
    problem = label_problem(obs, key)
    return [] if problem is None else [problem]


def _key_problems(obs: pd.DataFrame, key: str) -> list[str]:
    if key not in obs:
        return _missing_key(obs, key)
    n_missing = int(obs[key].isna().sum())
    if n_missing:
        return [
            f"obs[{key!r}] has no value in {n_missing:,} of {len(obs):,} cells. Fill it in, or drop them: "
            f"adata = adata[adata.obs[{key!r}].notna()].copy()."
        ]
    return []


def _key_warnings(obs: pd.DataFrame, key: str) -> list[str]:
    n_values = obs[key].nunique()
    n_missing = int(obs[key].isna().sum())
    if 0 < n_missing < len(obs):
        return [
            f"obs[{key!r}] has no value in {n_missing:,} of {len(obs):,} cells: they count as unlabelled."
        ]
    if n_values == 1:
        return [f"obs[{key!r}] has the single value {obs[key].dropna().iloc[0]!r}: it tells no cells apart."]
    if n_values > max(len(obs) / 2, 2):
        return [f"obs[{key!r}] has {n_values:,} values for {len(obs):,} cells: it does not look like groups."]
    return []


def _size_warnings(adata: AnnData) -> list[str]:
    if adata.n_obs < FEWEST_CELLS:
        return [f"{adata.n_obs} cells can be embedded, but a dictionary needs {FEWEST_CELLS} or more."]
    return []


def _naming_warnings(adata: AnnData) -> list[str]:
    try:
        symbols(adata)
    except InputError:
        return [
            f"Genes have no symbols (names such as {some(adata.var_names, shown=3)}), which gene sets need. "
            "Put them into adata.var['gene_symbols']."
        ]
    return []


def _count_problems(adata: AnnData, totals: CountTotals) -> list[str]:
    empty = adata.obs_names[totals.per_cell == 0]
    if len(empty) == adata.n_obs:
        return [f"No cell has any count ({totals.source} is all zeros)."]
    if len(empty):
        return [
            f"{len(empty):,} of {adata.n_obs:,} cells have no counts: {some(empty)}. "
            "Drop them: sc.pp.filter_cells(adata, min_counts=1)."
        ]
    return []


def _count_warnings(adata: AnnData, totals: CountTotals) -> list[str]:
    empty = adata.var_names[totals.per_gene == 0]
    if len(empty):
        return [
            f"{len(empty):,} of {adata.n_vars:,} genes have no counts in any cell ({some(empty)}): "
            "nothing can be attributed to them."
        ]
    return []


def _categories(obs: pd.DataFrame) -> dict[str, int]:
    discrete = obs.select_dtypes(include=["category", "object", "string", "bool"])
    n_values = {str(name): int(discrete[name].nunique()) for name in discrete.columns}
    return {name: n for name, n in n_values.items() if 1 < n <= MOST_CATEGORIES}
