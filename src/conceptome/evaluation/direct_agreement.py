"""Whether the scores of a perturbed gene tell which concepts move, and where to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from conceptome.evaluation.chance import against, area, expression_strata, mean_and_error, sign_p
from conceptome.evaluation.gene_evidence import UNSIGNED

Action: TypeAlias = Literal["loss", "gain"]

COLUMNS = (
    *("score", "n", "n_moving", "pooled", "pooled_null", "pooled_p", "within", "within_se", "within_null"),
    *("within_p", "n_signed", "agreement", "agreement_binomial_p", "agreement_null", "agreement_p"),
)


def direct_agreement(
    rows: pd.DataFrame,
    scores: Mapping[str, pd.DataFrame],
    level: pd.Series,
    *,
    action: Action,
    alpha: float,
    n_null: int,
    seed: int,
) -> pd.DataFrame:
    """Tell whether concepts that move have high scores of the perturbed gene, with the right sign.

    The null gives every perturbed gene the scores of another gene of like expression that no guide targets.

    Parameters
    ----------
    rows
        ``perturbation, gene, concept, auroc, q``: shifts of the concepts, with the perturbed gene.
    scores
        By name, concepts x genes.
    level
        Level of expression, by gene.
    action
        Whether a perturbed gene loses or gains expression.
    alpha
        Most q of a concept that moves.
    n_null
        Draws of the null.
    seed
        Decides them.

    Returns
    -------
    One row per score: AUROC over all rows (``pooled``) and over the concepts of each perturbation
    (``within``, mean and standard error), each with its mean under the null and the share of draws that
    reach it; share of moving concepts with the sign that the score foretells (``agreement``), with a
    one-sided binomial p and the same null.
    """
    genes = pd.Index(level.index)
    strata = expression_strata(level.to_numpy())
    own = np.unique(genes.get_indexer(pd.Index(rows["gene"])))
    rng = np.random.default_rng(seed)
    draws = [_stand_ins(own, strata, rng) for _ in range(n_null)]
    moves = (rows["q"] <= alpha).to_numpy()
    direction = np.sign(rows["auroc"].to_numpy() - 0.5) * (-1 if action == "loss" else 1)
    column, groups = genes.get_indexer(pd.Index(rows["gene"])), pd.factorize(rows["perturbation"])[0]
    found = []
    for name, table in scores.items():
        values = table.to_numpy()[table.index.get_indexer(pd.Index(rows["concept"]))]
        sides = None if name in UNSIGNED else direction
        at = np.arange(len(rows))
        measured, signs = _direct(values[at, column], moves, sides, groups)
        null = [_direct(values[at, each[column]], moves, sides, groups)[0] for each in draws]
        row = {"score": name, "n": len(rows), "n_moving": int(moves.sum()), **measured}
        row |= {"n_signed": len(signs), "agreement_binomial_p": sign_p(signs)}
        for key in ("pooled", "within", "agreement"):
            row |= against(key, measured[key], np.array([each[key] for each in null]))
        found.append(row)
    return pd.DataFrame(found, columns=list(COLUMNS))


def _direct(
    score: Float[np.ndarray, " rows"],
    moves: Bool[np.ndarray, " rows"],
    direction: Float[np.ndarray, " rows"] | None,
    groups: Int[np.ndarray, " rows"],
) -> tuple[dict[str, float], Bool[np.ndarray, " signed"]]:
    strength = np.abs(np.nan_to_num(score))
    within = [area(strength[groups == k], moves[groups == k]) for k in range(int(groups.max(initial=-1)) + 1)]
    mean, error = mean_and_error(np.array(within))
    signs = np.zeros(0, dtype=bool)
    if direction is not None:
        used = moves & (strength > 0) & (direction != 0)
        signs = np.sign(score[used]) == direction[used]
    agreement = float(signs.mean()) if len(signs) else float("nan")
    row = {"pooled": area(strength, moves), "within": mean, "within_se": error, "agreement": agreement}
    return row, signs


def _stand_ins(
    own: Int[np.ndarray, " targets"], strata: Int[np.ndarray, " genes"], rng: np.random.Generator
) -> Int[np.ndarray, " genes"]:
    """Draw for every perturbed gene another of its stratum; other genes stand for themselves."""
    stand_in = np.arange(len(strata))
    others = np.setdiff1d(stand_in, own)
    for stratum in np.unique(strata[own]):
        mine, free = own[strata[own] == stratum], others[strata[others] == stratum]
        if len(free):
            stand_in[mine] = rng.choice(free, len(mine), replace=len(mine) > len(free))
    return stand_in
