"""Batches and covariates of an scVI model, and what stands for those that it has never seen."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from conceptome.core import InputError, log_once
from conceptome.data.wording import some

logger = logging.getLogger(__name__)

MEAN = "mean"
"""Reference that takes the average over all categories in place of one of them."""

Part = Literal["encoder", "decoder"]


@dataclass(frozen=True)
class Covariate:
    """A column of ``obs`` with categories, as the model was trained on them."""

    key: str
    categories: tuple[str, ...]
    reference: str
    """Stands for categories that the model has never seen: one of its own, or ``"mean"``."""

    @property
    def takes_mean(self) -> bool:
        """Whether unseen categories get the average code of all; a category named "mean" goes before."""
        return self.reference == MEAN and MEAN not in self.categories

    def one_hot(self, obs: pd.DataFrame) -> Float[np.ndarray, "cells categories"]:
        """Code the category of each cell.

        Parameters
        ----------
        obs
            Annotation of the cells; without the column every cell gets the reference.

        Returns
        -------
        One row per cell with a single 1, or with equal shares that sum to 1 where the mean stands in.
        """
        n_categories = len(self.categories)
        codes = np.vstack([np.eye(n_categories), np.full(n_categories, 1 / n_categories)])
        found = pd.Index(self.categories).get_indexer(pd.Index(self._found(obs)))
        found[found < 0] = n_categories if self.takes_mean else self.categories.index(self.reference)
        return np.asarray(codes[found])

    def warn_of_unseen(self, obs: pd.DataFrame, *, part: Part) -> None:
        """Log for which cells the reference stands.

        Parameters
        ----------
        obs
            Annotation of the cells.
        part
            The network that reads the covariate, for the message.
        """
        found = self._found(obs)
        unseen = found[~found.isin(self.categories)].unique()
        done = f"{part.removesuffix('r')}d"
        if self.key not in obs:
            what = f"The data have no obs[{self.key!r}], which the {part} reads: all cells are {done}"
        elif len(unseen):
            what = f"The {part} has never seen obs[{self.key!r}] = {some(unseen)}: those cells are {done}"
        else:
            return
        stand_in = "the mean over all" if self.takes_mean else f"{self.reference!r}, one of the known"
        log_once(logger, logging.WARNING, f"{what} as {stand_in} {some(self.categories)}.")

    def _found(self, obs: pd.DataFrame) -> pd.Series[str]:
        if self.key not in obs:
            return pd.Series(self.reference, index=obs.index)
        return obs[self.key].astype(str)


def numbers(obs: pd.DataFrame, key: str, *, what: str) -> Float[np.ndarray, " cells"]:
    """Read a column of ``obs`` that must hold finite numbers.

    Parameters
    ----------
    obs
        Annotation of the cells.
    key
        Its column.
    what
        What the column is to the model, for the message.

    Returns
    -------
    One number per cell.

    Raises
    ------
    InputError
        If the column is missing, no number or NaN.
    """
    if key not in obs:
        msg = f"The model reads obs[{key!r}] ({what}); the data have {some(obs.columns)}."
        raise InputError(msg)
    values = pd.to_numeric(obs[key], errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        n_bad = np.count_nonzero(~np.isfinite(values))
        msg = f"The model reads obs[{key!r}] ({what}) as a number; {n_bad} cells have none there. Fill it in."
        raise InputError(msg)
    return values
