"""Whether the genes that respond to a perturbation have high scores for the concepts that it moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from conceptome.dictionaries.profiles import permuted_within
from conceptome.evaluation.chance import against, area, expression_strata, mean_and_error, sign_p
from conceptome.evaluation.gene_evidence import UNSIGNED

MIN_RESPONDERS = 3
COLUMNS = (
    *("score", "n_perturbations", "n_moving", "auroc", "auroc_se", "auroc_still", "matched", "matched_se"),
    *("matched_null", "matched_p", "push", "push_se", "push_null", "push_p", "n_signed"),
    *("agreement", "agreement_binomial_p", "agreement_null", "agreement_p"),
)


def indirect_agreement(  # noqa: PLR0913 (what scores are held against)
    shifts: pd.DataFrame,
    scores: Mapping[str, pd.DataFrame],
    responses: Float[np.ndarray, "perturbations genes"],
    level: pd.Series,
    *,
    names: Sequence[str],
    alpha: float,
    n_null: int,
    seed: int,
) -> pd.DataFrame:
    """Tell whether genes that respond to a perturbation have high scores for the concepts it moves.

    The null permutes genes within groups of like expression, for all concepts alike.

    Parameters
    ----------
    shifts
        See `concept_shifts`, of the concepts in `scores`.
    scores
        By name, concepts x genes.
    responses
        1 for a gene that rises in perturbed cells, -1 for one that falls, 0 for others.
    level
        Level of expression of each gene.
    names
        The perturbations, in the order of `responses`.
    alpha
        Most q of a concept that moves.
    n_null
        Draws of the null.
    seed
        Decides them.

    Returns
    -------
    One row per score. Over genes: AUROC of those that respond, for moving concepts (mean over the concepts
    of a perturbation, then mean and standard error over perturbations) and for concepts that stay
    (``auroc_still``); ``matched``, among genes of like expression only. Over concepts, by what the responding
    genes add up to, each with its sign and its score: ``push``, AUROC of moving against other concepts by the
    size of the sum, in which scores that are the same for every concept reach one half; ``agreement``, share
    of moving concepts that go where the sum points. Each with its null.
    """
    rng = np.random.default_rng(seed)
    strata = expression_strata(level.to_numpy())
    concepts = next(iter(scores.values())).index
    shift, q = (
        shifts.pivot(index="perturbation", columns="concept", values=key)
        .reindex(index=list(names), columns=concepts)
        .to_numpy(dtype=float)
        for key in ("auroc", "q")
    )
    respond = np.where((responses != 0).sum(axis=1, keepdims=True) >= MIN_RESPONDERS, responses, 0)
    some = (respond != 0).any(axis=1, keepdims=True)
    moves, stays = some & (q <= alpha), some & (q > alpha)
    draws = [respond[:, permuted_within(strata, rng)] for _ in range(n_null)]
    found = []
    for name, table in scores.items():
        values = np.nan_to_num(table.to_numpy())
        task = _Task(values, strata, moves, None if name in UNSIGNED else np.sign(shift - 0.5))
        everywhere = _areas(
            _ranks(np.abs(values), np.zeros_like(strata)), respond != 0, np.zeros_like(strata)
        )
        total, total_error = mean_and_error(_over(everywhere, moves))
        measured, signs = task.measure(respond)
        null = [task.measure(each)[0] for each in draws]
        row = {
            "score": name,
            "n_perturbations": int(moves.any(axis=1).sum()),
            "n_moving": int(moves.sum()),
            "auroc": total,
            "auroc_se": total_error,
            "auroc_still": mean_and_error(_over(everywhere, stays))[0],
            "n_signed": len(signs),
            "agreement_binomial_p": sign_p(signs),
            **measured,
        }
        for key in ("matched", "push", "agreement"):
            row |= against(key, measured[key], np.array([each[key] for each in null]))
        found.append(row)
    return pd.DataFrame(found, columns=list(COLUMNS))


@dataclass(frozen=True, eq=False)
class _Task:
    """Scores, and the concepts that move."""

    values: Float[np.ndarray, "concepts genes"]
    strata: Int[np.ndarray, " genes"]
    moves: Bool[np.ndarray, "perturbations concepts"]
    direction: Float[np.ndarray, "perturbations concepts"] | None

    @cached_property
    def ranks(self) -> Float[np.ndarray, "concepts genes"]:
        """Rank of each |score| in its stratum."""
        return _ranks(np.abs(self.values), self.strata)

    def measure(
        self, responses: Float[np.ndarray, "perturbations genes"]
    ) -> tuple[dict[str, float], Bool[np.ndarray, " signed"]]:
        """Return the measures that have a null, and which signs are right."""
        areas = _areas(self.ranks, responses != 0, self.strata)
        foretold = responses @ self.values.T
        sizes = zip(np.abs(foretold), self.moves, strict=True)
        matched = mean_and_error(_over(areas, self.moves))
        push = mean_and_error(np.array([area(size, moves) for size, moves in sizes]))
        signs = np.zeros(0, dtype=bool)
        if self.direction is not None:
            used = self.moves & (foretold != 0) & (self.direction != 0)
            signs = np.sign(foretold[used]) == self.direction[used]
        agreement = float(signs.mean()) if len(signs) else float("nan")
        found = dict(zip(("matched", "matched_se", "push", "push_se"), (*matched, *push), strict=True))
        return found | {"agreement": agreement}, signs


def _ranks(
    strength: Float[np.ndarray, "concepts genes"], strata: Int[np.ndarray, " genes"]
) -> Float[np.ndarray, "concepts genes"]:
    """Rank the genes of each concept within strata."""
    ranks = np.empty_like(strength)
    for stratum in np.unique(strata):
        ranks[:, strata == stratum] = rankdata(strength[:, strata == stratum], axis=1)
    return ranks


def _areas(
    ranks: Float[np.ndarray, "concepts genes"],
    positive: Bool[np.ndarray, "perturbations genes"],
    strata: Int[np.ndarray, " genes"],
) -> Float[np.ndarray, "perturbations concepts"]:
    """Compute AUROCs over the pairs of a positive and another gene of one stratum; NaN without any."""
    member = strata[:, None] == np.unique(strata)
    n = positive.astype(np.float64) @ member
    pairs = (n * (member.sum(axis=0) - n)).sum(axis=1, keepdims=True)
    total = positive.astype(np.float64) @ ranks.T - (n * (n + 1) / 2).sum(axis=1, keepdims=True)
    return np.asarray(np.divide(total, pairs, out=np.full_like(total, np.nan), where=pairs > 0))


def _over(
    values: Float[np.ndarray, "perturbations units"], chosen: Bool[np.ndarray, "perturbations units"]
) -> Float[np.ndarray, " perturbations"]:
    """Average each perturbation over the chosen units; NaN without any."""
    used = chosen & np.isfinite(values)
    total, n = np.where(used, values, 0).sum(axis=1), used.sum(axis=1)
    return np.asarray(np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0))
