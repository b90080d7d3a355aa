"""Sparse columns in few bytes: what the browser reads of one concept, or of one gene.

A column is, before gzip: the number n of its non-zeros (uint32), the largest value (float32), n bytes that
are the values as 1 to 255 parts of the largest, and n distances, each cell minus the one before it (the first
minus -1), as LEB128 varints: seven bits a byte, lowest first, the high bit set on all but the last byte.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from conceptome.atlas.schema import THUMB_SIDE, THUMBS_PER_SHEET

HEADER = struct.Struct("<If")
LEVELS = 255
_MAX_BYTES = 5  # of a varint of 32 bits


def pack_column(cells: Int[np.ndarray, " nonzeros"], values: Shaped[np.ndarray, " nonzeros"]) -> bytes:
    """Pack the non-zeros of a column; the same input gives the same bytes.

    Parameters
    ----------
    cells
        Positions, ascending.
    values
        Values there, above 0; kept to 1/255 of the largest, rounded up.

    Returns
    -------
    A gzip blob.
    """
    largest = float(values.max(initial=np.finfo(np.float32).tiny))
    parts = np.ceil(values.astype(np.float64) / largest * LEVELS)
    raw = join_column(cells, np.clip(parts, 1, LEVELS).astype(np.uint8), largest)
    return gzip.compress(raw, compresslevel=6, mtime=0)


def unpack_column(blob: bytes) -> tuple[Int[np.ndarray, " nonzeros"], Float[np.ndarray, " nonzeros"]]:
    """Unpack what `pack_column` packed: positions (int64) and values (float32)."""
    cells, levels, largest = split_column(gzip.decompress(blob))
    return cells, levels.astype(np.float32) * np.float32(largest / LEVELS)


def unpack_raw_column(blob: bytes, n_cells: int) -> bytes:
    """Undo the gzip of a column of at most so many cells.

    Raises
    ------
    ValueError
        If it is no gzip, holds more bytes than such a column can have, or other cells than it says.
    """
    raw = _inflated(blob, HEADER.size + (1 + _MAX_BYTES) * n_cells)
    n = HEADER.unpack_from(raw)[0] if len(raw) >= HEADER.size else n_cells + 1
    if n > n_cells or not HEADER.size + 2 * n <= len(raw) <= HEADER.size + (1 + _MAX_BYTES) * n:
        msg = "does not hold the cells that it says"
        raise ValueError(msg)
    return raw


def unpack_sheet(blob: bytes) -> bytes:
    """Undo the gzip of a sheet of small maps.

    Raises
    ------
    ValueError
        If it is no gzip, or has another size.
    """
    size = THUMBS_PER_SHEET * THUMB_SIDE * THUMB_SIDE
    raw = _inflated(blob, size)
    if len(raw) != size:
        msg = f"has {len(raw):,} bytes, expected {size:,}"
        raise ValueError(msg)
    return raw


def _inflated(blob: bytes, limit: int) -> bytes:
    """Undo gzip, but to no more than so many bytes."""
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        raw = stream.decompress(blob, limit + 1)
    except zlib.error as error:
        msg = f"is no gzip: {error}"
        raise ValueError(msg) from None
    if len(raw) > limit or not stream.eof or stream.unused_data:
        msg = f"holds more than {limit:,} bytes" if len(raw) > limit else "is no whole gzip"
        raise ValueError(msg)
    return raw


def split_column(raw: bytes) -> tuple[Int[np.ndarray, " nonzeros"], UInt8[np.ndarray, " nonzeros"], float]:
    """Take a column apart: positions (int64), values as parts of the largest (uint8), the largest."""
    n, largest = HEADER.unpack_from(raw)
    levels = np.frombuffer(raw, np.uint8, n, HEADER.size)
    steps = _from_varints(np.frombuffer(raw, np.uint8, offset=HEADER.size + n))
    return np.cumsum(steps) - 1, levels, largest


def join_column(
    cells: Int[np.ndarray, " nonzeros"], levels: UInt8[np.ndarray, " nonzeros"], largest: float
) -> bytes:
    """Put together what `split_column` took apart; positions ascend."""
    steps = np.diff(cells.astype(np.int64), prepend=-1)
    return HEADER.pack(len(cells), largest) + levels.tobytes() + _varints(steps).tobytes()


def _varints(numbers: Int[np.ndarray, " n"]) -> UInt8[np.ndarray, " bytes"]:
    limits = 1 << 7 * np.arange(1, _MAX_BYTES)
    lengths = 1 + np.searchsorted(limits, numbers, side="right")
    ends = np.cumsum(lengths)
    out = np.zeros(int(ends[-1]) if len(ends) else 0, dtype=np.uint8)
    starts = ends - lengths
    for part in range(_MAX_BYTES):
        has = lengths > part
        more = (lengths[has] > part + 1).astype(np.uint8) << 7
        out[starts[has] + part] = ((numbers[has] >> (7 * part)) & 127).astype(np.uint8) | more
    return out


def _from_varints(raw: UInt8[np.ndarray, " bytes"]) -> Int[np.ndarray, " n"]:
    last = raw < 128
    starts = np.flatnonzero(np.concatenate([[True], last[:-1]])) if len(raw) else np.zeros(0, np.int64)
    number: np.ndarray = np.cumsum(last) - last
    shift = 7 * (np.arange(len(raw)) - starts[number])
    return np.asarray(np.add.reduceat((raw & 127).astype(np.int64) << shift, starts)) if len(raw) else starts


def concatenate(blobs: Iterable[bytes]) -> tuple[bytes, Shaped[np.ndarray, " blobs_plus_one"]]:
    """Join blobs, and tell where each begins; the last number is the length of all."""
    parts = list(blobs)
    index = np.cumsum([0, *map(len, parts)]).astype("<u8")
    return b"".join(parts), index
