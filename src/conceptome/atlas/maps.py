"""Cells on the map: their order, their coordinates, and the small pictures of it."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int, UInt8, UInt16

from conceptome.atlas.schema import MISSING_CODE, THUMB_SIDE, THUMBS_PER_SHEET
from conceptome.core import Csr

BASE_SIDE = 512
LARGEST = MISSING_CODE - 1


def place_cells(layout: Float[np.ndarray, "cells 2"]) -> UInt16[np.ndarray, "cells 2"]:
    """Scale a layout to 0 to 65534, both axes alike, centred; cells without a place get 65535.

    Parameters
    ----------
    layout
        Coordinates; NaN for cells without a place.
    """
    places = np.full(layout.shape, MISSING_CODE, dtype=np.uint16)
    known = np.isfinite(layout).all(axis=1)
    if known.any():
        low, high = layout[known].min(axis=0), layout[known].max(axis=0)
        extent = max(float((high - low).max()), np.finfo(np.float64).tiny)
        shift = (extent - (high - low)) / 2
        places[known] = np.round((layout[known] - low + shift) / extent * LARGEST).astype(np.uint16)
    return places


def morton_order(places: UInt16[np.ndarray, "cells 2"]) -> Int[np.ndarray, " cells"]:
    """Order cells along a Z-curve, so that cells near on the map are near in every file.

    Cells without a place come last; of equal places the first comes first.
    """
    code = _spread(places[:, 0]) | (_spread(places[:, 1]) << np.uint64(1))
    return np.argsort(code, kind="stable")


def _spread(coordinate: UInt16[np.ndarray, " cells"]) -> np.ndarray:
    """Put a zero bit between the bits."""
    bits = coordinate.astype(np.uint64)
    for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        bits = (bits | (bits << np.uint64(shift))) & np.uint64(mask)
    return bits


def thumb_sheets(activations: Csr, places: UInt16[np.ndarray, "cells 2"]) -> Iterator[bytes]:
    """Draw small maps of every concept: of each pixel the largest activation, 1 to 255; 0 where inactive.

    Parameters
    ----------
    activations
        CSR, cells x concepts.
    places
        Of the same cells.

    Yields
    ------
    Gzip blobs of 32 concepts each, row by row from the top; the last is filled up with empty ones.
    """
    columns = activations.tocsc()
    pixel = _pixels(places, THUMB_SIDE)
    n_pixels = THUMB_SIDE * THUMB_SIDE
    for first in range(0, columns.shape[1], THUMBS_PER_SHEET):
        sheet = np.zeros((THUMBS_PER_SHEET, n_pixels + 1), dtype=np.uint8)
        for row, concept in enumerate(range(first, min(first + THUMBS_PER_SHEET, columns.shape[1]))):
            some = slice(columns.indptr[concept], columns.indptr[concept + 1])
            value = columns.data[some]
            level = np.ceil(value / max(value.max(initial=0), np.finfo(np.float32).tiny) * 255)
            np.maximum.at(sheet[row], pixel[columns.indices[some]], level.astype(np.uint8))
        yield gzip.compress(sheet[:, :n_pixels].tobytes(), compresslevel=6, mtime=0)


def draw_base(places: UInt16[np.ndarray, "cells 2"]) -> bytes:
    """Draw all cells as a PNG of 512 x 512 grey pixels, the darker the more cells; the ground is clear."""
    density = np.bincount(_pixels(places, BASE_SIDE), minlength=BASE_SIDE**2 + 1)[: BASE_SIDE**2]
    filled = density[density > 0]
    dense = max(float(np.quantile(filled, 0.99)) if len(filled) else 1.0, 1.0)
    strength = np.log1p(np.minimum(density, dense)) / np.log1p(dense)
    alpha = np.where(density > 0, np.round(60 + 140 * strength), 0).astype(np.uint8)
    grey = np.full_like(alpha, 120)
    return _png(np.stack([grey, alpha], axis=-1).reshape(BASE_SIDE, BASE_SIDE, 2))


def _pixels(places: UInt16[np.ndarray, "cells 2"], side: int) -> Int[np.ndarray, " cells"]:
    """Find the pixel of each cell, row by row from the top; `side` squared for those without a place."""
    column, height = (places.astype(np.int64) * side // MISSING_CODE).T
    pixel = (side - 1 - height) * side + column
    return np.asarray(np.where(places[:, 0] == MISSING_CODE, side * side, pixel))


def _png(image: UInt8[np.ndarray, "rows columns 2"]) -> bytes:
    """Write grey with transparency as PNG [RFC 2083]."""
    rows, columns, _ = image.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), image.reshape(rows, -1)], axis=1)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 4, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
