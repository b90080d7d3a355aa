"""Are known gene programmes found again? By the activation of a unit, and by the genes said to drive it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from conceptome.core import (
    Activations,
    Attributions,
    Csr,
    DifferentialExpression,
    InputError,
    require_at_least,
    require_choice,
)
from conceptome.core.keys import PROGRAMMES

Sign: TypeAlias = Literal["positive", "either"]
GeneScores: TypeAlias = Attributions | DifferentialExpression | pd.DataFrame

NO_UNIT = -1
LEAST_VARIANCE = 1e-12  # of the mean square; below it a unit's variance is rounding


@dataclass(frozen=True, eq=False)
class Recovery:
    """How well units tell known programmes."""

    programmes: pd.DataFrame
    """One row per programme that varies: ``programme``; its ``unit``, -1 for none; ``correlation`` of the
    activation with the activity, 0 without a unit; ``null``, its mean over permutations; with gene scores
    ``precision``, the share of the programme's own genes among the k of highest score, and
    ``precision_null``, what a unit drawn at random reaches."""
    null: Float[np.ndarray, " draws"]
    """MCC in each permutation."""

    @property
    def mcc(self) -> float:
        """Mean correlation of the matched."""
        return float(self.programmes["correlation"].mean())

    @property
    def p(self) -> float:
        """Share of the permutations, the cells as they are counted among them, that reach the MCC."""
        return float((1 + (self.null >= self.mcc).sum()) / (1 + len(self.null)))

    def summary(self) -> dict[str, float]:
        """Return the means over programmes: ``mcc, mcc_null, p``, with gene scores those of precision."""
        found = {"mcc": self.mcc, "mcc_null": float(self.null.mean()), "p": self.p}
        measured = [name for name in ("precision", "precision_null") if name in self.programmes]
        return found | {name: float(self.programmes[name].mean()) for name in measured}


def recovery(
    adata: AnnData,
    activations: Activations | Csr | Float[np.ndarray, "cells units"],
    *,
    scores: GeneScores | None = None,
    k: int = 10,
    sign: Sign = "positive",
    n_null: int = 100,
    seed: int = 0,
) -> Recovery:
    """Match units with known programmes one to one, and measure how alike they are.

    The matching makes the sum of the correlations of activation and activity largest (the Hungarian method);
    their mean is the MCC [Hyvarinen16]_. The null permutes the cells of the activities: many units find some
    resemblance by chance. Genes are judged after that, so that they do not choose the unit.

    Parameters
    ----------
    adata
        Cells with known programmes, as `data.simulate` makes them: activities in ``obsm["programmes"]``,
        weights of the genes, positive for its own, in ``varm["programmes"]``.
    activations
        Of the same cells: a record, or numbers of any kind for cells x units.
    scores
        Gene scores of units, positive for genes that support them: a record, ranked as its ``scores`` does by
        default, or units x genes. They may name some of the units, the matched among them, and some of the
        genes. A unit without scores (NaN) names no gene.
    k
        Genes of highest score that are looked at; only positive scores name a gene.
    sign
        ``"positive"``: a unit is to rise with the programme. ``"either"``: it may as well fall, and its
        scores are then turned round: for signed coordinates, which are not split into two units.
    n_null
        Number of permutations.
    seed
        Decides them.

    Returns
    -------
    `Recovery`. A programme without a unit that is alike in the least counts 0 in all.

    Raises
    ------
    InputError
        If there are no programmes or none varies, cells or genes are others, a matched unit was not scored,
        or a programme has fewer than `k` genes.

    References
    ----------
    .. [Hyvarinen16] Unsupervised feature extraction by time-contrastive learning, NeurIPS 29.
    """
    require_choice("sign", sign, get_args(Sign))
    require_at_least("n_null", n_null, 1)
    require_at_least("seed", seed, 0)
    activity = _activity(adata)
    varying = np.flatnonzero(np.ptp(activity, axis=0) > 0)
    if not len(varying):
        msg = "None of the programmes varies between these cells. Take more cells."
        raise InputError(msg)
    truth = activity[:, varying] - activity[:, varying].mean(axis=0)
    truth /= np.linalg.norm(truth, axis=0)
    values = _unit_values(adata, activations)
    spread = _spread(values)
    found = _correlations(truth, values, spread)
    unit, correlation = _match(found, sign)
    rng = np.random.default_rng(seed)
    null = np.empty((n_null, len(varying)))
    for draw in range(n_null):
        null[draw] = _match(_correlations(rng.permutation(truth), values, spread), sign)[1]
    table = pd.DataFrame(
        {"programme": varying, "unit": unit, "correlation": correlation, "null": null.mean(axis=0)}
    )
    if scores is not None:
        turned = (unit != NO_UNIT) & (found[np.arange(len(unit)), unit] < 0)
        own = _own_genes(adata)[:, varying]
        table["precision"], table["precision_null"] = _precision(
            adata, scores, own, unit=unit, turned=turned, k=k, sign=sign
        )
    return Recovery(table, null.mean(axis=1))


def _activity(adata: AnnData) -> Float[np.ndarray, "cells programmes"]:
    if PROGRAMMES not in adata.obsm or PROGRAMMES not in adata.varm:
        msg = (
            f"Known programmes are read from obsm[{PROGRAMMES!r}] and varm[{PROGRAMMES!r}], and this AnnData "
            "lacks one or both. Simulate cells with data.simulate, or write yours there."
        )
        raise InputError(msg)
    return np.asarray(adata.obsm[PROGRAMMES], dtype=np.float64)


def _unit_values(adata: AnnData, activations: Activations | Csr | Float[np.ndarray, "cells units"]) -> Csr:
    if isinstance(activations, Activations):
        if not activations.cell_ids.equals(adata.obs_names):
            msg = (
                f"The activations name other cells ({len(activations.cell_ids)}) than adata ({adata.n_obs}), "
                "or in another order. Encode this adata again."
            )
            raise InputError(msg)
        return activations.values.astype(np.float64)
    if activations.shape[0] != adata.n_obs:
        msg = f"activations has {activations.shape[0]} rows, expected one for each of {adata.n_obs} cells."
        raise InputError(msg)
    return sp.csr_array(activations).astype(np.float64)


def _spread(values: Csr) -> Float[np.ndarray, " units"]:
    """Return the norm of each unit's centred values, infinite for one that does not vary."""
    square = values.multiply(values).sum(axis=0)
    left = square - values.sum(axis=0) ** 2 / values.shape[0]
    return np.sqrt(np.where(left > LEAST_VARIANCE * square, left, np.inf))


def _correlations(
    truth: Float[np.ndarray, "cells programmes"], values: Csr, spread: Float[np.ndarray, " units"]
) -> Float[np.ndarray, "programmes units"]:
    """Correlate centred activities of norm 1 with units."""
    return np.asarray((values.T @ truth).T / spread)


def _match(
    found: Float[np.ndarray, "programmes units"], sign: Sign
) -> tuple[Int[np.ndarray, " programmes"], Float[np.ndarray, " programmes"]]:
    """Assign units to programmes; those that are not alike stay without."""
    alike = np.abs(found) if sign == "either" else np.maximum(found, 0)
    rows, columns = linear_sum_assignment(alike, maximize=True)
    unit = np.full(len(found), NO_UNIT)
    correlation = np.zeros(len(found))
    correlation[rows] = alike[rows, columns]
    unit[rows] = np.where(correlation[rows] > 0, columns, NO_UNIT)
    return unit, correlation


def _own_genes(adata: AnnData) -> Bool[np.ndarray, "genes programmes"]:
    return np.asarray(adata.varm[PROGRAMMES]) > 0


def _precision(
    adata: AnnData,
    scores: GeneScores,
    own: Bool[np.ndarray, "genes programmes"],
    *,
    unit: Int[np.ndarray, " programmes"],
    turned: Bool[np.ndarray, " programmes"],
    k: int,
    sign: Sign,
) -> tuple[Float[np.ndarray, " programmes"], Float[np.ndarray, " programmes"]]:
    """Return for each programme the share of its genes among the k of its unit, and among those of any."""
    table = scores if isinstance(scores, pd.DataFrame) else scores.scores()
    _check_scores(adata, table, own, unit=unit[unit != NO_UNIT], k=k)
    own = own[adata.var_names.get_indexer(table.columns)]
    values = table.to_numpy(dtype=np.float64)
    shares = [_top(values, k) @ own / k]
    if sign == "either":
        shares.append(_top(-values, k) @ own / k)
    row = pd.Index(table.index).get_indexer(pd.Index(unit))
    columns = np.arange(len(unit))
    named = np.where(turned, shares[-1][row, columns], shares[0][row, columns])
    return np.where(unit == NO_UNIT, 0.0, named), np.mean(shares, axis=(0, 1))


def _top(values: Float[np.ndarray, "units genes"], k: int) -> Float[np.ndarray, "units genes"]:
    """Mark the k highest scores of each unit, as far as they are positive; the first genes win ties."""
    ranked = np.where(values > 0, values, 0.0)
    best = np.argsort(-ranked, axis=1, kind="stable")[:, :k]
    top = np.zeros_like(ranked)
    np.put_along_axis(top, best, 1.0, axis=1)
    return top * (ranked > 0)


def _check_scores(
    adata: AnnData,
    table: pd.DataFrame,
    own: Bool[np.ndarray, "genes programmes"],
    *,
    unit: Int[np.ndarray, " matched"],
    k: int,
) -> None:
    require_at_least("k", k, 1)
    unknown = table.columns.difference(adata.var_names)
    if len(unknown) or table.columns.has_duplicates:
        found = (
            f"{len(unknown):,} genes that adata lacks, such as {unknown[0]}" if len(unknown) else "repeats"
        )
        msg = f"scores has {found}. Give one column for each gene, named as in adata.var_names."
        raise InputError(msg)
    absent = np.setdiff1d(unit, table.index)
    if len(absent):
        listed = ", ".join(map(str, absent))
        msg = f"Programmes were matched with the units {listed}, which scores lacks. Score these too."
        raise InputError(msg)
    fewest = int(own.sum(axis=0).min())
    if fewest < k:
        msg = f"A programme has {fewest} genes, so that {k} can never all be its own. Choose a smaller k."
        raise InputError(msg)
