"""Modules: concepts that are active in the same cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from conceptome.core import Activations, Csr, InputError, require_at_least, require_positive
from conceptome.dictionaries.chance import Coactivation, coactivation_by_chance

N_STARTS = 10  # with the best of ten, Leiden's result hardly depends on the seed
ALONE = -1


@dataclass(frozen=True, eq=False)
class Modules:
    """Concepts grouped by the cells that activate them."""

    concepts: pd.DataFrame
    """``concept, module`` (from 1; missing for one in none) and ``strength``: its mean correlation with the
    others of its module; 0 for a concept in none, NaN for one that is never active."""
    modules: pd.DataFrame
    """``module, n_concepts, share`` (of cells in which it has the largest part of the activation),
    ``correlation`` (mean over its pairs of concepts), ``label, label_f1`` (the label that these cells
    match best; missing without labels, or without such cells)."""
    correlation: Float[np.ndarray, "concepts concepts"]
    """Correlation of being active, beyond chance; 0 on the diagonal."""
    linked: Bool[np.ndarray, "concepts concepts"]
    """Whether two concepts are active together more often than chance allows."""

    @property
    def order(self) -> Int[np.ndarray, " concepts"]:
        """Concepts by module, the strongest of each first; those in none come last."""
        keys = self.concepts.assign(module=self.concepts["module"].fillna(len(self.concepts) + 1))
        by = keys.sort_values(["module", "strength"], ascending=[True, False], kind="stable")
        return np.asarray(by["concept"].to_numpy())

    @property
    def shown(self) -> Int[np.ndarray, " shown"]:
        """Concepts in the same order without those that are never active."""
        return np.asarray(self.order[self.concepts["strength"].notna().to_numpy()[self.order]])

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table of concepts."""
        return self.concepts.copy()


def concept_modules(
    activations: Activations | Csr,
    *,
    labels: Sequence[str] | pd.Series | None = None,
    resolution: float = 1.0,
    fdr: float = 0.05,
    seed: int = 0,
) -> Modules:
    """Group concepts that are active in the same cells more often than chance allows.

    Two concepts are linked where they share more cells than `coactivation_by_chance` allows
    (Benjamini-Hochberg over all pairs of concepts that are ever active), with the correlation beyond chance
    as weight. Leiden communities [Traag19] of this graph, the best of ten starts by modularity, are the
    modules. A concept without links is in none.

    Parameters
    ----------
    activations
        Activations of some cells.
    labels
        Label of each cell, missing values allowed; names the modules and changes none.
    resolution
        Above 0; larger values give more and smaller modules.
    fdr
        Expected share of false links, above 0 and at most 1.
    seed
        Decides the starts.

    Returns
    -------
    `Modules`, the one with most concepts first.

    Raises
    ------
    InputError
        If a number is out of range, or there is not one label per cell.

    References
    ----------
    [Traag19] *From Louvain to Leiden: guaranteeing well-connected communities*, Sci. Rep. 9:5233.
    """
    require_positive("resolution", resolution)
    require_at_least("seed", seed, 0)
    if not 0 < fdr <= 1:
        msg = f"fdr is {fdr}, expected a share above 0 and at most 1."
        raise InputError(msg)
    values = activations.values if isinstance(activations, Activations) else activations
    if labels is not None and len(labels) != values.shape[0]:
        msg = f"labels has {len(labels)} entries, expected one for each of {values.shape[0]} cells."
        raise InputError(msg)
    found = coactivation_by_chance(values)
    correlation, linked = found.correlation(), _linked(found, fdr)
    member = _communities(np.where(linked, correlation, 0), resolution=resolution, seed=seed)
    alive = np.diag(found.observed) > 0
    concepts = pd.DataFrame(
        {
            "concept": np.arange(len(member)),
            "module": pd.array(np.where(member == ALONE, 0, member + 1), dtype="Int64"),
            "strength": np.where(alive, _strength(correlation, member), np.nan),
        }
    )
    concepts.loc[member == ALONE, "module"] = pd.NA
    return Modules(concepts, _summary(values, member, correlation, labels), correlation, linked)


def _linked(found: Coactivation, fdr: float) -> Bool[np.ndarray, "concepts concepts"]:
    """Tell which pairs share more cells than chance allows."""
    from scipy.stats import false_discovery_control

    alive = np.flatnonzero(np.diag(found.observed))
    rows, columns = (alive[side] for side in np.triu_indices(len(alive), k=1))
    linked = np.zeros(found.observed.shape, dtype=bool)
    if len(rows):
        excess = found.observed[rows, columns] > found.expected[rows, columns]
        q = false_discovery_control(found.p()[rows, columns])
        linked[rows, columns] = linked[columns, rows] = excess & (q <= fdr)
    return linked


def _communities(
    weights: Float[np.ndarray, "concepts concepts"], *, resolution: float, seed: int
) -> Int[np.ndarray, " concepts"]:
    """Find Leiden communities and number them by size; `ALONE` for concepts in none."""
    from sknetwork.clustering import Leiden, get_modularity

    member = np.full(len(weights), ALONE)
    nodes = np.flatnonzero(weights.any(axis=0))
    if not len(nodes):
        return member
    graph = sp.csr_matrix(weights[np.ix_(nodes, nodes)])
    starts = np.random.default_rng(seed).integers(2**31, size=N_STARTS)
    runs = [
        Leiden(
            resolution, tol_optimization=1e-10, tol_aggregation=0, shuffle_nodes=True, random_state=int(start)
        ).fit_predict(graph)
        for start in starts
    ]
    best = max(runs, key=lambda run: float(get_modularity(graph, run, resolution=resolution)))
    _, first, inverse, sizes = np.unique(best, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), dtype=int)
    rank[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    member[nodes] = np.where(sizes[inverse] > 1, rank[inverse], ALONE)
    return member


def _strength(
    correlation: Float[np.ndarray, "concepts concepts"], member: Int[np.ndarray, " concepts"]
) -> Float[np.ndarray, " concepts"]:
    """Average the correlation of each concept with the others of its module; 0 for those in none."""
    same = (member[:, None] == member) & (member != ALONE)
    others = np.maximum(same.sum(axis=1) - 1, 1)
    return np.asarray((correlation * same).sum(axis=1) / others)


def _summary(
    values: Csr,
    member: Int[np.ndarray, " concepts"],
    correlation: Float[np.ndarray, "concepts concepts"],
    labels: Sequence[str] | pd.Series | None,
) -> pd.DataFrame:
    n_modules = int(member.max(initial=ALONE)) + 1
    grouping = sp.csr_array(member[:, None] == np.arange(n_modules), dtype=np.float64)
    totals = (values @ grouping).toarray()
    leads = np.eye(n_modules, dtype=bool)[totals.argmax(axis=1)] & (totals > 0) if n_modules else totals > 0
    sizes = np.bincount(member[member != ALONE], minlength=n_modules)
    strength = _strength(correlation, member)
    table = pd.DataFrame(
        {
            "module": np.arange(1, n_modules + 1),
            "n_concepts": sizes,
            "share": leads.mean(axis=0),
            "correlation": [float(strength[member == module].mean()) for module in range(n_modules)],
        }
    )
    names, f1 = _best_labels(leads, labels)
    return table.assign(label=pd.array(names, dtype="string"), label_f1=f1)


def _best_labels(
    leads: Bool[np.ndarray, "cells modules"], labels: Sequence[str] | pd.Series | None
) -> tuple[list[str | None], Float[np.ndarray, " modules"]]:
    """Find the label whose cells are most nearly those that a module leads, by F1."""
    n_modules = leads.shape[1]
    if labels is None or not n_modules:
        return [None] * n_modules, np.full(n_modules, np.nan)
    codes, names = pd.factorize(np.asarray(labels, dtype=object), sort=True)
    is_label = codes[:, None] == np.arange(len(names))
    both = leads.T.astype(float) @ is_label
    f1 = 2 * both / np.maximum(leads.sum(axis=0)[:, None] + is_label.sum(axis=0), 1)
    best = f1.max(axis=1)
    chosen = [str(names[at]) if one > 0 else None for at, one in zip(f1.argmax(axis=1), best, strict=True)]
    return chosen, np.where(best > 0, best, np.nan)
