"""The compiled loop behind attribution: edited cells through one hidden layer and on to a single concept."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from conceptome.dictionaries.kernels import compiled

Array: TypeAlias = np.ndarray
Edited: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Layer: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]
Standing: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

ROUNDED_UP = 1 + 1e-9


@compiled
def respond(  # noqa: PLR0917
    edited: Edited, layer: Layer, standing: Standing, concept: int, threshold: float, k: int, response: Array
) -> None:
    """Compute the activation and pre-activation of a concept in edited cells.

    What an edit adds to the pre-activation is summed as differences, unit by unit of the hidden layer, which
    keeps the digits that two full passes would lose. Whether the concept stays among the k strongest is
    certain where no rival can move far enough: against a rival's, its pre-activation moves at most by the
    length of the difference of their slopes times that of the hidden layer's change. For the other edits, one
    in four on scVI, the few rivals that are within reach are computed.

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
    pre, norms, safe, inside = standing
    hidden, near = np.empty(first.shape[1]), np.empty(len(slopes) + 1, dtype=np.int64)
    slope = slopes[concept]
    for e in _gene_by_gene(indptr, gene, len(by_gene)):
        own, at = first[cell[e]], indptr[e]
        single = indptr[e + 1] == at + 1 and gene[at] >= 0
        if single:
            shift, square = _shift_by_one(own, by_gene[gene[at]], change[at], slope)
        else:
            _move(edited, e, own, by_gene, hidden)
            shift, square = _dot(slope, hidden), _dot(hidden, hidden)
        p, length = pre[cell[e], concept] + shift, np.sqrt(square) * ROUNDED_UP
        stays = p > threshold
        if stays and k > 0:
            if length < safe[cell[e]]:
                stays = inside[cell[e]]
            else:
                if single:
                    _move_by_one(own, by_gene[gene[at]], change[at], hidden)
                stays = _n_stronger(pre[cell[e]], slopes, norms, concept, hidden, length, near) < k
        response[e, 0] = p if stays else 0.0
        response[e, 1] = p


@compiled
def stand(  # noqa: PLR0917
    pre: Array, slopes: Array, concept: int, k: int, norms: Array, safe: Array, inside: Array
) -> None:
    """Find how far the hidden layer of each cell may move before a concept enters or leaves the strongest.

    Parameters
    ----------
    pre
        Pre-activations, ``(n_cells, n_concepts)``.
    slopes
        ``(n_concepts, n_hidden)``.
    concept, k
        The concept, and how many concepts of a cell are active.
    norms
        ``(n_concepts)``, written: how far a concept's slope is from that of each rival.
    safe
        ``(n_cells)``, written: no shorter move changes sides.
    inside
        ``(n_cells)``, written: whether the concept is among the k strongest.
    """
    for j in range(len(slopes)):
        norms[j] = np.sqrt(((slopes[j] - slopes[concept]) ** 2).sum())
    closest = np.empty(pre.shape[1] + 1)
    for i in range(len(pre)):
        own, n_above = pre[i, concept], 0
        for j in range(pre.shape[1]):
            n_above += pre[i, j] > own or (pre[i, j] == own and j < concept)
        inside[i] = n_above < k
        wanted = k - n_above if inside[i] else n_above - k + 1  # so many must change sides
        wanted = min(wanted, pre.shape[1])
        closest[:wanted] = np.inf
        for j in range(pre.shape[1]):
            above = pre[i, j] > own or (pre[i, j] == own and j < concept)
            if j == concept or above == inside[i] or norms[j] == 0:
                continue
            move, at = abs(pre[i, j] - own) / norms[j], wanted
            while at > 0 and closest[at - 1] > move:
                if at < wanted:
                    closest[at] = closest[at - 1]
                at -= 1
            if at < wanted:
                closest[at] = move
        safe[i] = closest[wanted - 1]


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
def _dot(one: Array, other: Array) -> float:
    total = 0.0
    for j in range(len(one)):
        total += one[j] * other[j]
    return total


@compiled
def _shift_by_one(own: Array, column: Array, step: float, slope: Array) -> tuple[float, float]:
    """Return what a change of one gene adds to the pre-activation, and its squared length."""
    shift, square = 0.0, 0.0
    for j in range(len(own)):
        moved = max(own[j] + step * column[j], 0.0) - max(own[j], 0.0)
        shift += slope[j] * moved
        square += moved * moved
    return shift, square


@compiled
def _move_by_one(own: Array, column: Array, step: float, hidden: Array) -> None:
    """Write what a change of one gene adds to the hidden layer behind its ReLU."""
    for j in range(len(own)):
        hidden[j] = max(own[j] + step * column[j], 0.0) - max(own[j], 0.0)


@compiled
def _move(edited: Edited, e: int, own: Array, by_gene: Array, hidden: Array) -> None:
    """Write what an edit of any number of genes adds to the hidden layer behind its ReLU."""
    _, indptr, gene, change = edited
    hidden[:] = own
    for c in range(indptr[e], indptr[e + 1]):
        if gene[c] >= 0:
            step, row = change[c], gene[c]
            for j in range(len(own)):
                hidden[j] += step * by_gene[row, j]
    for j in range(len(own)):
        hidden[j] = max(hidden[j], 0.0) - max(own[j], 0.0)


@compiled
def _n_stronger(  # noqa: PLR0917
    before: Array,
    slopes: Array,
    norms: Array,
    concept: int,
    hidden: Array,
    length: float,
    near: Array,
) -> int:
    """Count the rivals that are stronger after a move; those out of its reach stand as they stood."""
    own, n, n_near = before[concept], 0, 0
    for j in range(len(before)):
        gap, reach = before[j] - own, norms[j] * length
        near[n_near] = j
        n_near += abs(gap) <= reach
        n += gap > reach
    p = own + _dot(slopes[concept], hidden)  # rounded as the rivals are, for those that tie
    for i in range(n_near):
        j = near[i]
        q = before[j] + _dot(slopes[j], hidden)
        n += q > p or (q == p and j < concept)
    return n
