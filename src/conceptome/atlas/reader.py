"""An atlas that is read: opened with care, then piece by piece, so that a million cells cost little."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

import numpy as np
from jaxtyping import Float, Int, Shaped

from conceptome.atlas.fitting import expected_schema, require_indexes, require_rows
from conceptome.atlas.manifest import checksum, damaged, open_file, read_manifest
from conceptome.atlas.packing import unpack_raw_column, unpack_sheet
from conceptome.atlas.schema import (
    ARRAYS,
    DATABASE,
    PACKS,
    PICTURE,
    SEARCH,
)
from conceptome.core import BundleError, InputError

SMALL_BYTES = 16 * 2**20
"""Files up to this size are compared with their checksums when an atlas is opened."""
MAX_VALUE_BYTES = 16 * 2**20
"""Of a single text or blob in the database."""
SETTINGS = (
    *("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON"),
    *("mmap_size = 0", "cache_size = -8192"),  # KiB
)
_SHADOWS = {f"{SEARCH}_{part}" for part in ("data", "idx", "content", "docsize", "config")}

Pack: TypeAlias = Literal["activations", "thumbs", "expression"]
Table: TypeAlias = dict[str, list[Any]]


class Atlas:
    """A bundle on disk. `Atlas.open` checks it; nothing large is read before it is asked for.

    Parameters
    ----------
    path
        The folder.
    manifest
        As `read_manifest` returns it.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self._lock = threading.Lock()
        self._files: dict[str, Any] = {}
        self._database: sqlite3.Connection | None = None

    @classmethod
    def open(cls, path: Path | str) -> Atlas:
        """Open an atlas and check it: manifest, names, links, sizes, and the bytes of all but large files.

        Parameters
        ----------
        path
            The folder.

        Returns
        -------
        The atlas; close it, or use it in a ``with`` statement.

        Raises
        ------
        BundleError
            If it is no atlas, damaged, or of a newer schema. `conceptome.atlas.check` reads large files too.
        """
        folder = Path(path)
        atlas = cls(folder, read_manifest(folder))
        try:
            atlas._open_files()
            atlas._open_database()
            require_rows(atlas)
            require_indexes(atlas)
        except BaseException:
            atlas.close()
            raise
        return atlas

    def __enter__(self) -> Atlas:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its files."""
        for stream in self._files.values():
            stream.close()
        self._files = {}
        if self._database is not None:
            self._database.close()
            self._database = None

    @property
    def digest(self) -> str:
        """Content hash of the whole atlas."""
        return str(self.manifest["digest"])

    @property
    def dictionary_id(self) -> str:
        """Of the dictionary; annotations are kept under it."""
        return str(self.manifest["dictionary_id"])

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(self.manifest["n_cells"])

    @property
    def n_concepts(self) -> int:
        """Number of concepts."""
        return int(self.manifest["n_concepts"])

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return int(self.manifest["n_genes"])

    def size(self, name: str) -> int:
        """Return the bytes of a file; 0 if there is none."""
        return int(self.manifest["files"].get(name, {}).get("bytes", 0))

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """Read part of a file.

        Parameters
        ----------
        name
            As in the manifest.
        start, length
            Which bytes; None = to the end.

        Raises
        ------
        InputError
            If the atlas has no such file.
        """
        if name not in self._files:
            msg = f"The atlas has no {name}."
            raise InputError(msg)
        length = self.size(name) - start if length is None else length
        found = os.pread(self._files[name].fileno(), length, start)
        if len(found) != length:
            raise BundleError(damaged(self.path, f"{name} is shorter than it was"))
        return found

    def array(self, name: str, start: int = 0, stop: int | None = None) -> Shaped[np.ndarray, ...]:
        """Read rows of an array.

        Parameters
        ----------
        name
            Its file.
        start, stop
            Which rows; None = to the end.
        """
        entry = self.manifest["arrays"][name]
        dtype, shape = np.dtype(entry["dtype"]), list(entry["shape"])
        stop = shape[0] if stop is None else stop
        if not 0 <= start <= stop <= shape[0]:
            raise BundleError(damaged(self.path, f"rows {start} to {stop} of {name} lie outside of it"))
        width = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
        raw = self.read(name, start * width, (stop - start) * width)
        return np.frombuffer(raw, dtype).reshape([stop - start, *shape[1:]])

    def blob(self, pack: Pack, position: int) -> bytes:
        """Read one gzip blob of a pack, as it lies there; it is unpacked to see that it holds what it should.

        Parameters
        ----------
        pack
            Which.
        position
            Concept, sheet, or number of the gene's map.

        Raises
        ------
        InputError
            If there is none.
        BundleError
            If it holds something else, or more.
        """
        return self._checked(pack, position)[0]

    def unpacked(self, pack: Pack, position: int) -> bytes:
        """Read one blob of a pack and unpack it; see `blob`."""
        return self._checked(pack, position)[1]

    def n_blobs(self, pack: Pack) -> int:
        """Count the entries of a pack."""
        shape = self.manifest["arrays"].get(f"{pack}_index.u64", {"shape": [1]})["shape"]
        return int(shape[0]) - 1

    def _checked(self, pack: Pack, position: int) -> tuple[bytes, bytes]:
        """Read a blob as it is, and unpacked to no more than what it may hold."""
        if not 0 <= position < self.n_blobs(pack):
            msg = f"The atlas has {self.n_blobs(pack)} entries in {pack}, not number {position}."
            raise InputError(msg)
        start, stop = map(int, self.array(f"{pack}_index.u64", position, position + 2))
        blob = self.read(f"{pack}.bin", start, stop - start)
        try:
            raw = unpack_sheet(blob) if pack == "thumbs" else unpack_raw_column(blob, self.n_cells)
        except ValueError as error:
            raise BundleError(damaged(self.path, f"number {position} of {pack}.bin {error}")) from None
        return blob, raw

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask the database; values go where the query has question marks."""
        return self._ask(query, values)[1]

    def table(self, query: str, values: Sequence[Any] = ()) -> Table:
        """Ask the database and return the columns of the answer."""
        names, rows = self._ask(query, values)
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
        return {name: list(column) for name, column in zip(names, columns, strict=True)}

    @cached_property
    def concept_sums(
        self,
    ) -> tuple[list[str | None], Int[np.ndarray, " concepts"], Float[np.ndarray, " concepts"]]:
        """Of each concept its name, the number of cells that activate it, and the sum of its activations."""
        rows = self.rows("SELECT auto_name, n_active, mean_activation FROM concepts ORDER BY concept")
        active = np.array([n_active for _, n_active, _ in rows], dtype=np.int64)
        mean = np.array([mean for _, _, mean in rows], dtype=np.float64)
        return [name for name, _, _ in rows], active, active * np.nan_to_num(mean)

    def _ask(self, query: str, values: Sequence[Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
        if self._database is None:
            msg = f"The atlas {self.path} is closed. Open it again."
            raise InputError(msg)
        try:
            with self._lock:
                cursor = self._database.execute(query, values)
                return [str(entry[0]) for entry in cursor.description], cursor.fetchall()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise BundleError(damaged(self.path, f"{DATABASE}: {error}")) from None

    def _open_files(self) -> None:
        files = self.manifest["files"]
        needed = {PICTURE, DATABASE, *(name for name in PACKS if name != "expression.bin")}
        needed |= {array.path for array in ARRAYS if not array.optional and "*" not in array.path}
        lacking = sorted(needed - set(files))
        if lacking:
            raise BundleError(damaged(self.path, f"its manifest does not name {', '.join(lacking)}"))
        for name, entry in files.items():
            stream = self._files[name] = open_file(self.path, name)
            size = os.fstat(stream.fileno()).st_size
            if size != entry["bytes"]:
                why = f"{name} has {size:,} bytes, its manifest says {entry['bytes']:,}"
                raise BundleError(damaged(self.path, why))
            if size <= SMALL_BYTES and checksum(self.path, name) != entry.get("sha256"):
                raise BundleError(damaged(self.path, f"the bytes of {name} are not those that were written"))

    def _open_database(self) -> None:
        address = f"file:{quote(str((self.path / DATABASE).resolve()))}?mode=ro&immutable=1"
        try:
            connection = sqlite3.connect(address, uri=True, check_same_thread=False)
            self._database = connection
            for setting in SETTINGS:
                connection.execute(f"PRAGMA {setting}")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
            connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            found = set(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))
        except (sqlite3.DatabaseError, OverflowError) as error:
            raise BundleError(damaged(self.path, f"{DATABASE}: {error}")) from None
        found = {(name, sql) for name, sql in found if name not in _SHADOWS}
        if found != expected_schema(self.manifest):
            version = self.manifest["schema_version"]
            raise BundleError(damaged(self.path, f"{DATABASE} has other tables than schema {version}"))
