"""Which pre-activations become activations: the rules of the families, exact and without torch."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def keep_strongest(pre: Float[np.ndarray, "rows concepts"], k: int) -> Float[np.ndarray, "rows concepts"]:
    """Keep the k largest positive pre-activations of each row; of equal ones those of lower index.

    Parameters
    ----------
    pre
        Pre-activations, ``(n_rows, n_concepts)``, finite.
    k
        Most to keep, 1 to n_concepts.

    Returns
    -------
    Activations of the same shape and type, with at most k non-zeros per row.
    """
    positive = np.maximum(pre, 0)
    place = pre.shape[1] - k
    last = np.partition(positive, place, axis=1)[:, [place]]
    above = positive > last
    tied = positive == last
    places = k - above.sum(axis=1, keepdims=True)
    keep = above | (tied & (np.cumsum(tied, axis=1, dtype=np.int32) <= places))
    activations: np.ndarray = np.where(keep, positive, positive.dtype.type(0))
    return activations


def keep_strongest_one(
    pre: Float[np.ndarray, "rows concepts"], concept: int, *, k: int
) -> Float[np.ndarray, " rows"]:
    """Compute one column of `keep_strongest` by counting the concept's rivals instead of sorting.

    Parameters
    ----------
    pre
        Pre-activations, ``(n_rows, n_concepts)``, finite.
    concept
        Index of the concept.
    k
        Most to keep.

    Returns
    -------
    ``keep_strongest(pre, k)[:, concept]``, exactly.
    """
    own = pre[:, [concept]]
    rivals = (pre > own).sum(axis=1) + (pre[:, :concept] == own).sum(axis=1)
    activation: np.ndarray = np.where(rivals < k, np.maximum(own[:, 0], 0), pre.dtype.type(0))
    return activation


def keep_above(
    pre: Float[np.ndarray, "*rows"], threshold: float | Float[np.ndarray, " concepts"]
) -> Float[np.ndarray, "*rows"]:
    """Keep what lies above a threshold.

    Parameters
    ----------
    pre
        Pre-activations, ``(n_rows, n_concepts)`` or one concept's.
    threshold
        0 or above: one for all, or one for each concept.

    Returns
    -------
    Activations of the same shape and type.
    """
    activations: np.ndarray = np.where(pre > threshold, pre, pre.dtype.type(0))
    return activations
