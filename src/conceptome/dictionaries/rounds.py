"""The cells that training learns from, shuffled and scaled, a round of them at a time."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from conceptome.core import InputError
from conceptome.dictionaries.scaling import Scaling
from conceptome.dictionaries.sources import Source

ROUND_BYTES = 2**28
"""Cells of a round take at most so much memory as float32."""


class Rounds:
    """Cuts every pass over the cells into rounds: all cells where they are few, else blocks drawn at random.

    The blocks of a pass and the order of cells in a round follow from the seed and the number of the round
    alone, so that training can go on at any of them. A thread reads the next round while one is learned.

    Parameters
    ----------
    source
        All cells.
    learned
        Those to learn from.
    scaling
        What is done to them.
    seed
        Decides the order.
    device
        Where they go.
    """

    def __init__(
        self, source: Source, learned: Bool[np.ndarray, " cells"], scaling: Scaling, *, seed: int, device: str
    ) -> None:
        self.source, self.learned, self.scaling = source, learned, scaling
        self.seed, self.device = seed, device
        self.n_cells = int(learned.sum())
        starts = np.arange(0, source.n_cells, source.block_rows)
        self.blocks = np.flatnonzero(np.add.reduceat(learned, starts, dtype=int))
        self.per_pass = min(len(self.blocks), -(-4 * self.n_cells * source.d_embed // ROUND_BYTES))
        self._reader = ThreadPoolExecutor(1)
        self._next: tuple[int, Future[Tensor]] | None = None
        self._all = self._scaled(self.blocks.tolist()).to(device) if self.per_pass == 1 else None

    @property
    def unit(self) -> str:
        """What a round is called."""
        return "pass" if self.per_pass == 1 else "round"

    def __enter__(self) -> Rounds:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.shutdown(cancel_futures=True)

    def shuffled(self, number: int) -> Tensor:
        """Return the cells of a round, counted from the first pass on, scaled and in random order."""
        if self._all is not None:
            return self._all[self._order(number, len(self._all)).to(self._all.device)]
        if self._next is None or self._next[0] != number:
            self._next = number, self._reader.submit(self._read, number)
        cells = self._next[1].result()
        self._next = number + 1, self._reader.submit(self._read, number + 1)
        return cells.to(self.device)

    def _read(self, number: int) -> Tensor:
        at_pass, part = divmod(number, self.per_pass)
        blocks = np.random.default_rng([self.seed, at_pass]).permutation(self.blocks)
        own = np.sort(np.array_split(blocks, self.per_pass)[part])
        cells = self._scaled(own.tolist())
        return cells[self._order(number, len(cells))]

    def _order(self, number: int, n_cells: int) -> Tensor:
        at_pass, part = divmod(number, self.per_pass)
        return torch.from_numpy(np.random.default_rng([self.seed, at_pass, part]).permutation(n_cells))

    def _scaled(self, blocks: list[int]) -> Tensor:
        parts = []
        for block in blocks:
            rows = slice(block * self.source.block_rows, (block + 1) * self.source.block_rows)
            parts.append(self.scaling(self.source.read(rows)[self.learned[rows]]))
        return torch.from_numpy(np.concatenate(parts))


def require_device(device: str) -> None:
    """Refuse a device on which torch cannot compute here.

    Parameters
    ----------
    device
        Such as ``"cpu"`` or ``"cuda:1"``.

    Raises
    ------
    InputError
        If PyTorch knows no such device or finds none.
    """
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        msg = f"device is {device!r}, which PyTorch cannot use here ({reason}). Use 'cpu'."
        raise InputError(msg) from None
