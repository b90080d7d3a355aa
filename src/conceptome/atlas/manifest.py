"""The manifest: what a bundle claims to hold, and the checksums that prove it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from conceptome.atlas.schema import FORMAT, MANIFEST, SCHEMA_VERSION
from conceptome.core import BundleError

MAX_MANIFEST_BYTES = 16 * 2**20
DIGEST_LENGTH = 32
_OPEN = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_BINARY", "O_NONBLOCK"))
"""Neither links nor, where a pipe lies in place of a file, waiting for somebody to write."""
_SAFE = re.compile(r"(obs/)?[a-z0-9_]{1,64}\.[a-z0-9]{1,8}")
_NEEDED = {
    "dictionary_id": str,
    "title": str,
    "n_cells": int,
    "n_concepts": int,
    "n_genes": int,
    "provenance": dict,
    "files": dict,
    "arrays": dict,
    "tables": dict,
}


def manifest_text(content: Mapping[str, Any]) -> str:
    """Write a manifest in its one form, with the digest of everything else in it."""
    body = {name: value for name, value in content.items() if name != "digest"}
    text = json.dumps(body, indent=1, sort_keys=True, allow_nan=False)
    digest = hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]
    return json.dumps({**body, "digest": digest}, indent=1, sort_keys=True) + "\n"


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a bundle and refuse one that is not as it was written.

    Parameters
    ----------
    folder
        The bundle.

    Raises
    ------
    BundleError
        If there is none, it is damaged, or of a newer schema.
    """
    path = folder / MANIFEST
    if not folder.is_dir() or not path.exists():
        msg = (
            f"{folder} is no atlas: it has no {MANIFEST}. Make one with: conceptome build RUN "
            f"--out {shlex.quote(str(folder))}"
        )
        raise BundleError(msg)
    with open_file(folder, MANIFEST) as stream:
        raw = stream.read(MAX_MANIFEST_BYTES + 1)
    if len(raw) > MAX_MANIFEST_BYTES:
        raise BundleError(damaged(folder, f"{MANIFEST} is larger than {MAX_MANIFEST_BYTES // 2**20} MB"))
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BundleError(damaged(folder, f"{MANIFEST} is no JSON: {error}")) from None
    if isinstance(content, dict) and "stages" in content:
        msg = (
            f"{folder} is a run, not an atlas. Name its atlas, {folder / 'atlas'}; if it has none, make it "
            f"with: conceptome build {shlex.quote(str(folder))}"
        )
        raise BundleError(msg)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        msg = f"{folder} is no atlas: its {MANIFEST} describes something else. Name the folder of an atlas."
        raise BundleError(msg)
    _check_version(folder, content.get("schema_version"))
    if manifest_text(content).encode() != raw:
        raise BundleError(damaged(folder, f"{MANIFEST} was changed after it was written"))
    wrong = [name for name, kind in _NEEDED.items() if not isinstance(content.get(name), kind)]
    if wrong:
        raise BundleError(damaged(folder, f"{MANIFEST} lacks {', '.join(wrong)}"))
    _check_entries(folder, content)
    if not isinstance(content["provenance"].get("versions", {}), dict):
        raise BundleError(damaged(folder, f"{MANIFEST} does not tell versions"))
    return content


def _check_version(folder: Path, version: object) -> None:
    if not isinstance(version, int) or version < 1:
        raise BundleError(damaged(folder, f"{MANIFEST} has schema version {version!r}"))
    if version > SCHEMA_VERSION:
        msg = (
            f"{folder} has schema version {version}; this Conceptome reads up to {SCHEMA_VERSION}. "
            "Install a newer Conceptome, or build the atlas again with this one."
        )
        raise BundleError(msg)


def _check_entries(folder: Path, content: Mapping[str, Any]) -> None:
    """Check names, sizes and shapes before anything is allocated by them."""
    for name, entry in content["files"].items():
        if not _SAFE.fullmatch(name):
            raise BundleError(damaged(folder, f"{MANIFEST} names the file {name!r}"))
        if not isinstance(entry, dict) or not isinstance(entry.get("bytes"), int):
            raise BundleError(damaged(folder, f"{MANIFEST} does not tell the size of {name}"))
    for name, entry in content["arrays"].items():
        size = content["files"].get(name, {}).get("bytes")
        try:
            expected = np.dtype(entry["dtype"]).itemsize
            for length in entry["shape"]:
                expected *= int(length)  # Python's integers do not overflow
        except (TypeError, KeyError, ValueError):
            expected = None
        if expected is None or expected != size:
            raise BundleError(damaged(folder, f"{name} has {size} bytes, its shape needs {expected}"))


def open_file(folder: Path, name: str) -> Any:  # noqa: ANN401 - an unbuffered binary file
    """Open a file of a bundle to read, but no link and nothing outside of the folder.

    Parameters
    ----------
    folder
        The bundle.
    name
        Path within it, as in the manifest.

    Raises
    ------
    BundleError
        If it is missing, a link, or no regular file.
    """
    path = folder / name
    within = [parent for parent in path.parents if folder in parent.parents]
    if any(part.is_symlink() for part in (path, *within)):
        raise BundleError(damaged(folder, f"{name} is a link; an atlas holds its own files"))
    try:
        descriptor = os.open(path, _OPEN)
    except FileNotFoundError:
        raise BundleError(damaged(folder, f"{name} is missing")) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BundleError(damaged(folder, f"{name} is no regular file"))
    return os.fdopen(descriptor, "rb", buffering=0)


def checksum(folder: Path, name: str) -> str:
    """Compute the SHA-256 of a file of a bundle."""
    with open_file(folder, name) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def damaged(folder: Path, why: str) -> str:
    """Word the message on a damaged bundle."""
    return f"{folder} is damaged: {why}. Build it again, or copy it again from where it came."
