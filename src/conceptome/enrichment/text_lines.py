"""Lines of a text file, plain or gzip, as ontologies and annotations are published."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from conceptome.core import InputError


def numbered_lines(path: Path, *, what: str) -> Iterator[tuple[int, str]]:
    """Read a text file line by line.

    Parameters
    ----------
    path
        The file; gzip is recognised by its first bytes.
    what
        What the file should be, such as ``"an OBO file"``, for the message.

    Yields
    ------
    Line number from 1, and the line without its end.

    Raises
    ------
    InputError
        If there is no such file, or it is no text.
    """
    if not path.is_file():
        msg = f"There is no file at {path}; expected {what}, plain or .gz. Check the path."
        raise InputError(msg)
    try:
        with path.open("rb") as file:
            opener = gzip.open if file.read(2) == b"\x1f\x8b" else open
        with opener(path, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line.rstrip("\r\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read as text ({error}); expected {what}, plain or .gz. Fetch it again."
        raise InputError(msg) from None
