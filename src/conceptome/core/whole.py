"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from conceptome.core.errors import InputError


@contextmanager
def writing_whole(path: Path | str) -> Iterator[TextIO]:
    """Write a text file in one step, so that a reader never sees half of it.

    Parameters
    ----------
    path
        The file. It is made, or replaced, when the block ends; after an error an older one is as it was.

    Yields
    ------
    Where to write, as UTF-8.

    Raises
    ------
    InputError
        If `path` is a folder, or lies in none.
    """
    path = Path(path)
    if path.is_dir():
        msg = f"{path} is a folder, expected the name of a file to write, such as {path / 'name'}."
        raise InputError(msg)
    if not path.parent.is_dir():
        msg = f"{path.parent} is no folder. Make it first, or choose another name."
        raise InputError(msg)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with scratch.open("w", encoding="utf-8") as stream:
            yield stream
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
