"""Two enrichments of the same concepts side by side, such as by attribution and by expression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from conceptome.core import Enrichment, InputError

N_SIZE_CLASSES = 10
KEYS = ["concept", "collection", "term"]


@dataclass(frozen=True, eq=False)
class Contrast:
    """What two enrichments find alike, and what only one finds."""

    findings: pd.DataFrame
    """One row per concept and term found by either: ``concept, collection, term, name, found`` (``"both"``,
    ``"opposite"`` in sign, or ``"only <name>"``), and ``es``, ``nes`` and ``q_global`` of each, by name."""
    concepts: pd.DataFrame
    """One row per concept: ``concept, n_both, n_opposite, n_only_<name>, jaccard`` (n_both over all found),
    ``expected`` (n_both when the findings of one fall on other terms of like size) and ``p`` of as many or
    more; NaN where one of the two found nothing."""
    jaccard: float
    """Mean over the concepts in which either found something."""
    expected: float
    """The same when each concept's findings by one are compared with another concept's by the other."""
    p: float
    """Share of random pairings of concepts that agree as much or more."""


def contrast(
    one: Enrichment,
    other: Enrichment,
    *,
    names: tuple[str, str] = ("attribution", "expression"),
    alpha: float = 0.05,
    n_permutations: int = 1000,
    seed: int = 0,
) -> Contrast:
    """Compare what two enrichments find in the same concepts.

    Terms share genes, so findings come in clumps and random terms are a weak opponent: the p of a concept is
    that of terms of like size, and small for any two rankings that have something in common. The p over the
    dictionary keeps the clumps: there, each concept's findings meet those of another concept.

    Parameters
    ----------
    one, other
        The enrichments; what both tested is compared.
    names
        What to call them.
    alpha
        Findings have a `q_global` of this or less.
    n_permutations
        Random draws of each test.
    seed
        Seed of the draws.

    Returns
    -------
    Findings, concepts and the agreement over the dictionary.

    Raises
    ------
    InputError
        If they have no test or their name in common.
    """
    if names[0] == names[1]:
        msg = f"names is {names}, expected two that differ."
        raise InputError(msg)
    tests = one.table.merge(other.table, on=KEYS, suffixes=("_one", "_other"))
    if tests.empty:
        msg = (
            f"The enrichments by {names[0]} and by {names[1]} have no concept and term in common; expected "
            "two of the same dictionary with the same gene sets."
        )
        raise InputError(msg)
    tests = tests.assign(
        by_one=tests["q_global_one"] <= alpha,
        by_other=tests["q_global_other"] <= alpha,
        alike=np.sign(tests["es_one"]) == np.sign(tests["es_other"]),
    )
    findings = _findings(tests[tests["by_one"] | tests["by_other"]], names)
    concepts = _by_concept(tests, findings, names, n_permutations=n_permutations, seed=seed)
    agreement = _agreement(tests)
    observed, drawn = _paired(agreement, n_permutations=n_permutations, seed=seed)
    p = (1 + (drawn >= observed - 1e-12).sum()) / (1 + len(drawn)) if len(drawn) else np.nan
    expected = float(drawn.mean()) if len(drawn) else np.nan
    return Contrast(findings, concepts, observed, expected, float(p))


def _findings(tests: pd.DataFrame, names: tuple[str, str]) -> pd.DataFrame:
    both = tests["by_one"] & tests["by_other"]
    found = np.select(
        [both & tests["alike"], both, tests["by_one"]],
        ["both", "opposite", f"only {names[0]}"],
        f"only {names[1]}",
    )
    frame = tests[KEYS].assign(name=tests["name_one"], found=found)
    for suffix, name in zip(("one", "other"), names, strict=True):
        for measure in ("es", "nes", "q_global"):
            frame[f"{measure}_{name}"] = tests[f"{measure}_{suffix}"]
    strongest = tests[["q_global_one", "q_global_other"]].min(axis=1)
    return (
        frame.assign(q=strongest)
        .sort_values(["concept", "q", "term"])
        .drop(columns="q")
        .reset_index(drop=True)
    )


def _by_concept(
    tests: pd.DataFrame, findings: pd.DataFrame, names: tuple[str, str], *, n_permutations: int, seed: int
) -> pd.DataFrame:
    kinds = {"n_both": "both", "n_opposite": "opposite"} | {
        f"n_only_{name}": f"only {name}" for name in names
    }
    counts = pd.crosstab(findings["concept"], findings["found"])
    concepts = sorted(tests["concept"].unique())
    counts = counts.reindex(index=concepts, columns=list(kinds.values()), fill_value=0)
    counts.columns = pd.Index(list(kinds))
    total = counts.sum(axis=1)
    frame = counts.assign(jaccard=counts["n_both"] / total.where(total > 0))
    rng = np.random.default_rng([seed, 3])
    chance = [_chance(rows, rng, n_permutations) for _, rows in tests.groupby("concept")]
    frame[["expected", "p"]] = np.array(chance)
    return frame.rename_axis("concept").reset_index()


def _chance(tests: pd.DataFrame, rng: np.random.Generator, n_permutations: int) -> tuple[float, float]:
    """Move the findings of one to other terms of like size: mean overlap and p of the one observed."""
    one = np.where(tests["by_one"], np.sign(tests["es_one"]), 0)
    other = np.where(tests["by_other"], np.sign(tests["es_other"]), 0)
    if not one.any() or not other.any():
        return np.nan, np.nan
    by_size = np.argsort(tests["size_one"].to_numpy(), kind="stable")
    classes = np.array_split(by_size, min(N_SIZE_CLASSES, len(by_size)))
    observed = (one * other > 0).sum()
    overlaps = np.zeros(n_permutations)
    for members in classes:
        here, there = one[members], other[members]
        if here.any() and there.any():
            moved = rng.permuted(np.tile(here, (n_permutations, 1)), axis=1)
            overlaps += (moved * there > 0).sum(axis=1)
    return float(overlaps.mean()), float((1 + (overlaps >= observed).sum()) / (1 + n_permutations))


def _agreement(tests: pd.DataFrame) -> Float[np.ndarray, "concepts concepts"]:
    """Return the Jaccard index of every concept's findings by one with every concept's by the other."""
    columns = pd.MultiIndex.from_frame(tests[["collection", "term"]])
    row, concepts = pd.factorize(tests["concept"], sort=True)
    column, terms = pd.factorize(columns)
    signed = np.zeros((2, 2, len(concepts), len(terms)), dtype=np.float32)  # enrichment, sign, concept, term
    for at, which in enumerate(("one", "other")):
        for way, sign in enumerate((1, -1)):
            chosen = tests[f"by_{which}"] & (np.sign(tests[f"es_{which}"]) == sign)
            signed[at, way, row[chosen], column[chosen]] = 1
    both = sum(signed[0, way] @ signed[1, way].T for way in (0, 1))
    first, second = signed[0].sum(axis=0), signed[1].sum(axis=0)
    either = first.sum(axis=1)[:, None] + second.sum(axis=1)[None] - first @ second.T
    return np.where(either > 0, both / np.maximum(either, 1), np.nan).astype(np.float64)


def _paired(
    agreement: Float[np.ndarray, "concepts concepts"], *, n_permutations: int, seed: int
) -> tuple[float, Float[np.ndarray, " _permutations"]]:
    """Return the mean agreement of concepts with themselves, and with others by random pairings."""
    if not np.isfinite(np.diag(agreement)).any():
        return np.nan, np.empty(0)
    observed = float(np.nanmean(np.diag(agreement)))
    if len(agreement) < 2:
        return observed, np.empty(0)
    rng = np.random.default_rng([seed, 4])
    rows = np.arange(len(agreement))
    drawn = [_mean(agreement[rows, rng.permutation(rows)]) for _ in range(n_permutations)]
    return observed, np.array(drawn)


def _mean(values: Float[np.ndarray, " concepts"]) -> float:
    finite: Bool[np.ndarray, " concepts"] = np.isfinite(values)
    return float(values[finite].mean()) if finite.any() else 0.0
