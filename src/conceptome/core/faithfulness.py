"""Frozen record of how faithful gene scores are to what the model does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from conceptome.core.errors import InputError
from conceptome.core.options import require_choice

CurveName: TypeAlias = Literal["deletion", "insertion"]

CURVES: tuple[CurveName, ...] = ("deletion", "insertion")
AREAS = (*CURVES, *(f"{curve}_unclipped" for curve in CURVES))
FACTUAL_COLUMNS = ("concept", "pair", "method", "n_differing", *AREAS)


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """What becomes of a concept as its genes are substituted in the order of their scores.

    *Deletion* puts the counterfactual's values into the factual, *insertion* the factual's values into the
    counterfactual, gene after gene, the largest supporter first. A curve is the activation divided by that of
    the factual. Good scores make deletion fall and insertion rise early.
    """

    factuals: pd.DataFrame
    """One row per concept, factual and method: ``concept, pair, method, n_differing``, the mean heights of
    both curves (``deletion, insertion``), clipped to [0, 1], and the same ``_unclipped``."""
    deletion: Float[np.ndarray, "methods concepts steps"]
    """Mean over factuals, not clipped, after 0, 1, ... genes; level once all that differ are substituted."""
    insertion: Float[np.ndarray, "methods concepts steps"]
    methods: tuple[str, ...]
    concepts: Int[np.ndarray, " concepts"]
    dictionary_id: str
    encoder_id: str

    def __post_init__(self) -> None:
        missing = [name for name in FACTUAL_COLUMNS if name not in self.factuals.columns]
        if missing:
            msg = f"Faithfulness: the table lacks the columns {missing}; it needs {list(FACTUAL_COLUMNS)}."
            raise InputError(msg)
        for name in CURVES:
            found, expected = getattr(self, name).shape[:2], (len(self.methods), len(self.concepts))
            if found != expected:
                msg = f"Faithfulness: {name} has shape {found}, expected {expected} (methods x concepts)."
                raise InputError(msg)

    def by_concept(self) -> pd.DataFrame:
        """Average the areas over factuals.

        Returns
        -------
        One row per concept and method: ``concept, method, n_factuals``, the mean of each area and, as
        ``<area>_se``, its standard error over factuals.
        """
        return _averaged(self.factuals, by=["concept", "method"], count="n_factuals")

    def summary(self) -> pd.DataFrame:
        """Average the areas over concepts.

        Returns
        -------
        One row per method: ``method, n_concepts``, the mean of each area over the means of the concepts and,
        as ``<area>_se``, its standard error over concepts.
        """
        return _averaged(self.by_concept(), by=["method"], count="n_concepts")

    def against(self, reference: str) -> pd.DataFrame:
        """Compare every method with one of them, concept by concept.

        Parameters
        ----------
        reference
            Name of the method to compare with.

        Returns
        -------
        One row per other method and curve: ``method, curve, difference`` (its area minus that of the
        reference, mean over concepts), ``se, ci_low, ci_high`` (95%, t over concepts), ``n_concepts``,
        ``n_better`` and ``n_worse`` (concepts where the method is more faithful than the reference: less area
        in deletion, more in insertion) and ``p`` (two-sided sign test over these two).

        Raises
        ------
        InputError
            If there is no such method.
        """
        require_choice("reference", reference, self.methods)
        table = self.by_concept()
        rows = []
        for curve in CURVES:
            areas = table.pivot_table(index="concept", columns="method", values=curve, observed=True)
            for method in self.methods:
                if method != reference:
                    difference = (areas[method] - areas[reference]).to_numpy()
                    rows.append({"method": method, "curve": curve} | _paired(difference, curve))
        return pd.DataFrame(rows)

    def at(self, n_genes: Sequence[int] = (1, 5, 10, 50)) -> pd.DataFrame:
        """Tell what the strongest genes alone take away and bring about.

        Parameters
        ----------
        n_genes
            Numbers of genes, up to the length of the curves.

        Returns
        -------
        One row per method and number: ``method, n_genes``; ``necessity``, the share of the activation that is
        lost when these genes are substituted in the factual; ``sufficiency``, what is gained when they are
        put into the counterfactual, as a share of the factual's activation; means over concepts, and as
        ``_se`` their standard errors over concepts.

        Raises
        ------
        InputError
            If a number is beyond the curves.
        """
        longest = self.deletion.shape[2] - 1
        beyond = [n for n in n_genes if not 0 < n <= longest]
        if beyond:
            msg = f"n_genes has {beyond}, but the curves go from 1 to {longest} genes."
            raise InputError(msg)
        rows = []
        for number, method in enumerate(self.methods):
            for n in n_genes:
                lost = self.deletion[number, :, 0] - self.deletion[number, :, n]
                gained = self.insertion[number, :, n] - self.insertion[number, :, 0]
                row = {"method": method, "n_genes": n}
                for name, share in (("necessity", lost), ("sufficiency", gained)):
                    row |= {name: share.mean(), f"{name}_se": _standard_error(share)}
                rows.append(row)
        return pd.DataFrame(rows)

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the areas of every factual."""
        return self.factuals.copy()


def _averaged(areas: pd.DataFrame, *, by: list[str], count: str) -> pd.DataFrame:
    groups = areas.groupby(by, sort=False, observed=True)
    table = groups.size().rename(count).to_frame()
    for area in AREAS:
        table[area] = groups[area].mean()
        table[f"{area}_se"] = groups[area].sem()
    return table.reset_index()


def _paired(difference: Float[np.ndarray, " concepts"], curve: CurveName) -> dict[str, float]:
    """Summarise differences of areas between two methods over concepts."""
    from scipy.stats import binomtest, t

    mean, se, n = float(difference.mean()), _standard_error(difference), len(difference)
    margin = float(t.ppf(0.975, n - 1)) * se if n > 1 else np.nan
    gain = -difference if curve == "deletion" else difference
    n_better, n_worse = int((gain > 0).sum()), int((gain < 0).sum())
    p = float(binomtest(n_better, n_better + n_worse).pvalue) if n_better + n_worse else 1.0
    interval = {"ci_low": mean - margin, "ci_high": mean + margin}
    counts = {"n_concepts": n, "n_better": n_better, "n_worse": n_worse}
    return {"difference": mean, "se": se} | interval | counts | {"p": p}


def _standard_error(values: Float[np.ndarray, " values"]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
