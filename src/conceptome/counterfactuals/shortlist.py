"""The compiled half of the search: what of a block of scores enters the shortlists."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from conceptome.dictionaries.kernels import compiled


class Rules(NamedTuple):
    """What makes a cell inadmissible for a query."""

    barred: np.ndarray
    """``(n_cells, n_concepts)``; read fastest when the cells of one concept stand together."""
    log_library: np.ndarray
    """Of all cells."""
    caliper: float
    """Largest |difference of log library size|; infinite where there is none."""


class Block(NamedTuple):
    """Some of the cells."""

    cells: np.ndarray
    values: np.ndarray
    """Their embeddings, centred."""
    norms: np.ndarray
    """Squared."""


class Asked(NamedTuple):
    """Some of the queries."""

    cells: np.ndarray
    concepts: np.ndarray


class Shortlists(NamedTuple):
    """One heap for each query, the highest score first; infinite and -1 where nothing has entered."""

    scores: np.ndarray
    cells: np.ndarray


@compiled
def _replace_first(scores: np.ndarray, cells: np.ndarray, score: float, cell: int) -> None:
    """Put an entry in the place of the highest and let it sink."""
    at, size = 0, len(scores)
    while 2 * at + 1 < size:
        below = 2 * at + 1
        if below + 1 < size and scores[below + 1] > scores[below]:
            below += 1
        if scores[below] <= score:
            break
        scores[at] = scores[below]
        cells[at] = cells[below]
        at = below
    scores[at] = score
    cells[at] = cell


@compiled
def keep_lowest(
    products: np.ndarray,
    block: Block,
    asked: Asked,
    rules: Rules,
    shortlists: Shortlists,
) -> None:
    """Enter the admissible cells of a block into the shortlists of some queries.

    Hardly any score is low enough to enter, so that the rules are looked up for few.

    Parameters
    ----------
    products
        -2 * query . cell, ``(n_queries, n_block)``.
    block
        The cells; score = product + squared norm.
    asked
        The queries.
    rules
        What makes a cell inadmissible.
    shortlists
        ``(n_queries, size)`` each, written. Of equal scores the earlier stays.
    """
    for i in range(len(products)):
        scores, cells = shortlists.scores[i], shortlists.cells[i]
        own, concept = rules.log_library[asked.cells[i]], asked.concepts[i]
        for j in range(len(block.cells)):
            score = products[i, j] + block.norms[j]
            if score < scores[0]:
                cell = block.cells[j]
                gap = abs(own - rules.log_library[cell])
                if not rules.barred[cell, concept] and not gap > rules.caliper:
                    _replace_first(scores, cells, score, cell)
