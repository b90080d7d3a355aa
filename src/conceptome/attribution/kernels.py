"""The compiled loop behind attribution: edited cells through one hidden layer and on to a single concept."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from conceptome.dictionaries.kernels import compiled

Array: TypeAlias = np.ndarray
Edited: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Layer: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]
Standing: TypeAlias = tuple[
    np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray
]

ROUNDED_UP = 1 + 1e-9


@compiled
def respond(  # noqa: PLR0917
    edited: Edited, layer: Layer, standing: Standing, concept: int, threshold: float, k: int, response: Array
) -> None:
    """Compute the activation and pre-activation of a concept in edited cells.

    What an edit adds to the pre-activation is summed as differences, unit by unit of the hidden layer, which
    keeps the digits that two full passes would lose. Whether the concept stays among the k strongest is
    certain where too few rivals can change sides: against a rival's, its pre-activation moves at most by the
    length of the difference of their slopes times that of the hidden layer's change. For the other edits, one
    in five to fourteen on scVI, the part along the concept's own slope, which is known, is told from the part
    at right angles to it. That leaves half of them, for which the rivals still within reach are computed.

    Parameters
    ----------
    edited
        Cell of each edit, ``indptr``, gene and change of the transformed value of every change; a gene of -1
        moves nothing.
    layer
        Pre-activation of the hidden layer by cell, weights by gene, and slopes: what a unit of the hidden
        layer adds to the pre-activation of each concept.
    standing
        Pre-activations by cell, and what `stand` writes.
    concept, threshold, k
        Of the rule; k = 0 for none.
    response
        ``(n_edits, 2)``, written: activation and pre-activation.
    """
    cell, indptr, gene, change = edited
    first, by_gene, slopes = layer
    pre, _, _, inside, wanted, _, reach = standing
    room = np.empty(first.shape[1]), np.empty(len(slopes) + 1, dtype=np.int64)
    hidden = room[0]
    own_square = _dot(slopes, concept, slopes[concept])
    for e in _gene_by_gene(indptr, gene, len(by_gene)):
        i, at = cell[e], indptr[e]
        if indptr[e + 1] == at + 1 and gene[at] >= 0:
            shift, square = _shift_by_one(first, i, by_gene, gene[at], change[at], slopes, concept)
        else:
            _move(edited, e, first, by_gene, hidden)
            shift, square = _dot(slopes, concept, hidden), (hidden * hidden).sum()
        p, square = pre[i, concept] + shift, square * ROUNDED_UP
        stays = p > threshold
        if stays and k > 0:
            stays, length = inside[i], np.sqrt(square)
            if length >= reach[i, wanted[i] - 1]:
                aside = np.sqrt(square - shift * shift / own_square) if own_square > 0 else length
                if _n_within_reach(standing, i, concept, shift, aside, length) >= wanted[i]:
                    _move(edited, e, first, by_gene, hidden)
                    stays = _n_stronger(slopes, standing, i, concept, shift, aside, room) < k
        response[e, 0] = p if stays else 0.0
        response[e, 1] = p


@compiled
def stand(slopes: Array, concept: int, k: int, standing: Standing) -> None:
    """Find how far the hidden layer of each cell may move before a concept enters or leaves the strongest.

    Parameters
    ----------
    slopes
        ``(n_concepts, n_hidden)``.
    concept, k
        The concept, and how many concepts of a cell are active.
    standing
        ``pre, along, across, inside, wanted, rivals, reach``, all but the first written: pre-activations,
        ``(n_cells, n_concepts)``; ``(n_concepts)``, the rivals' slopes less the concept's, by their share of
        the concept's slope and by the length of what is at right angles to it; ``(n_cells)``, whether the
        concept is among the k strongest, and how many rivals must change sides before that changes, at most
        as many as are listed; ``(n_cells, n_listed)``, the rivals that are closest to changing sides, and how
        far the hidden layer must move at least before they do.
    """
    pre, along, across, inside, wanted, rivals, reach = standing
    n_cells, n_concepts = pre.shape
    n_listed = reach.shape[1]
    norms, own_square = np.empty(n_concepts), _dot(slopes, concept, slopes[concept])
    for j in range(n_concepts):
        share = _dot(slopes, j, slopes[concept]) / own_square if own_square > 0 else 0.0
        square = 0.0
        for d in range(slopes.shape[1]):
            square += (slopes[j, d] - share * slopes[concept, d]) ** 2
        along[j], across[j] = share - 1, np.sqrt(square)
        norms[j] = np.sqrt(square + along[j] ** 2 * own_square)
    along[concept], across[concept], norms[concept] = 0.0, 0.0, 0.0  # whatever rounding says
    reach[:] = np.inf
    rivals[:] = concept
    for i in range(n_cells):
        own, n_above = pre[i, concept], 0
        for j in range(n_concepts):
            n_above += _is_above(pre[i, j], own, j, concept)
        inside[i] = n_above < k
        wanted[i] = min(k - n_above if inside[i] else n_above - k + 1, n_listed)
        for j in range(n_concepts):
            gap, on_the_side = abs(pre[i, j] - own), _is_above(pre[i, j], own, j, concept) == inside[i]
            if on_the_side or norms[j] == 0 or gap >= reach[i, -1] * norms[j]:
                continue
            at = n_listed - 1
            while at > 0 and reach[i, at - 1] * norms[j] > gap:
                reach[i, at], rivals[i, at] = reach[i, at - 1], rivals[i, at - 1]
                at -= 1
            reach[i, at], rivals[i, at] = gap / norms[j], j


@compiled
def spread_losses(  # noqa: PLR0917
    before: Array, after: Array, edited: Array, sign: int, row: Array, unit: Array, lost: Array
) -> None:
    """Put what each edit takes from activation and pre-activation into matrices of rows and units.

    Parameters
    ----------
    before
        Activation and pre-activation by cell.
    after
        By edit.
    edited, row, unit
        The cell that each edit is of, and where its effect belongs.
    sign
        1 or -1, see `Plan.sign`.
    lost
        ``(2, n_rows, n_units)``, written.
    """
    for e in range(len(edited)):
        for part in range(2):
            lost[part, row[e], unit[e]] = sign * (before[edited[e], part] - after[e, part])


@compiled
def _is_above(one: float, other: float, j: int, concept: int) -> bool:
    return one > other or (one == other and j < concept)


@compiled
def _gene_by_gene(indptr: Array, gene: Array, n_genes: int) -> Array:
    """Order edits by their first gene, so that its weights, more than a cache holds in all, are read once."""
    first = np.zeros(n_genes + 2, dtype=np.int64)  # where each gene begins; those without any come first
    for e in range(len(indptr) - 1):
        first[(gene[indptr[e]] + 2) if indptr[e] < indptr[e + 1] else 1] += 1
    for g in range(1, n_genes + 2):
        first[g] += first[g - 1]
    order = np.empty(len(indptr) - 1, dtype=np.int64)
    for e in range(len(indptr) - 1):
        g = (gene[indptr[e]] + 1) if indptr[e] < indptr[e + 1] else 0
        order[first[g]] = e
        first[g] += 1
    return order


@compiled
def _dot(rows: Array, i: int, vector: Array) -> float:
    total = 0.0
    for j in range(len(vector)):
        total += rows[i, j] * vector[j]
    return total


@compiled
def _shift_by_one(  # noqa: PLR0917
    first: Array, i: int, by_gene: Array, gene: int, step: float, slopes: Array, concept: int
) -> tuple[float, float]:
    """Return what a change of one gene adds to the pre-activation, and its squared length."""
    shift, square = 0.0, 0.0
    for j in range(first.shape[1]):
        moved = _behind_relu(first[i, j], step * by_gene[gene, j])
        shift += slopes[concept, j] * moved
        square += moved * moved
    return shift, square


@compiled
def _move(edited: Edited, e: int, first: Array, by_gene: Array, hidden: Array) -> None:
    """Write what an edit of any number of genes adds to the hidden layer behind its ReLU."""
    cell, indptr, gene, change = edited
    hidden[:] = 0
    for c in range(indptr[e], indptr[e + 1]):
        step, row = change[c], gene[c]
        if row >= 0:
            for j in range(len(hidden)):
                hidden[j] += step * by_gene[row, j]
    i = cell[e]
    for j in range(len(hidden)):
        hidden[j] = _behind_relu(first[i, j], hidden[j])


@compiled
def _behind_relu(own: float, step: float) -> float:
    """Return ``relu(own + step) - relu(own)``: above 0 the step itself, to its last digit."""
    low = min(own, 0.0)
    return max(low + step, low - own)


@compiled
def _n_within_reach(  # noqa: PLR0917
    standing: Standing, i: int, concept: int, shift: float, aside: float, length: float
) -> int:
    """Count the rivals that may change sides in a move; all that are listed, if there may be others."""
    pre, along, across, inside, _, rivals, reach = standing
    n, r = 0, 0
    while r < reach.shape[1] and reach[i, r] <= length:
        j = rivals[i, r]
        gap, bound = pre[i, j] - pre[i, concept] + along[j] * shift, across[j] * aside
        n += (gap >= -bound) if inside[i] else (gap <= bound)
        r += 1
    return r if r == reach.shape[1] else n


@compiled
def _n_stronger(  # noqa: PLR0917
    slopes: Array,
    standing: Standing,
    i: int,
    concept: int,
    shift: float,
    aside: float,
    room: tuple[Array, Array],
) -> int:
    """Count the rivals that are stronger after a move; those that are near are computed."""
    hidden, near = room
    pre, along, across = standing[0], standing[1], standing[2]
    own, n, n_near = pre[i, concept], 0, 0
    for j in range(pre.shape[1]):
        gap, bound = pre[i, j] - own + along[j] * shift, across[j] * aside
        near[n_near] = j
        n_near += abs(gap) <= bound
        n += gap > bound
    p = own + _dot(slopes, concept, hidden)  # rounded as the rivals are, for those that tie
    for r in range(n_near):
        j = near[r]
        n += _is_above(pre[i, j] + _dot(slopes, j, hidden), p, j, concept)
    return n
