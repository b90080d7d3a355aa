"""Memory that is used again and again: to ask the system for much of it takes as long as to fill it."""

from __future__ import annotations

import threading
from math import prod

import torch
from torch import Tensor


class Scratch(threading.local):
    """Tensors by name, apart for each thread."""

    def __init__(self) -> None:
        self.held: dict[str, Tensor] = {}

    def tensor(self, name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return a tensor of a shape that holds anything, until its name is asked for again."""
        held, size = self.held.get(name), prod(shape)
        if held is None or len(held) < size or held.dtype != dtype:
            held = self.held[name] = torch.empty(size, dtype=dtype)
        return held[:size].view(shape)
