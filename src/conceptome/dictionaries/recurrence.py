"""How stable concepts are: whether they come back when the dictionary is trained again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from conceptome.core import Dictionary, Embeddings, InputError, require_at_least
from conceptome.dictionaries.comparison import By, Matching, match_concepts

SAME = 0.7
"""Least similarity at which two concepts count as the same; a convention."""
ABOVE_CHANCE = 0.05
"""Most of the random matchings that may reach it."""


@dataclass(frozen=True, eq=False)
class Stability:
    """How similar dictionaries are to each other, and each concept of the first to its counterparts."""

    concepts: pd.DataFrame
    """``concept, stability, null, p, recurrence``: for each concept of the first dictionary the mean
    similarity to its counterparts in the others, what chance reaches, and how often, NaN for one without a
    counterpart; and the share of the others in which it recurs, see `consensus`."""
    pairs: pd.DataFrame
    """``a, b, similarity, null``: means over matched concepts, for every two dictionaries, by position."""
    by: By
    dictionary_ids: tuple[str, ...]

    @property
    def mean(self) -> float:
        """Mean similarity of matched concepts over all pairs of dictionaries."""
        return float(self.pairs["similarity"].mean())

    @property
    def sd(self) -> float:
        """Standard deviation of it over pairs of dictionaries; NaN for a single pair."""
        return float(self.pairs["similarity"].std(ddof=1))

    @property
    def null(self) -> float:
        """Mean similarity that chance reaches."""
        return float(self.pairs["null"].mean())

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table of concepts."""
        return self.concepts.copy()


@dataclass(frozen=True, eq=False)
class Consensus:
    """Concepts of the first dictionary that recur in the others, the most recurrent first."""

    concept: Int[np.ndarray, " concepts"]
    """Index in the first dictionary."""
    members: Int[np.ndarray, "concepts dictionaries"]
    """The same concept in every dictionary; -1 where it does not recur."""
    recurrence: Float[np.ndarray, " concepts"]
    """Share of the other dictionaries in which it recurs."""
    stability: Float[np.ndarray, " concepts"]
    """Mean similarity to its counterparts in all other dictionaries, recurring or not."""
    directions: Float[np.ndarray, "concepts d_embed"]
    """Mean of the members' directions, unit length, in the scaled embedding."""
    dictionary_ids: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return ``concept, recurrence, stability`` and one column ``in_<dictionary_id>`` per dictionary."""
        columns = {f"in_{name}": self.members[:, at] for at, name in enumerate(self.dictionary_ids)}
        table = {"concept": self.concept, "recurrence": self.recurrence, "stability": self.stability}
        return pd.DataFrame(table | columns)


def stability(
    dictionaries: Sequence[Dictionary],
    *,
    by: By = "directions",
    embeddings: Embeddings | Float[np.ndarray, "cells d_embed"] | None = None,
    n_null: int = 20,
    seed: int = 0,
) -> Stability:
    """Compare dictionaries of one encoder that differ in seed, options or cells.

    Parameters
    ----------
    dictionaries
        Two or more; the concepts of the first are the ones followed.
    by, embeddings, seed
        See `match_concepts`; with embeddings the null has their covariance.
    n_null
        Random matchings for every two dictionaries; with fewer than 19 no concept recurs.

    Returns
    -------
    `Stability`.

    Raises
    ------
    InputError
        If there are fewer than two dictionaries, or one twice.
    DictionaryMismatchError
        If they are of different encoders.
    """
    _require_several(dictionaries)
    matchings = {
        (i, j): match_concepts(
            dictionaries[i], dictionaries[j], by=by, embeddings=embeddings, n_null=n_null, seed=seed
        )
        for i, j in combinations(range(len(dictionaries)), 2)
    }
    rows = [(i, j, found.similarity.mean(), found.null.mean()) for (i, j), found in matchings.items()]
    with_first = [matchings[0, j] for j in range(1, len(dictionaries))]
    return Stability(
        _follow(with_first, dictionaries[0].n_concepts).assign(
            recurrence=(_members(with_first, dictionaries[0].n_concepts) >= 0).mean(axis=1)
        ),
        pd.DataFrame(rows, columns=["a", "b", "similarity", "null"]),
        by,
        tuple(each.dictionary_id for each in dictionaries),
    )


def consensus(
    dictionaries: Sequence[Dictionary],
    *,
    by: By = "directions",
    embeddings: Embeddings | Float[np.ndarray, "cells d_embed"] | None = None,
    min_similarity: float = SAME,
    min_recurrence: float = 0.5,
    seed: int = 0,
) -> Consensus:
    """Find the concepts that come back in other dictionaries of the same encoder.

    A concept recurs in a dictionary when its counterpart there has at least `min_similarity` and chance
    reaches that in at most one of twenty matchings (p <= 0.05 with 100 draws).

    Parameters
    ----------
    dictionaries
        Two or more; the concepts of the first are the ones looked for in the others.
    by, embeddings, seed
        See `match_concepts`; with embeddings the null has their covariance.
    min_similarity
        Least similarity of the same concept.
    min_recurrence
        Least share of the other dictionaries, above 0 and at most 1.

    Returns
    -------
    `Consensus`; may be empty.

    Raises
    ------
    InputError
        If there are fewer than two dictionaries, or one twice, or `min_recurrence` is out of range.
    DictionaryMismatchError
        If they are of different encoders.
    """
    _require_several(dictionaries)
    if not 0 < min_recurrence <= 1:
        msg = f"min_recurrence is {min_recurrence}, expected a share above 0 and at most 1."
        raise InputError(msg)
    first, others = dictionaries[0], dictionaries[1:]
    found = [match_concepts(first, each, by=by, embeddings=embeddings, seed=seed) for each in others]
    recurring = _members(found, first.n_concepts, min_similarity=min_similarity)
    members = np.column_stack([np.arange(first.n_concepts), recurring])
    recurrence = (recurring >= 0).mean(axis=1)
    chosen = np.argsort(-recurrence, kind="stable")
    chosen = chosen[recurrence[chosen] >= min_recurrence]
    total = sum(
        np.where(members[chosen, at][:, None] >= 0, each.directions[members[chosen, at]], 0)
        for at, each in enumerate(dictionaries)
    )
    return Consensus(
        chosen,
        members[chosen],
        recurrence[chosen],
        _follow(found, first.n_concepts)["stability"].to_numpy()[chosen],
        np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True)),
        tuple(each.dictionary_id for each in dictionaries),
    )


def same_concepts(matching: Matching, *, min_similarity: float = SAME) -> Bool[np.ndarray, " pairs"]:
    """Tell which matched concepts are the same: similar enough, and more than chance allows.

    Parameters
    ----------
    matching
        Of two dictionaries, with 19 random matchings or more.
    min_similarity
        Least similarity.

    Returns
    -------
    One entry per matched pair.
    """
    same: np.ndarray = (matching.similarity >= min_similarity) & (matching.p <= ABOVE_CHANCE)
    return same


def _members(
    matchings: Sequence[Matching], n_concepts: int, *, min_similarity: float = SAME
) -> Int[np.ndarray, "concepts others"]:
    """Find each concept of the first dictionary in the others; -1 where it does not recur."""
    members = np.full((n_concepts, len(matchings)), -1)
    for at, matching in enumerate(matchings):
        same = same_concepts(matching, min_similarity=min_similarity)
        members[matching.concept_a[same], at] = matching.concept_b[same]
    return members


def _require_several(dictionaries: Sequence[Dictionary]) -> None:
    require_at_least("The number of dictionaries", len(dictionaries), 2)
    ids = [each.dictionary_id for each in dictionaries]
    if len(set(ids)) < len(ids):
        msg = (
            f"Of {len(ids)} dictionaries {len(set(ids))} are different; one compared with itself says "
            "nothing of stability. Train with different seeds."
        )
        raise InputError(msg)


def _follow(matchings: Sequence[Matching], n_concepts: int) -> pd.DataFrame:
    """Average over matchings what each concept of the first dictionary reaches, and what chance does."""
    n_null = len(matchings[0].null)
    total, times = np.zeros((n_null + 1, n_concepts)), np.zeros(n_concepts)
    for found in matchings:
        total[:, found.concept_a] += np.vstack([found.similarity, found.null])
        times[found.concept_a] += 1
    mean = np.divide(total, times, out=np.full_like(total, np.nan), where=times > 0)
    observed, null = mean[0], mean[1:]
    p = np.where(times > 0, (1 + (null >= observed).sum(axis=0)) / (1 + n_null), np.nan)
    return pd.DataFrame(
        {"concept": np.arange(n_concepts), "stability": observed, "null": null.mean(axis=0), "p": p}
    )
