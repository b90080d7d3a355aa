"""Concepts in some of the cells, chosen by hand or by category, against all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from conceptome.atlas.concept_pages import record, require_column
from conceptome.atlas.pages import columns
from conceptome.atlas.reader import Atlas, Table
from conceptome.atlas.schema import MISSING_CODE
from conceptome.core import InputError

BLOCK_CELLS = 16_384


def chosen_cells(
    atlas: Atlas, *, ranges: Sequence[Sequence[int]] = (), cells: Sequence[int] = ()
) -> Bool[np.ndarray, " cells"]:
    """Mark cells that are named by ranges of positions and one by one.

    Parameters
    ----------
    atlas
        The atlas.
    ranges
        Pairs of start and stop; stop is not included.
    cells
        Positions.

    Raises
    ------
    InputError
        If a position lies outside of the atlas, or nothing is named.
    """
    bounds = np.array(ranges, dtype=np.int64).reshape(-1, 2)
    single = np.array(cells, dtype=np.int64)
    known = (bounds >= 0).all() and (bounds <= atlas.n_cells).all() and (bounds[:, 0] <= bounds[:, 1]).all()
    if not known or not ((single >= 0) & (single < atlas.n_cells)).all():
        msg = f"A selection names cells from 0 to {atlas.n_cells - 1:,}, and no range backwards."
        raise InputError(msg)
    steps = np.zeros(atlas.n_cells + 1, dtype=np.int32)
    np.add.at(steps, bounds[:, 0], 1)
    np.add.at(steps, bounds[:, 1], -1)
    chosen = np.cumsum(steps[:-1]) > 0
    chosen[single] = True
    if not chosen.any():
        msg = "The selection is empty. Choose some cells."
        raise InputError(msg)
    return np.asarray(chosen)


def select(atlas: Atlas, chosen: Bool[np.ndarray, " cells"]) -> dict[str, Any]:
    """Compare the chosen cells with all others, by concept and by category.

    Parameters
    ----------
    atlas
        The atlas.
    chosen
        Which cells, of all of them.

    Returns
    -------
    ``n_cells``, ``concepts`` (see `against_the_rest`) and ``groups``: per column ``code, name, n_selected,
    n_cells``.
    """
    active = np.zeros(atlas.n_concepts, dtype=np.int64)
    total = np.zeros(atlas.n_concepts)
    for start in range(0, atlas.n_cells, BLOCK_CELLS):
        some = np.flatnonzero(chosen[start : start + BLOCK_CELLS])
        if len(some):
            _add(atlas, start + some, active, total)
    n_cells = int(chosen.sum())
    groups = {
        column["key"]: _composition(atlas, column, chosen)
        for column in columns(atlas)
        if column["kind"] == "categorical"
    }
    return {"n_cells": n_cells, "concepts": against_the_rest(atlas, n_cells, active, total), "groups": groups}


def _add(atlas: Atlas, cells: Shaped[np.ndarray, " some"], active: np.ndarray, total: np.ndarray) -> None:
    """Add active cells and activation of some cells of one block."""
    _, index, value = active_concepts(atlas, cells)
    active += np.bincount(index, minlength=len(active))
    total += np.bincount(index, weights=value, minlength=len(total))


def active_concepts(
    atlas: Atlas, cells: Shaped[np.ndarray, " some"]
) -> tuple[Shaped[np.ndarray, " some"], Shaped[np.ndarray, " nonzeros"], Shaped[np.ndarray, " nonzeros"]]:
    """Read which concepts fire in some cells; what lies between them is read too.

    Parameters
    ----------
    atlas
        The atlas.
    cells
        Positions, ascending.

    Returns
    -------
    Of each cell how many concepts fire; then, cell by cell, which, and how strongly (float16).
    """
    first, last = int(cells[0]), int(cells[-1])
    indptr = atlas.array("csr_indptr.u64", first, last + 2).astype(np.int64)
    index = atlas.array("csr_index.uint", int(indptr[0]), int(indptr[-1]))
    value = atlas.array("csr_value.f16", int(indptr[0]), int(indptr[-1]))
    counts = np.diff(indptr)
    if len(cells) == len(counts):
        return counts, index, value
    begin, counts = indptr[cells - first] - indptr[0], counts[cells - first]
    ahead = np.cumsum(counts) - counts
    wanted = np.repeat(begin - ahead, counts) + np.arange(counts.sum())
    return counts, index[wanted], value[wanted]


def _composition(atlas: Atlas, column: dict[str, Any], chosen: Bool[np.ndarray, " cells"]) -> Table:
    codes = atlas.array(f"obs/{column['key']}.u16")[chosen]
    counts = np.bincount(codes[codes != MISSING_CODE], minlength=len(column["categories"])).tolist()
    names = ("code", "name", "n_cells")
    return {name: [one[name] for one in column["categories"]] for name in names} | {"n_selected": counts}


def group(atlas: Atlas, key: str, code: int) -> dict[str, Any]:
    """Return a category, and how much more often than elsewhere concepts are active in it.

    Raises
    ------
    InputError
        If there is none.
    """
    require_column(atlas, key, kind="categorical")
    query = (
        "SELECT c.key, o.name, c.code, c.name AS category, c.n_cells FROM obs_categories c "
        "JOIN obs_columns o USING (key) WHERE c.key = ? AND c.code = ?"
    )
    found = record(atlas.table(query, [key, code]))
    if found is None:
        msg = f"The column {key!r} has no category {code}."
        raise InputError(msg)
    rows = atlas.rows("SELECT concept, n_active, mean FROM groups WHERE key = ? AND code = ?", [key, code])
    active, total = [0] * atlas.n_concepts, [0.0] * atlas.n_concepts
    for concept, n_active, mean in rows:
        active[concept], total[concept] = n_active, mean * found["n_cells"]
    return {"group": found, "concepts": against_the_rest(atlas, found["n_cells"], active, total)}


def against_the_rest(
    atlas: Atlas, n_cells: int, active: Sequence[int] | np.ndarray, total: Sequence[float] | np.ndarray
) -> Table:
    """Compare how often and how strongly concepts are active in some cells and in all others.

    Parameters
    ----------
    atlas
        The atlas.
    n_cells
        Number of cells.
    active, total
        Of each concept, how many of them activate it, and their summed activation.

    Returns
    -------
    ``concept, auto_name, n_active, share, share_elsewhere, mean, mean_elsewhere, log2_ratio, phi`` of the
    concepts that fire in one of them, by falling phi. The ratio is of the shares, with half a cell added to
    the counts in proportion to the sizes; a handful of cells can make it large. ``phi``, from -1 to 1, is the
    correlation between being one of the cells and activating the concept, 0 where either is the same for all
    cells. Shares and means elsewhere are None if there are no other cells.
    """
    names, all_active, all_sums = atlas.concept_sums
    inside, sums = np.asarray(active), np.asarray(total)
    outside, other_sums = all_active - inside, all_sums - sums
    n_other = atlas.n_cells - n_cells
    here, there = (max(number, 1) / atlas.n_cells for number in (n_cells, n_other))  # of the half cell each
    share_here, share_there = (
        (inside + here / 2) / (n_cells + here),
        (outside + there / 2) / (n_other + there),
    )
    ratio = np.log2(share_here / share_there)
    spread = np.sqrt(1.0 * n_cells * n_other * all_active * (atlas.n_cells - all_active))
    product = 1.0 * inside * (n_other - outside) - 1.0 * outside * (n_cells - inside)
    phi = np.divide(product, spread, out=np.zeros(len(spread)), where=spread > 0)
    order = np.argsort(-phi, kind="stable")
    order = order[inside[order] > 0]
    elsewhere = [None] * len(order)
    return {
        "concept": order.tolist(),
        "auto_name": [names[at] for at in order.tolist()],
        "n_active": inside[order].tolist(),
        "share": (inside / max(n_cells, 1))[order].tolist(),
        "share_elsewhere": (outside / n_other)[order].tolist() if n_other else elsewhere,
        "mean": (sums / max(n_cells, 1))[order].tolist(),
        "mean_elsewhere": (np.maximum(other_sums, 0) / n_other)[order].tolist() if n_other else elsewhere,
        "log2_ratio": ratio[order].tolist(),
        "phi": phi[order].tolist(),
    }
