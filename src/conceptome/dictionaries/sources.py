"""Embeddings wherever they lie: in memory, or on disk and larger than memory. Read block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from conceptome.core import Embeddings, InputError, Names
from conceptome.dictionaries.checks import floating_type, require_finite

BLOCK_ROWS = 1024
LARGEST_BLOCK = 8192


@runtime_checkable
class Rows(Protocol):
    """A 2-d array of which slices of rows can be read, such as one of numpy or zarr."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells and coordinates."""
        ...

    @property
    def dtype(self) -> Any:  # noqa: ANN401
        """Type of the numbers."""
        ...

    def __getitem__(self, rows: slice) -> Any: ...  # noqa: ANN401


EmbeddingSource: TypeAlias = Embeddings | Float[np.ndarray, "cells d_embed"] | Rows | Path | str


@dataclass(frozen=True, eq=False)
class Source:
    """Cells x coordinates, the names of the cells and the encoder."""

    rows: Rows
    names: Names
    encoder_id: str
    block_rows: int
    """Rows that are read at once, however the array is stored: the order of cells depends on them."""

    @classmethod
    def of(cls, embeddings: EmbeddingSource) -> Source:
        """Make one of what a user has.

        Parameters
        ----------
        embeddings
            A record; an array; or the path of an ``.npy`` file, a zarr array, or a zarr group as
            `conceptome embed` writes it.

        Returns
        -------
        The source; nothing but names has been read of a path.

        Raises
        ------
        InputError
            If there is nothing at the path, it holds something else, or the array is not 2-d.
        """
        if isinstance(embeddings, (str, Path)):
            return _open(Path(embeddings))
        if isinstance(embeddings, Embeddings):
            return cls(embeddings.values, embeddings.cell_ids, embeddings.encoder_id, BLOCK_ROWS)
        return _unnamed(embeddings if isinstance(embeddings, Rows) else np.asarray(embeddings))

    @property
    def n_cells(self) -> int:
        """Number of rows."""
        return int(self.rows.shape[0])

    @property
    def d_embed(self) -> int:
        """Number of columns."""
        return int(self.rows.shape[1])

    def read(self, rows: slice) -> Float[np.ndarray, "rows d_embed"]:
        """Read consecutive rows, as float32 or float64; what cannot be read is an `InputError`."""
        try:
            block = np.asarray(self.rows[rows])
            return block.astype(floating_type(block.dtype), copy=False)
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            msg = (
                f"Cells {rows.start} to {rows.stop} of the embedding cannot be read as numbers ({error}). "
                "Give a dense array of numbers, or write the file again."
            )
            raise InputError(msg) from error

    def blocks(self, n_rows: int | None = None) -> Iterator[tuple[slice, Float[np.ndarray, "rows d_embed"]]]:
        """Read all cells in order, whole blocks of about `n_rows` (None = one block) at a time."""
        step = max(1, (n_rows or 1) // self.block_rows) * self.block_rows
        for start in range(0, self.n_cells, step):
            rows = slice(start, min(start + step, self.n_cells))
            yield rows, self.read(rows)

    def take(self, wanted: Bool[np.ndarray, " cells"]) -> Float[np.ndarray, "wanted d_embed"]:
        """Read the cells that a mask names, in order."""
        parts = [block[wanted[rows]] for rows, block in self.blocks(LARGEST_BLOCK)]
        return np.concatenate(parts)

    def survey(self, used: Bool[np.ndarray, " cells"]) -> Survey:
        """Read everything twice: refuse what is not finite, and compute the mean and spread of used cells.

        Parameters
        ----------
        used
            Cells that count for mean and spread.

        Returns
        -------
        `Survey`.

        Raises
        ------
        InputError
            If there are NaN or infinite values.
        """
        total = np.zeros(self.d_embed)
        digest = hashlib.blake2b(f"{self.rows.dtype} {self.rows.shape}".encode(), digest_size=16)
        n_broken = 0
        for rows, block in self.blocks(LARGEST_BLOCK):
            n_broken += int((~np.isfinite(block).all(axis=1)).sum())
            total += block[used[rows]].sum(axis=0, dtype=np.float64)
            digest.update(block.tobytes())
        require_finite(n_broken, self.n_cells)
        mean = total / used.sum()
        squares = 0.0
        for rows, block in self.blocks(LARGEST_BLOCK):
            squares += float(((block[used[rows]] - mean) ** 2).sum())
        return Survey(mean, squares / int(used.sum()), digest.hexdigest())


@dataclass(frozen=True, eq=False)
class Survey:
    """What a look at all cells tells."""

    mean: Float[np.ndarray, " d_embed"]
    """Float64."""
    variance: float
    """Mean squared distance from the mean, all coordinates together."""
    content: str
    """Hash of the values."""


def _unnamed(rows: Rows) -> Source:
    if len(rows.shape) != 2:
        msg = f"An embedding is 2-d (cells x d_embed), found {len(rows.shape)} dimensions."
        raise InputError(msg)
    return Source(rows, pd.RangeIndex(rows.shape[0]).astype(str), "", BLOCK_ROWS)


def _open(path: Path) -> Source:
    expected = "expected an .npy file, a zarr array or embeddings.zarr of a run"
    if path.is_file():
        try:
            return _unnamed(NpyRows(path))
        except (ValueError, EOFError) as error:
            msg = f"{path} is not an array ({error}), {expected}."
            raise InputError(msg) from None
    if not path.is_dir():
        msg = f"Found nothing at {path}, {expected}."
        raise InputError(msg)
    return _open_zarr(path, expected)


def _open_zarr(path: Path, expected: str) -> Source:
    import zarr
    from anndata.io import read_elem

    try:
        store = zarr.open(str(path), mode="r")
    except (FileNotFoundError, ValueError, KeyError) as error:
        msg = f"{path} is not zarr ({type(error).__name__}), {expected}."
        raise InputError(msg) from None
    if isinstance(store, zarr.Array):
        return _unnamed(store)
    if not {"values", "cell_ids"} <= set(store):
        msg = f"{path} is a zarr group that holds {', '.join(sorted(store)) or 'nothing'}, {expected}."
        raise InputError(msg)
    values: Any = store["values"]
    bare = _unnamed(values)
    names = pd.Index(np.asarray(read_elem(store["cell_ids"]), dtype=object))
    return Source(bare.rows, names, str(store.attrs.get("encoder_id", "")), bare.block_rows)


class NpyRows:
    """Rows of an ``.npy`` file, read when asked for; unlike a memory map they leave memory again.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ValueError
        If it is not a numerical array stored row by row.
    """

    def __init__(self, path: Path) -> None:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(mapped, np.memmap):
            msg = "not a single array"
            raise ValueError(msg)
        if mapped.dtype.kind not in "fiu" or not mapped.flags.c_contiguous:
            msg = f"{mapped.dtype} in {'C' if mapped.flags.c_contiguous else 'Fortran'} order"
            raise ValueError(msg)
        self.path, self.offset = path, int(mapped.offset)
        self.shape, self.dtype = mapped.shape, mapped.dtype

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        n_numbers = (stop - start) * int(np.prod(self.shape[1:]))
        first = self.offset + start * int(np.prod(self.shape[1:])) * self.dtype.itemsize
        numbers = np.fromfile(self.path, self.dtype, count=n_numbers, offset=first)
        return numbers.reshape(stop - start, *self.shape[1:])
