"""Places for labelled discs in the plane: linked ones close, none over another, the same each time."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
STEPS = 300
BREADTH = 1.5  # width of the whole over its height, about


def sunflower(n: int, spacing: float) -> Float[np.ndarray, "n 2"]:
    """Place points evenly within a disc around 0, the first ones innermost.

    Parameters
    ----------
    n
        Number of points.
    spacing
        Least distance between two of them.

    Returns
    -------
    Their coordinates; the mean is 0.
    """
    index = np.arange(n)
    radius = spacing / 1.5 * np.sqrt(index + 0.5)
    points = radius[:, None] * np.column_stack([np.cos(index * GOLDEN_ANGLE), np.sin(index * GOLDEN_ANGLE)])
    return np.asarray(points - points.mean(axis=0))


def place(
    sizes: Float[np.ndarray, "boxes 2"], links: Float[np.ndarray, "boxes boxes"]
) -> Float[np.ndarray, "boxes 2"]:
    """Place boxes such that linked ones stand close and none covers part of another.

    Linked boxes pull each other and all are drawn to the middle, less and less, while those that overlap are
    pushed apart.

    Parameters
    ----------
    sizes
        Width and height of each.
    links
        How strongly two belong together, symmetric, 0 or more.

    Returns
    -------
    Centres of the boxes.
    """
    centres = sunflower(len(sizes), float(np.sqrt(sizes.prod(axis=1)).max(initial=1.0)))
    pull = links / np.maximum(links.sum(axis=1, keepdims=True), 1e-12)
    linked = (links.sum(axis=1) > 0)[:, None]
    for step in range(STEPS):
        cooling = 0.15 * (1 - step / STEPS)
        towards = np.where(linked, pull @ centres - centres, 0.0)
        centres = centres + cooling * (towards - 0.3 * centres * [1 / BREADTH, BREADTH])
        centres = centres + _push(centres, sizes)
    while _overlapping(centres, sizes).any():
        centres = 1.01 * (centres + _push(centres, sizes))
    return centres


def _overlapping(
    centres: Float[np.ndarray, "boxes 2"], sizes: Float[np.ndarray, "boxes 2"]
) -> Bool[np.ndarray, "boxes boxes"]:
    return np.asarray((_depths(centres, sizes) > 0).all(axis=2))


def _depths(
    centres: Float[np.ndarray, "boxes 2"], sizes: Float[np.ndarray, "boxes 2"]
) -> Float[np.ndarray, "boxes boxes 2"]:
    """Return how far two boxes reach into each other in either direction; below 0 where they do not."""
    depth = (sizes[:, None] + sizes[None]) / 2 - np.abs(centres[:, None] - centres[None])
    depth[np.diag_indices(len(sizes))] = -1.0
    return np.asarray(depth)


def _push(
    centres: Float[np.ndarray, "boxes 2"], sizes: Float[np.ndarray, "boxes 2"]
) -> Float[np.ndarray, "boxes 2"]:
    """Move overlapping boxes apart by half of the way that is left, in the direction of the shorter way."""
    depth = _depths(centres, sizes)
    covered = (depth > 0).all(axis=2)
    across = depth[..., 0] <= depth[..., 1]
    away = np.sign(centres[:, None] - centres[None])
    index = np.arange(len(sizes))
    away = np.where(away == 0, np.sign(index[:, None] - index[None])[..., None], away)
    way = np.where(covered, np.minimum(depth[..., 0], depth[..., 1]), 0.0)
    moves = np.stack([np.where(across, way, 0.0), np.where(across, 0.0, way)], axis=2) * away
    return np.asarray(0.25 * moves.sum(axis=1))
