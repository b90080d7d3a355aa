"""Token sequences of different lengths, put through a network in blocks of fixed shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int

from conceptome.core import InputError

LENGTH_STEP = 64
"""Sequences are padded to a multiple of this."""
BLOCK_TOKENS = {"cpu": 4096, "cuda": 131_072}
"""Tokens that go through the network at once."""

GRADIENT_BLOCK_TOKENS = {"cpu": 2048, "cuda": 16_384}
"""The same where gradients are taken, which keep what every layer computed."""

Network: TypeAlias = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Maps tokens, values and real (which positions are no padding), all (rows, length), to (rows, d_embed)."""


@dataclass(frozen=True, eq=False)
class Sequences:
    """What a transformer reads of each cell: tokens in order, and a value for each."""

    indptr: Int[np.ndarray, " sequences_plus_one"]
    tokens: Int[np.ndarray, " tokens"]
    values: Float[np.ndarray, " tokens"]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def lengths(self) -> Int[np.ndarray, " sequences"]:
        """Tokens of each sequence."""
        return np.diff(self.indptr)

    def padded(
        self, rows: Int[np.ndarray, " rows"], length: int, *, pad_token: int, pad_value: float
    ) -> tuple[Int[np.ndarray, "rows length"], Float[np.ndarray, "rows length"]]:
        """Return tokens and values of some sequences, padded on the right to one length."""
        lengths = self.lengths[rows]
        real = np.arange(length) < lengths[:, None]
        starts = self.indptr[rows] - np.concatenate([[0], np.cumsum(lengths)[:-1]])
        source = np.arange(lengths.sum()) + np.repeat(starts, lengths)
        tokens = np.full(real.shape, pad_token, dtype=np.int64)
        values = np.full(real.shape, pad_value, dtype=np.float32)
        tokens[real], values[real] = self.tokens[source], self.values[source]
        return tokens, values


def map_sequences(
    network: Network,
    sequences: Sequences,
    *,
    d_embed: int,
    pad_token: int,
    pad_value: float = 0.0,
    longest: int | None = None,
    device: str = "cpu",
) -> Float[np.ndarray, "sequences d_embed"]:
    """Put sequences through a network, those of similar length together.

    A matrix product rounds differently for different numbers of rows. Sequences are therefore padded to a
    multiple of `LENGTH_STEP` and grouped into blocks whose number of rows depends on that length alone; the
    last block repeats a sequence. What a sequence becomes does not depend on its company, nor on the number
    of threads.

    Parameters
    ----------
    network
        Maps a block; its result for a row must not depend on padding or on other rows.
    sequences
        Sequences of at least one token.
    d_embed
        Coordinates of the result.
    pad_token, pad_value
        Fill the end of a row.
    longest
        Longest row the network takes; padding stops there.
    device
        Device of the network.

    Returns
    -------
    ``(n_sequences, d_embed)``, float32.
    """
    padded = -(-sequences.lengths // LENGTH_STEP) * LENGTH_STEP
    if longest is not None:
        padded = np.minimum(padded, np.maximum(longest, sequences.lengths))

    def embed(block: _Block) -> Float[np.ndarray, "rows d_embed"]:
        tokens, values = sequences.padded(block.rows, block.length, pad_token=pad_token, pad_value=pad_value)
        real = np.arange(block.length) < sequences.lengths[block.rows][:, None]
        with torch.inference_mode():
            embedded = network(*(torch.from_numpy(array).to(device) for array in (tokens, values, real)))
            return np.asarray(embedded.float().cpu().numpy())

    result = np.empty((len(sequences), d_embed), dtype=np.float32)
    blocks = list(_blocks(padded, BLOCK_TOKENS["cpu" if device == "cpu" else "cuda"]))
    for block, embedded in zip(blocks, _run(embed, blocks, device), strict=True):
        result[block.rows[: block.n_real]] = embedded[: block.n_real]
    return result


def map_gradients(
    network: Network,
    sequences: Sequences,
    *,
    cotangent: Float[np.ndarray, " d_embed"],
    pad_token: int,
    pad_value: float = 0.0,
    device: str = "cpu",
) -> tuple[Float[np.ndarray, "sequences d_embed"], Float[np.ndarray, " tokens"]]:
    """Put sequences through a network and back, in blocks as `map_sequences` makes them.

    Parameters
    ----------
    network, sequences, pad_token, pad_value, device
        As for `map_sequences`.
    cotangent
        Weights of the coordinates of the result.

    Returns
    -------
    embedded
        What the network makes of each sequence, float32.
    gradient
        Derivative of ``cotangent @ embedded`` by the value of every token, in the order of
        ``sequences.values``, float32.
    """
    weight = torch.from_numpy(cotangent.astype(np.float32)).to(device)

    def differentiate(block: _Block) -> Float[np.ndarray, "rows columns"]:
        tokens, values = sequences.padded(block.rows, block.length, pad_token=pad_token, pad_value=pad_value)
        real = np.arange(block.length) < sequences.lengths[block.rows][:, None]
        leaf = torch.from_numpy(values).to(device).requires_grad_()
        embedded = network(torch.from_numpy(tokens).to(device), leaf, torch.from_numpy(real).to(device))
        (slope,) = torch.autograd.grad((embedded @ weight).sum(), leaf)
        return np.asarray(torch.hstack([embedded.detach(), slope]).cpu().numpy())

    embedded = np.empty((len(sequences), len(cotangent)), dtype=np.float32)
    gradient = np.empty(len(sequences.tokens), dtype=np.float32)
    padded = -(-sequences.lengths // LENGTH_STEP) * LENGTH_STEP
    blocks = list(_blocks(padded, GRADIENT_BLOCK_TOKENS["cpu" if device == "cpu" else "cuda"]))
    for block, found in zip(blocks, _run(differentiate, blocks, device), strict=True):
        embedded[block.rows[: block.n_real]] = found[: block.n_real, : len(cotangent)]
        for row, slope in zip(block.rows[: block.n_real], found[:, len(cotangent) :], strict=False):
            own = slice(sequences.indptr[row], sequences.indptr[row + 1])
            gradient[own] = slope[: own.stop - own.start]
    return embedded, gradient


@dataclass(frozen=True, eq=False)
class _Block:
    """Sequences that go through the network together."""

    rows: Int[np.ndarray, " rows"]
    n_real: int
    """Rows before the repetitions of the last one."""
    length: int


def _blocks(padded: Int[np.ndarray, " sequences"], block_tokens: int) -> Iterator[_Block]:
    for length in np.unique(padded).tolist():
        rows = np.flatnonzero(padded == length)
        n_rows = max(1, block_tokens // length)
        for start in range(0, len(rows), n_rows):
            block = rows[start : start + n_rows]
            repeated = np.repeat(block[-1:], n_rows - len(block))
            yield _Block(np.concatenate([block, repeated]), len(block), length)


def _run(
    embed: Callable[[_Block], np.ndarray], blocks: Sequence[_Block], device: str
) -> Iterator[Float[np.ndarray, "rows d_embed"]]:
    """Embed blocks in order.

    On a CPU each block has one thread: a product that threads share rounds by where their shares meet.
    """
    if device != "cpu":
        yield from map(embed, blocks)
        return
    n_threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from pool.map(embed, blocks)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(n_threads)  # what a worker sets is also the default of later threads


def require_device(device: str) -> None:
    """Refuse a device that is not there.

    Parameters
    ----------
    device
        ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Raises
    ------
    InputError
        If PyTorch knows no such device or finds none here.
    """
    if device.partition(":")[0] not in BLOCK_TOKENS:
        msg = f"device is {device!r}, expected one of {', '.join(BLOCK_TOKENS)}."
        raise InputError(msg)
    if device != "cpu" and not torch.cuda.is_available():
        msg = f"device is {device!r}, but PyTorch finds no CUDA device here. Use 'cpu'."
        raise InputError(msg)


def hidden_state(layer: int, n_layers: int, *, of_first: bool = False) -> int:
    """Count the number of a hidden state from the start.

    Parameters
    ----------
    layer
        0 is the input of the first layer, `n_layers` the output of the last; -1 is the last, counted from the
        end.
    n_layers
        Layers of the network.
    of_first
        Whether only the first position is taken, which no layer has yet told of the cell in state 0.

    Returns
    -------
    0 to `n_layers`.

    Raises
    ------
    InputError
        If there is no such state, or it is the same for every cell.
    """
    if not -n_layers - 1 <= layer <= n_layers:
        msg = (
            f"layer is {layer}, but the model has {n_layers} layers: expected 0 (input of the first) to "
            f"{n_layers} (output of the last), or -1 to {-n_layers - 1} from the end."
        )
        raise InputError(msg)
    number = layer % (n_layers + 1)
    if of_first and not number:
        msg = (
            f"layer is {layer}, but the input of the first layer is the same at <cls> for every cell. Take a "
            "higher layer, or another pooling."
        )
        raise InputError(msg)
    return number
