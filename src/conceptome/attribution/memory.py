"""Embeddings of edited cells that were asked for before: concepts and counterfactuals share many edits."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float

Key: TypeAlias = tuple[int, int, float]
"""Cell, gene and new value of an edit."""

CAPACITY_BYTES = 2**29


class Memory:
    """The latest embeddings that fit into `CAPACITY_BYTES`.

    Parameters
    ----------
    d_embed
        Length of an embedding.
    """

    def __init__(self, d_embed: int) -> None:
        self._capacity = max(1, CAPACITY_BYTES // (8 * d_embed))
        self._values = np.empty((0, d_embed))
        self._keys: list[Key] = []
        self._place: dict[Key, int] = {}
        self._next = 0

    def recall(self, keys: list[Key]) -> tuple[Float[np.ndarray, "keys d_embed"], Bool[np.ndarray, " keys"]]:
        """Return the embeddings that are held, and for which keys they are."""
        places = np.array([self._place.get(key, -1) for key in keys], dtype=np.int64)
        held = places >= 0
        values = np.empty((len(keys), self._values.shape[1]))
        values[held] = self._values[places[held]]
        return values, held

    def hold(self, keys: list[Key], values: Float[np.ndarray, "keys d_embed"]) -> None:
        """Hold the embeddings of keys that are not held yet; the oldest make room."""
        keys, values = keys[-self._capacity :], values[-self._capacity :]
        self._make_room(len(keys))
        places = (self._next + np.arange(len(keys))) % self._capacity
        self._values[places] = values
        for place, key in zip(places.tolist(), keys, strict=True):
            if place == len(self._keys):
                self._keys.append(key)
            else:
                del self._place[self._keys[place]]
                self._keys[place] = key
            self._place[key] = place
        self._next = (self._next + len(keys)) % self._capacity

    def _make_room(self, n_more: int) -> None:
        needed = min(self._capacity, len(self._keys) + n_more)
        if needed > len(self._values):
            size = min(self._capacity, max(1024, needed, 2 * len(self._values)))
            grown = np.empty((size, self._values.shape[1]))
            grown[: len(self._values)] = self._values
            self._values = grown
