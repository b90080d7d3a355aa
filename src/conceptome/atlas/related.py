"""Concepts that are like each other, in blocks, so that thousands of concepts need no square table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float, Int

from conceptome.atlas.contents import Contents
from conceptome.core import Attributions, Csr

Alike: TypeAlias = Literal["directions", "activations", "genes"]

N_RELATED = 10
BLOCK_CONCEPTS = 512


def related_table(contents: Contents) -> pd.DataFrame:
    """List for each concept the ten that are most like it, by every kind of likeness that is known.

    Parameters
    ----------
    contents
        Where directions or attributions are missing, so is that kind.

    Returns
    -------
    ``concept, kind, rank`` (from 1), ``other, similarity, shared, expected``.
    """
    values = contents.activations.values.astype(np.float64)
    active = (values > 0).astype(np.float64)
    frequency = np.asarray(active.sum(axis=0)).ravel() / max(values.shape[0], 1)
    parts = [_nearest("activations", _correlations(values), active, frequency)]
    if contents.directions is not None:
        parts.append(_nearest("directions", _cosines(contents.directions), active, frequency))
    if contents.attributions is not None:
        parts.append(_by_genes(contents.attributions))
    return pd.concat(parts, ignore_index=True)


Rows: TypeAlias = Callable[[slice], np.ndarray]


def _cosines(directions: Float[np.ndarray, "concepts d_embed"]) -> Rows:
    length = np.linalg.norm(directions.astype(np.float64), axis=1, keepdims=True)
    unit = directions / np.where(length > 0, length, 1)
    return lambda rows: np.asarray(unit[rows] @ unit.T)


def _correlations(values: Csr) -> Rows:
    n_cells = max(values.shape[0], 1)
    mean = np.asarray(values.sum(axis=0)).ravel() / n_cells
    variance = np.asarray(values.power(2).sum(axis=0)).ravel() / n_cells - mean**2
    deviation = np.sqrt(np.maximum(variance, 0))
    columns = values.T.tocsr()

    def rows_of(rows: slice) -> np.ndarray:
        together = (columns[rows] @ values).toarray() / n_cells - np.outer(mean[rows], mean)
        scale = np.outer(deviation[rows], deviation)
        alike = np.divide(together, scale, out=np.full_like(together, -np.inf), where=scale > 0)
        return np.asarray(alike)

    return rows_of


def _nearest(
    kind: Alike, similarity: Rows, active: Csr, frequency: Float[np.ndarray, " concepts"]
) -> pd.DataFrame:
    n_cells, n_concepts = active.shape
    n_listed = min(N_RELATED, n_concepts - 1)
    columns = active.T.tocsr()
    parts = []
    for start in range(0, n_concepts, BLOCK_CONCEPTS):
        rows = slice(start, min(start + BLOCK_CONCEPTS, n_concepts))
        alike = similarity(rows)
        concept = np.arange(rows.start, rows.stop)
        alike[np.arange(len(concept)), concept] = -np.inf
        order = np.argsort(-alike, axis=1, kind="stable")[:, :n_listed]
        shared = np.take_along_axis((columns[rows] @ active).toarray(), order, axis=1)
        parts.append(
            _table(kind, concept, order, np.take_along_axis(alike, order, axis=1)).assign(
                shared=shared.ravel().astype(np.int64),
                expected=(frequency[concept][:, None] * frequency[order]).ravel() * n_cells,
            )
        )
    found = pd.concat(parts)
    finite: pd.DataFrame = found[np.isfinite(found["similarity"])]
    return finite


def _by_genes(attributions: Attributions) -> pd.DataFrame:
    """Compare the driving genes, supporters and opponents apart."""
    supports = attributions.drives & (attributions.attribution > 0)
    opposes = attributions.drives & (attributions.attribution < 0)
    member = sp.csr_array(np.hstack([supports, opposes]).astype(np.float64))
    unknown = np.full(len(attributions.concepts), np.nan)
    table = _nearest("genes", _jaccard(member), member.T.tocsr(), unknown)
    concepts = np.asarray(attributions.concepts)
    named = {side: concepts[table[side].to_numpy()] for side in ("concept", "other")}
    return table.assign(**named).loc[table["similarity"].to_numpy() > 0]


def _jaccard(member: Csr) -> Rows:
    size = np.asarray(member.sum(axis=1)).ravel()
    columns = member.T.tocsr()

    def rows_of(rows: slice) -> np.ndarray:
        shared = (member[rows] @ columns).toarray()
        union = size[rows, None] + size[None, :] - shared
        return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))

    return rows_of


def _table(
    kind: Alike,
    concept: Int[np.ndarray, " block"],
    other: Int[np.ndarray, "block listed"],
    similarity: Float[np.ndarray, "block listed"],
) -> pd.DataFrame:
    n_listed = other.shape[1]
    return pd.DataFrame(
        {
            "concept": np.repeat(concept, n_listed),
            "kind": kind,
            "rank": np.tile(np.arange(1, n_listed + 1), len(concept)),
            "other": other.ravel(),
            "similarity": similarity.ravel(),
        }
    )
