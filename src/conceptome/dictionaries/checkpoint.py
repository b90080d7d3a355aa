"""Training written down while it runs: one file, replaced at once, from which it continues to the bit."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conceptome.core import CheckpointError, InputError, require_at_least

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 3


@dataclass(frozen=True)
class Checkpoint:
    """Where training is written down, and how often.

    A round of training is an epoch, that is a pass over the cells; beyond 256 MiB it is part of one.
    """

    path: Path | str
    """The file: safetensors with the numbers as JSON in its header; nothing in it can run code."""
    every_seconds: float = 30.0
    """Written after the first round that ends so long after the last time."""
    every_rounds: int | None = None
    """Written after so many rounds instead."""

    def __post_init__(self) -> None:
        require_at_least("Checkpoint: every_seconds", self.every_seconds, 0)
        if self.every_rounds is not None:
            require_at_least("Checkpoint: every_rounds", self.every_rounds, 1)
        if Path(self.path).is_dir():
            msg = f"The checkpoint {self.path} is a folder, expected a file. Name a file in it."
            raise InputError(msg)


class Journal:
    """Reads and writes the checkpoint of one training.

    Parameters
    ----------
    checkpoint
        Where and how often.
    identity
        What decides the result: seed, family, options and a hash of the data, JSON-serialisable.
    """

    def __init__(self, checkpoint: Checkpoint, identity: Mapping[str, Any]) -> None:
        self.checkpoint, self.path = checkpoint, Path(checkpoint.path)
        self.identity = json.loads(json.dumps({"format": FORMAT, **identity}))
        self.written = time.monotonic()

    def due(self, n_rounds: int, *, finished: bool) -> bool:
        """Tell whether it is time to write.

        Parameters
        ----------
        n_rounds
            Rounds done.
        finished
            Whether they were the last.

        Returns
        -------
        True then, and as often as the checkpoint says.
        """
        every = self.checkpoint.every_rounds
        if finished or every:
            return finished or n_rounds % (every or 1) == 0
        return time.monotonic() - self.written >= self.checkpoint.every_seconds

    def write(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Replace the file; who is killed meanwhile leaves the old one behind.

        Parameters
        ----------
        tensors
            By name.
        numbers
            JSON-serialisable.
        """
        from safetensors.torch import save

        header = {"identity": json.dumps(self.identity), "numbers": json.dumps(numbers)}
        content = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, header)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.name}.partial")
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)
        self.written = time.monotonic()

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Read what was written last.

        Returns
        -------
        Tensors and numbers; None if nothing was written yet.

        Raises
        ------
        CheckpointError
            If the file is damaged, or tells of a training with other data, options or seed.
        """
        from safetensors import SafetensorError, safe_open

        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                header = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
            identity, numbers = json.loads(header["identity"]), json.loads(header["numbers"])
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            msg = f"{self.path} is not a checkpoint ({error}). Restore it, or delete it to begin anew."
            raise CheckpointError(msg) from None
        self._require_same(identity)
        return tensors, numbers

    def _require_same(self, found: Mapping[str, Any]) -> None:
        names = [name for name in {**found, **self.identity} if found.get(name) != self.identity.get(name)]
        if names:
            differences = "; ".join(
                f"{name} was {found.get(name)!r} and is {self.identity.get(name)!r}" for name in names
            )
            msg = (
                f"{self.path} is the checkpoint of another training: {differences}. Train with what it was "
                "begun with, or delete it to begin anew."
            )
            raise CheckpointError(msg)
