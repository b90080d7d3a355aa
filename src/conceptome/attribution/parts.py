"""Finished concepts on disk, so that an interrupted attribution goes on where it stopped."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from conceptome.attribution.rows import Row
from conceptome.core import CheckpointError, Names, PairEffects
from conceptome.dictionaries.claim import claim, held

EFFECTS = "effects."
EFFECT_ARRAYS = ("concept", "pair", "activation", "indptr", "gene", "act", "pre")


@dataclass(frozen=True)
class Parts:
    """A folder with one file per finished concept."""

    folder: Path
    genes: Names

    @classmethod
    @contextmanager
    def opened(cls, folder: Path | str, task: Mapping[str, Any], *, genes: Names) -> Iterator[Parts]:
        """Hold the folder while it is worked on.

        Parameters
        ----------
        folder
            Made if need be.
        task
            What decides the result.
        genes
            Genes of the columns.

        Raises
        ------
        CheckpointError
            If it holds another attribution or something else, or another process works on it.
        """
        with held(folder) as path:
            claim(path, task)
            yield cls(path, genes)

    def read(self, concept: int) -> Row | None:
        """Return the row of a concept; None if it is not finished."""
        try:
            with np.load(self._place(concept), allow_pickle=False) as arrays:
                values = {name: arrays[name] for name in arrays.files}
            kept = {name: values.pop(EFFECTS + name) for name in EFFECT_ARRAYS}
        except (OSError, EOFError, BadZipFile, zlib.error, ValueError, KeyError):
            return None
        plain = {name: value if value.ndim else value.item() for name, value in values.items()}
        return Row(**plain, effects=PairEffects(**kept, genes=self.genes))

    def write(self, concept: int, row: Row) -> None:
        """Keep a finished row, whole or not at all."""
        names = [field.name for field in fields(Row) if field.name != "effects"]
        arrays = {name: np.asarray(getattr(row, name)) for name in names}
        arrays |= {EFFECTS + name: getattr(row.effects, name) for name in EFFECT_ARRAYS}
        scratch = self.folder / f".{concept}.{os.getpid()}.npz"
        np.savez_compressed(scratch, **arrays)  # type: ignore[arg-type]  # the stubs mean allow_pickle
        scratch.replace(self._place(concept))

    def _place(self, concept: int) -> Path:
        return self.folder / f"concept_{concept:06d}.npz"


def kept_effects(folder: Path | str, concepts: Iterable[int], *, genes: Names) -> Iterator[PairEffects]:
    """Read the effects in single pairs that an attribution kept in its checkpoint.

    Parameters
    ----------
    folder
        The ``checkpoint`` of `attribute`.
    concepts
        Which concepts.
    genes
        ``Attributions.genes``.

    Yields
    ------
    The pairs of one concept after the other.

    Raises
    ------
    CheckpointError
        If a concept is missing or damaged.
    """
    parts = Parts(Path(folder), genes)
    for concept in concepts:
        row = parts.read(concept)
        if row is None or row.effects is None:
            msg = (
                f"{folder} holds no whole effects of concept {concept}. Attribute again with this checkpoint."
            )
            raise CheckpointError(msg)
        yield row.effects
