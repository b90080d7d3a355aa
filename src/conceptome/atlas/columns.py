"""Columns of obs as codes and numbers."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from conceptome.atlas.groups import Column
from conceptome.atlas.schema import MISSING_CODE

MAX_CATEGORIES = 1000
"""A text column with more different values, such as barcodes, is left out."""

logger = logging.getLogger(__name__)


def code_columns(obs: pd.DataFrame, roles: Mapping[str, str]) -> list[Column]:
    """Turn the columns that describe cells into codes and numbers.

    Labels, donors and batches become categories even where they are numbers. Columns with a role come first.

    Parameters
    ----------
    obs
        The columns, in the order of the cells of the atlas.
    roles
        Role of some of them.

    Returns
    -------
    The columns; one that has more than 1,000 different texts, or nothing at all, is left out.
    """
    found: list[Column] = []
    for name in sorted(map(str, obs.columns), key=lambda name: name not in roles):
        series = obs[name]
        role = roles.get(name, "")
        key = _slug(name, {column.key for column in found})
        number = pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_bool_dtype(series)
        if number and role in ("", "depth"):
            values = series.to_numpy(dtype=np.float32, na_value=np.nan)
            values = np.where(np.isfinite(values), values, np.float32(np.nan))
            found.append(Column(key, name, role, values, None))
            continue
        codes, categories = _codes(series)
        if 0 < len(categories) <= MAX_CATEGORIES:
            found.append(Column(key, name, role, codes, categories))
        else:
            logger.info(
                "The column %s of obs has %s categories and is left out.", name, f"{len(categories):,}"
            )
    return found


def _codes(series: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Give each category a code, those of a categorical in its own order; unused ones get none."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        used = series.cat.remove_unused_categories()
        codes, names = used.cat.codes.to_numpy().astype(np.int64), list(used.cat.categories)
    else:
        codes, uniques = pd.factorize(series.to_numpy(dtype=object), sort=False)
        names = list(uniques)
        order = np.argsort(np.array([str(name) for name in names], dtype=object), kind="stable")
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        codes = np.where(codes >= 0, rank[codes] if len(rank) else codes, -1)
        names = [names[at] for at in order]
    return np.where(codes >= 0, codes, MISSING_CODE).astype(np.uint16), tuple(map(str, names))


def _slug(name: str, taken: set[str]) -> str:
    """Make a name that can be part of a file's name and of an address."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40] or "column"
    slug, number = plain, 2
    while slug in taken:
        slug, number = f"{plain}_{number}", number + 1
    return slug
