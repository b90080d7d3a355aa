"""What a download is: files with their addresses, sizes and checksums, and what may be done with them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from conceptome.core import InputError

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RemoteFile:
    """One file at a fixed address.

    Raises
    ------
    InputError
        If the name leads out of a folder, or the checksum is none.
    """

    name: str
    """Path below the folder of the download, with ``/`` between its parts."""
    url: str
    """Address; it names a revision wherever the host has revisions."""
    size: int | None
    """Bytes; ``None`` where nobody publishes them."""
    sha256: str | None
    """Checksum in lower-case hexadecimal digits; ``None`` where nobody publishes it."""

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.name).parts
        if not parts or self.name.startswith("/") or ".." in parts or any(c in self.name for c in "\\:\0"):
            msg = f"{self.name!r} is no file below a folder. Name it by a relative path without '..'."
            raise InputError(msg)
        if self.sha256 is not None and not _SHA256.fullmatch(self.sha256):
            msg = f"{self.sha256!r} is no SHA-256 checksum of {self.name}: 64 digits of 0-9a-f, or None."
            raise InputError(msg)


@dataclass(frozen=True)
class Download:
    """Files that belong together, such as a pretrained model.

    Raises
    ------
    InputError
        If the name could not be that of a folder, or there is no file.
    """

    name: str
    """What it is called on the command line; also the name of its folder in the cache."""
    what: str
    """What it is, in a few words."""
    files: tuple[RemoteFile, ...]
    """Its files; all of them are needed."""
    licence: str
    """Licence of the files, as their authors state it."""
    source: str
    """Page on which its authors, or who serves it for them, describe it."""
    reference: str
    """What to cite."""
    encoder: str | None = None
    """Name of the encoder that reads the folder; ``None`` if it is no model."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            msg = f"{self.name!r} is no name of a download: use a-z, 0-9, '-' and '.'."
            raise InputError(msg)
        if not self.files:
            msg = f"The download {self.name} has no files."
            raise InputError(msg)

    @property
    def size(self) -> int | None:
        """Bytes of all files together; ``None`` if that of one is unknown."""
        sizes = [file.size for file in self.files if file.size is not None]
        return sum(sizes) if len(sizes) == len(self.files) else None

    def next_step(self, folder: Path) -> str:
        """Say how the files are used.

        Parameters
        ----------
        folder
            Where they are.

        Returns
        -------
        A command line for a model, else the names of the files.
        """
        if self.encoder is None:
            return "Read " + ", ".join(str(folder / file.name) for file in self.files)
        return f"conceptome run DATA.h5ad --out RUN --encoder {shlex.quote(f'{self.encoder}:{folder}')}"


def size_in_words(size: int | None) -> str:
    """Write a number of bytes for people.

    Parameters
    ----------
    size
        Bytes, or ``None``.

    Returns
    -------
    Text such as ``"206.7 MB"`` (1 MB is 1,000,000 bytes), ``"565 bytes"`` or ``"unknown size"``.
    """
    if size is None:
        return "unknown size"
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size:,} bytes"
