"""Concepts over the columns that describe cells: how often active where, and what they go with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float, Int
from scipy.stats import rankdata

from conceptome.atlas.schema import MISSING_CODE
from conceptome.core import Csr


@dataclass(frozen=True, eq=False)
class Column:
    """One column that describes cells."""

    key: str
    """A short name of small letters, digits and ``_``; names its file."""
    name: str
    role: str
    values: np.ndarray
    """Codes (uint16, 65535 = missing) or numbers (float32, NaN = missing)."""
    categories: tuple[str, ...] | None
    """Names of the codes; None for numbers."""

    @property
    def sizes(self) -> Int[np.ndarray, " categories"]:
        """Cells of each category."""
        n = len(self.categories or ())
        return np.bincount(self.values[self.values != MISSING_CODE], minlength=n)


def column_tables(columns: Sequence[Column]) -> dict[str, pd.DataFrame]:
    """Describe columns and their categories: rows of the tables ``obs_columns`` and ``obs_categories``."""
    described = [
        {
            "rank": rank,
            "key": column.key,
            "name": column.name,
            "role": column.role,
            "kind": "numeric" if column.categories is None else "categorical",
            **_range(column),
        }
        for rank, column in enumerate(columns)
    ]
    categories = [
        {"key": column.key, "code": code, "name": name, "n_cells": int(column.sizes[code])}
        for column in columns
        for code, name in enumerate(column.categories or ())
    ]
    return {"obs_columns": pd.DataFrame(described), "obs_categories": pd.DataFrame(categories)}


def _range(column: Column) -> dict[str, int | float]:
    if column.categories is not None:
        return {"n_missing": int((column.values == MISSING_CODE).sum()), "minimum": np.nan, "maximum": np.nan}
    known = column.values[np.isfinite(column.values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (np.nan, np.nan)
    return {"n_missing": len(column.values) - len(known), "minimum": low, "maximum": high}


def group_table(activations: Csr, column: Column) -> pd.DataFrame:
    """Count active cells of each concept in each category, and average over all of its cells.

    Parameters
    ----------
    activations
        CSR, cells x concepts.
    column
        A categorical column of the same cells.

    Returns
    -------
    ``concept, key, code, n_active, mean`` where a concept is active.
    """
    active, total = _by_category(activations, column)
    concept, code = np.nonzero(active)
    return pd.DataFrame(
        {
            "concept": concept,
            "key": column.key,
            "code": code,
            "n_active": active[concept, code].astype(np.int64),
            "mean": total[concept, code] / column.sizes[code],
        }
    )


def association_table(activations: Csr, column: Column) -> pd.DataFrame:
    """Measure how the activation of each concept goes with a column; cells without a value are left out.

    Parameters
    ----------
    activations
        CSR, cells x concepts.
    column
        A column of the same cells.

    Returns
    -------
    ``concept, key, measure, value``: for numbers ``spearman``; for categories ``eta_squared`` and
    ``evenness``: the entropy of the frequencies within the categories, over its maximum.
    Concepts for which a measure is undefined are left out.
    """
    if column.categories is None:
        measures = {"spearman": _spearman(activations, column.values)}
    else:
        measures = _between(activations, column)
    parts = [
        pd.DataFrame({"concept": np.arange(len(value)), "key": column.key, "measure": name, "value": value})
        for name, value in measures.items()
    ]
    return pd.concat(parts).dropna(subset=["value"])


def _by_category(activations: Csr, column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Active cells and summed activation, concepts x categories."""
    known = np.flatnonzero(column.values != MISSING_CODE)
    codes = column.values[known].astype(np.int64)
    shape = (activations.shape[0], len(column.categories or ()))
    member = sp.csr_array((np.ones(len(known)), (known, codes)), shape=shape)
    values = activations.astype(np.float64)
    return (((values > 0).astype(np.float64).T @ member).toarray(), (values.T @ member).toarray())


def _between(activations: Csr, column: Column) -> dict[str, Float[np.ndarray, " concepts"]]:
    known = column.values != MISSING_CODE
    some = activations[np.flatnonzero(known)].astype(np.float64)
    active, total = _by_category(activations, column)
    sizes = column.sizes
    filled = sizes > 0
    mean = total.sum(axis=1) / max(known.sum(), 1)
    squares = np.asarray(some.power(2).sum(axis=0)).ravel()
    within_mean = total[:, filled] / sizes[filled]
    between = (sizes[filled] * (within_mean - mean[:, None]) ** 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        eta = between / (squares - known.sum() * mean**2)
        rate = active[:, filled] / sizes[filled]
        share = rate / rate.sum(axis=1, keepdims=True)
        entropy = -np.where(share > 0, share * np.log(share), 0.0).sum(axis=1)
        evenness = np.where(rate.any(axis=1), entropy / np.log(filled.sum()), np.nan)
    alone = filled.sum() < 2
    nothing = np.full(len(mean), np.nan)
    return {"eta_squared": nothing if alone else eta, "evenness": nothing if alone else evenness}


def _spearman(activations: Csr, values: Float[np.ndarray, " cells"]) -> Float[np.ndarray, " concepts"]:
    """Correlate ranks without writing out the zeros: they share one rank."""
    known = np.flatnonzero(np.isfinite(values))
    columns = activations[known].tocsc()
    n_cells, n_concepts = columns.shape
    other = rankdata(values[known])
    other -= other.mean() if n_cells else 0.0
    spread = np.sqrt((other**2).sum())
    found = np.full(n_concepts, np.nan)
    for concept in range(n_concepts):
        some = slice(columns.indptr[concept], columns.indptr[concept + 1])
        value = columns.data[some]
        n_zero = n_cells - len(value)
        rank = n_zero + rankdata(value)
        zero = (n_zero + 1) / 2
        lift = rank - zero if n_zero else rank
        squares = (lift**2).sum() - lift.sum() ** 2 / max(n_cells, 1)
        if squares > 0 and spread > 0:
            found[concept] = (lift @ other[columns.indices[some]]) / (np.sqrt(squares) * spread)
    return found
