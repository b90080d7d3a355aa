"""What was fetched into a folder: a small JSON with size and checksum of every file, as first seen."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from conceptome.core import DownloadError
from conceptome.data.download import RemoteFile

RECEIPTS = "fetched.json"


@dataclass(frozen=True)
class Receipt:
    """What one file was when it was fetched, or first found in its place."""

    url: str
    """Address that it was fetched from, or belongs to."""
    size: int
    """Bytes."""
    sha256: str
    """Checksum, compared with the published one where there is one."""

    def is_of(self, file: RemoteFile) -> bool:
        """Tell whether this is the file that is asked for now, not an earlier revision of it."""
        return self.sha256 == file.sha256 if file.sha256 is not None else self.url == file.url


def read_receipts(folder: Path) -> dict[str, Receipt]:
    """Read what was fetched into a folder.

    Parameters
    ----------
    folder
        The folder; it may be absent.

    Returns
    -------
    Receipts by the name of the file; empty where nothing was fetched.

    Raises
    ------
    DownloadError
        If the record is damaged.
    """
    path = folder / RECEIPTS
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        return {name: Receipt(**fields) for name, fields in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        msg = f"{path} is damaged ({error}). Delete it: the files beside it are then checked anew."
        raise DownloadError(msg) from None


def add_receipt(folder: Path, file: RemoteFile, digest: str) -> None:
    """Record a file that is in its place and was found to be right.

    Parameters
    ----------
    folder
        The folder.
    file
        The file.
    digest
        Its SHA-256.
    """
    receipts = read_receipts(folder)
    size = (folder / file.name).stat().st_size
    receipts[file.name] = Receipt(url=file.url, size=size, sha256=digest)
    text = json.dumps({name: asdict(receipt) for name, receipt in receipts.items()}, indent=2)
    scratch = folder / f"{RECEIPTS}.new"
    scratch.write_text(text + "\n", encoding="utf-8")
    scratch.replace(folder / RECEIPTS)


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file.

    Parameters
    ----------
    path
        The file, of any size.

    Returns
    -------
    64 hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
