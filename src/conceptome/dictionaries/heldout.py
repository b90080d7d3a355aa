"""Held-out cells that can be named again later: the split is a rule about names, not a list of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from conceptome.core import InputError


def _hashes(names: Sequence[str], seed: int) -> np.ndarray:
    key = seed.to_bytes(8, "little", signed=True)
    digests = [hashlib.blake2b(name.encode(), digest_size=8, key=key).digest() for name in names]
    return np.frombuffer(b"".join(digests), dtype="<u8")


@dataclass(frozen=True)
class HeldoutSplit:
    """A cell is held out when the keyed hash of its name (or of its group's) lies below a threshold.

    The same rule names the same cells after rows were permuted, removed or added.
    """

    seed: int
    threshold: int
    """Between 0 and 2^64."""
    by: Literal["cell", "group"]

    @classmethod
    def draw(
        cls, names: Sequence[str], *, fraction: float, seed: int, by: Literal["cell", "group"]
    ) -> HeldoutSplit:
        """Choose a threshold that holds out the given share of the names, and at least one.

        Parameters
        ----------
        names
            Cell ids, or the group (donor) of each cell.
        fraction
            Share of the distinct names to hold out, 0 to 1.
        seed
            Key of the hash.
        by
            What the names are.

        Returns
        -------
        The split.

        Raises
        ------
        InputError
            If there are fewer than two distinct names.
        """
        hashes = np.sort(_hashes(sorted(set(names)), seed))
        if len(hashes) < 2:
            msg = f"Holding out cells by {by} needs at least two different {by}s, found {len(hashes)}."
            raise InputError(msg)
        n_heldout = min(max(round(fraction * len(hashes)), 1), len(hashes) - 1)
        return cls(seed, int(hashes[n_heldout]), by)

    def mask(self, names: Sequence[str]) -> Bool[np.ndarray, " cells"]:
        """Tell which cells are held out.

        Parameters
        ----------
        names
            Cell ids, or the group of each cell, as the split was drawn by.

        Returns
        -------
        True where held out.
        """
        distinct, position = np.unique(np.asarray(names, dtype=str), return_inverse=True)
        return (_hashes(distinct.tolist(), self.seed) < np.uint64(self.threshold))[position]

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain data."""
        return asdict(self)
