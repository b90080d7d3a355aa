"""The compiled loop behind attribution: edited cells through one hidden layer and on to a single concept."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from conceptome.dictionaries.kernels import compiled

Array: TypeAlias = np.ndarray
Edited: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Layer: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]
Concept: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


@compiled
def respond(  # noqa: PLR0912, PLR0917 (inlined: a call per edit would cost more than the edit)
    edited: Edited,
    layer: Layer,
    rule: Concept,
    concept: int,
    threshold: float,
    k: int,
    response: Array,
) -> None:
    """Compute the activation and pre-activation of a concept in edited cells.

    What an edit adds to the embedding is summed as differences, unit by unit of the hidden layer, which keeps
    the digits that two full passes would lose. Whether the concept stays among the k strongest is certain
    where no rival can move far enough: a pre-activation moves at most by the length of its weights times that
    of the change. Only the other edits, about one in a hundred, look at every rival.

    Parameters
    ----------
    edited
        Cell of each edit, ``indptr``, gene and change of the transformed value of every change; a gene of -1
        moves nothing.
    layer
        Pre-activation of the hidden layer by cell, weights by gene, readout by coordinate.
    rule
        Weights of the pre-activations by concept, pre-activations by cell, and for each cell the weakest of
        the k strongest rivals.
    concept, threshold, k
        Of the rule; k = 0 for none.
    response
        ``(n_edits, 2)``, written: activation and pre-activation.
    """
    cell, indptr, gene, change = edited
    first, by_gene, readout = layer
    weights, pre, weakest = rule
    d_embed, n_hidden = readout.shape
    hidden, moved = np.empty(n_hidden), np.empty(d_embed)
    longest = 0.0  # weights of a rival
    for j in range(len(weights)):
        if j != concept:
            longest = max(longest, np.sqrt((weights[j] * weights[j]).sum()))
    for e in range(len(cell)):
        own, rivals = first[cell[e]], pre[cell[e]]
        hidden[:] = own
        for c in range(indptr[e], indptr[e + 1]):
            if gene[c] >= 0:
                column = by_gene[gene[c]]
                for j in range(n_hidden):
                    hidden[j] += change[c] * column[j]
        for j in range(n_hidden):
            hidden[j] = max(hidden[j], 0.0) - max(own[j], 0.0)
        p = rivals[concept]
        length = 0.0
        for m in range(d_embed):
            total = 0.0
            for j in range(n_hidden):
                total += hidden[j] * readout[m, j]
            moved[m] = total
            p += weights[concept, m] * total
            length += total * total
        response[e, 0] = 0.0
        response[e, 1] = p
        if not p > threshold:
            continue
        reach = longest * np.sqrt(length) * (1 + 1e-9)
        if k == 0 or p > weakest[cell[e]] + reach:
            response[e, 0] = p
        elif not p < weakest[cell[e]] - reach:
            n_stronger = 0
            for j in range(len(weights)):
                if j != concept:
                    q = rivals[j]
                    for m in range(d_embed):
                        q += weights[j, m] * moved[m]
                    n_stronger += q > p or (q == p and j < concept)
            if n_stronger < k:
                response[e, 0] = p
