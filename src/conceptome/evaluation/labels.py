"""Labels of cells, read from `obs`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from conceptome.core import InputError, Names
from conceptome.data.columns import label_problem

if TYPE_CHECKING:
    Labels: TypeAlias = "pd.Series[str]"
else:
    Labels = pd.Series


@dataclass(frozen=True, eq=False)
class LabelledCells:
    """The cells that have a label (and a group, where groups are used)."""

    key: str
    """Column of `obs`."""
    rows: Int[np.ndarray, " cells"]
    """Positions among all cells."""
    labels: np.ndarray
    """Label of each of these cells."""
    groups: np.ndarray | None
    """Group of each of these cells."""

    @classmethod
    def of(cls, key: str, labels: Labels, groups: Labels | None) -> LabelledCells:
        """Leave out cells without a label or without a group."""
        usable = labels.notna() if groups is None else labels.notna() & groups.notna()
        rows = np.flatnonzero(usable)
        chosen = None if groups is None else groups.to_numpy(dtype=str)[rows]
        return cls(key, rows, labels.iloc[rows].to_numpy(dtype=str), chosen)

    def take(self, positions: Int[np.ndarray, " chosen"]) -> LabelledCells:
        """Return some of these cells."""
        groups = None if self.groups is None else self.groups[positions]
        return LabelledCells(self.key, self.rows[positions], self.labels[positions], groups)


def id_order(cell_ids: Names) -> Int[np.ndarray, " cells"]:
    """Order cells by their ids.

    Parameters
    ----------
    cell_ids
        Id of each cell.

    Returns
    -------
    Positions, the smallest id first.
    """
    return np.argsort(cell_ids.to_numpy(dtype=str), kind="stable")


def read_column(obs: pd.DataFrame, key: str) -> Labels:
    """Return a column of `obs` as strings; missing entries stay missing.

    Parameters
    ----------
    obs
        Table of the cells.
    key
        Name of the column.

    Returns
    -------
    The column; missing = NaN.

    Raises
    ------
    InputError
        If there is no such column.
    """
    if key not in obs.columns:
        msg = f"obs has no column {key!r}; it has {', '.join(map(str, obs.columns))}."
        raise InputError(msg)
    column = obs[key]
    return column.astype("object").where(column.notna()).map(str, na_action="ignore")


def read_labels(obs: pd.DataFrame, key: str) -> Labels:
    """Return a label column of `obs`, refusing what cannot be a label.

    Parameters
    ----------
    obs
        Table of the cells.
    key
        Name of the column.

    Returns
    -------
    The labels as strings; missing = NaN.

    Raises
    ------
    InputError
        If there is no such column, it has fewer than 2 or more than 200 different values, or none of them has
        10 cells.
    """
    column = read_column(obs, key)
    problem = label_problem(obs, key)
    if problem is not None:
        raise InputError(problem)
    return column


def membership(labels: np.ndarray, names: Sequence[str]) -> Bool[np.ndarray, "cells labels"]:
    """Tell which cell has which label.

    Parameters
    ----------
    labels
        Label of each cell.
    names
        Labels, one per column of the result.

    Returns
    -------
    True where the cell has the label.
    """
    members: np.ndarray = np.asarray(labels, dtype=str)[:, None] == np.asarray(names, dtype=str)[None, :]
    return members
