"""What `save` must write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SAVED = ("config.json", "weights.safetensors")


def missing_files(folder: Path) -> Iterator[str]:
    """Say which of the files that can hold no program are not there."""
    missing = [name for name in SAVED if not (folder / name).is_file()]
    if missing:
        yield f"save() does not write {' and '.join(missing)}."
