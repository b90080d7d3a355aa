"""Columns of `obs` that a run reads: how they are asked for, and what makes one a label."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from conceptome.core import InputError

MAX_LABELS = 200
MIN_LABEL_CELLS = 5
"""Cells of a label in each half of a split: fewer are not scored."""


def require_names(names: Sequence[str], option: str) -> None:
    """Refuse a single text where a list of column names is expected.

    Parameters
    ----------
    names
        What was given.
    option
        The argument's name, for the message.

    Raises
    ------
    InputError
        If `names` is a text; its letters would be taken for names.
    """
    if isinstance(names, str):
        msg = f"{option} is a text, expected a list of column names. Write {option}=[{names!r}]."
        raise InputError(msg)


def label_problem(obs: pd.DataFrame, key: str) -> str | None:
    """Say why a column cannot be used as a label.

    Parameters
    ----------
    obs
        Table of the cells.
    key
        One of its columns.

    Returns
    -------
    The reason and what to do, or None if the column is fit: 2 to 200 values, of which at least one has 10
    cells.
    """
    sizes = obs[key].value_counts()
    sizes = sizes[sizes > 0]
    if not len(sizes):
        return f"obs[{key!r}] has no value in any cell. Choose another column."
    if len(sizes) == 1:
        return (
            f"obs[{key!r}] has the single value {sizes.index[0]!r}, a label needs 2 to {MAX_LABELS}. "
            "Choose a column that names populations."
        )
    if len(sizes) > MAX_LABELS:
        return (
            f"obs[{key!r}] has {len(sizes):,} different values, a label needs 2 to {MAX_LABELS}. "
            "Choose a column that names populations."
        )
    if sizes.iloc[0] < 2 * MIN_LABEL_CELLS:
        return (
            f"No value of obs[{key!r}] has at least {2 * MIN_LABEL_CELLS} cells (the most frequent, "
            f"{sizes.index[0]!r}, has {sizes.iloc[0]}). Choose a column that names larger populations."
        )
    return None
