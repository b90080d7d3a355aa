"""Rows of the table of measures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import pandas as pd

Row: TypeAlias = dict[str, str | float]

KEYS = ["dictionary", "metric", "label_key", "label"]
NUMBERS = ["value", "sd", "low", "high"]
COLUMNS = KEYS + NUMBERS


def measured(dictionary: str, metric: str, values: Iterable[float], *, key: str = "", label: str = "") -> Row:
    """Summarise one measure over the splits in which it could be taken.

    Parameters
    ----------
    dictionary, metric
        What was measured on what.
    values
        One number per split; NaN where it could not be taken.
    key, label
        The label column and the label that it refers to.

    Returns
    -------
    One row: mean, standard deviation (NaN for one value), least and largest.
    """
    return {"dictionary": dictionary, "metric": metric, "label_key": key, "label": label, **_spread(values)}


def over_seeds(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Summarise tables of several seeds: each row over the seeds in which it could be measured.

    Parameters
    ----------
    tables
        Rows as `measured` makes them, one table per seed.

    Returns
    -------
    The same columns; `value` is the mean of the seeds' values and the other numbers are over seeds.
    """
    together = pd.concat(list(tables), ignore_index=True)
    rows = [
        {**dict(zip(KEYS, names, strict=True)), **_spread(group["value"])}
        for names, group in together.groupby(KEYS, sort=False)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _spread(values: Iterable[float]) -> dict[str, float]:
    taken = np.array(list(values), dtype=np.float64)
    taken = taken[np.isfinite(taken)]
    if not len(taken):
        return dict.fromkeys(NUMBERS, float("nan"))
    sd = taken.std(ddof=1) if len(taken) > 1 else np.nan
    return {
        "value": float(taken.mean()),
        "sd": float(sd),
        "low": float(taken.min()),
        "high": float(taken.max()),
    }
