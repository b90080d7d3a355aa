"""Fetch models and tables into a cache: checked before they get their name, never twice, never outside it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from conceptome.core import DownloadError
from conceptome.data.download import Download, RemoteFile, size_in_words
from conceptome.data.receipts import RECEIPTS, Receipt, add_receipt, read_receipts, sha256_of
from conceptome.data.registry import available, named
from conceptome.data.transfer import Patience, UnreachableError, discard, require_space, transfer

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "CONCEPTOME_CACHE"
_LOCK = ".fetch.lock"


def cache_folder() -> Path:
    """Tell where downloads go.

    Returns
    -------
    The folder in the environment variable ``CONCEPTOME_CACHE``, else the user's cache folder of this system.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("conceptome")


def fetch(name: str, *, to: Path | str | None = None, verify: bool = False) -> Path:
    """Fetch a model or a table, unless it is there already.

    A download that was cut or interrupted continues where it stopped. Files that were put into the folder by
    hand are checked and taken.

    Parameters
    ----------
    name
        Name of a download, one of those that `available` lists.
    to
        Folder for the files; one in the cache when left out.
    verify
        Compare the checksum of files that are there already, not only their size.

    Returns
    -------
    The folder with the files.

    Raises
    ------
    InputError
        If there is no download of this name.
    DownloadError
        If a file cannot be fetched or is not what was announced; the message says how to go on.
    """
    download = named(name)
    folder = cache_folder() / download.name if to is None else Path(to).expanduser().absolute()
    return fetch_files(download, folder, verify=verify)


def fetch_files(
    download: Download,
    folder: Path,
    *,
    verify: bool = False,
    allowed_schemes: tuple[str, ...] = ("https",),
    patience: Patience | None = None,
) -> Path:
    """Fetch the files of a download of your own.

    Parameters
    ----------
    download
        The download.
    folder
        Folder for its files.
    verify
        Compare the checksum of files that are there already, not only their size.
    allowed_schemes
        Schemes that the addresses and all redirects may have.
    patience
        How long to bear with the server.

    Returns
    -------
    The folder.

    Raises
    ------
    DownloadError
        If a file cannot be fetched or is not what was announced; the message says how to go on.
    """
    with _locked(folder, download):
        for file in download.files:
            _require_inside(folder, file)
        missing = [file for file in download.files if not _is_here(folder, file, verify=verify)]
        require_space(folder, sum((file.size or 0) - _part_size(folder, file) for file in missing))
        for file in missing:
            try:
                _bring(folder, file, allowed_schemes, patience or Patience())
            except UnreachableError as error:
                msg = f"{error}\n{_by_hand(download, folder, file)}"
                raise UnreachableError(msg) from None
    return folder


def describe_downloads() -> str:
    """Describe every download in a line.

    Returns
    -------
    A table of name, size, whether it is in the cache, content and licence.
    """
    rows = [("name", "size", "in the cache", "content", "licence")]
    for download in available():
        folder = cache_folder() / download.name
        here = "yes" if all((folder / file.name).is_file() for file in download.files) else "no"
        rows.append((download.name, size_in_words(download.size), here, download.what, download.licence))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def describe_fetched(name: str, folder: Path) -> str:
    """Say what was fetched, on which terms, and how to go on.

    Parameters
    ----------
    name
        Name of the download.
    folder
        Folder with its files.

    Returns
    -------
    Lines for people.
    """
    download = named(name)
    return (
        f"{folder}: {download.what}\n"
        f"Licence: {download.licence} ({download.source}). Please cite {download.reference}.\n"
        f"Next: {download.next_step(folder)}"
    )


def _bring(folder: Path, file: RemoteFile, allowed_schemes: tuple[str, ...], patience: Patience) -> None:
    path, part = folder / file.name, _part(folder, file)
    part.parent.mkdir(parents=True, exist_ok=True)
    receipt = read_receipts(folder).get(file.name)
    known = file.sha256 or (receipt.sha256 if receipt and receipt.is_of(file) else None)
    while True:
        continued = part.exists()
        transfer(file, part, allowed_schemes=allowed_schemes, patience=patience)
        digest = sha256_of(part)
        if known in (digest, None):
            break
        discard(part)
        if not continued:
            _refuse(folder, file, found=digest, known=known)
        logger.warning(
            "%s: what an earlier attempt had left was not of this file. From the start.", file.name
        )
    if known is None:
        _tell_first_use(folder, file, digest)
    part.replace(path)
    discard(part)
    add_receipt(folder, file, digest)


def _is_here(folder: Path, file: RemoteFile, *, verify: bool) -> bool:
    """Tell whether a file is complete and right; refuse to touch one that did not come from here."""
    path = folder / file.name
    if not path.exists():
        return False
    receipt = read_receipts(folder).get(file.name)
    if receipt is None:
        _take_by_hand(folder, file)
        return True
    if not receipt.is_of(file):
        logger.info("%s is of an earlier revision; fetching the one of today.", path)
        return False
    return _is_intact(path, receipt, verify=verify)


def _is_intact(path: Path, receipt: Receipt, *, verify: bool) -> bool:
    size = path.stat().st_size
    if size == receipt.size and not (verify and sha256_of(path) != receipt.sha256):
        return True
    what = "bytes" if size == receipt.size else f"size ({size:,} bytes, not {receipt.size:,})"
    logger.warning("%s is damaged: other %s than fetched. Fetching it again.", path, what)
    return False


def _take_by_hand(folder: Path, file: RemoteFile) -> None:
    path = folder / file.name
    digest = sha256_of(path)
    size = path.stat().st_size
    if (file.size is not None and size != file.size) or (file.sha256 not in (digest, None)):
        msg = (
            f"{path} is in the way: it was not fetched by Conceptome, and is another file ({size:,} bytes, "
            f"sha256 {digest}). Move it, or choose another folder with --to."
        )
        raise DownloadError(msg)
    if file.sha256 is None:
        _tell_first_use(folder, file, digest)
    else:
        logger.info("%s was put there by hand; its checksum is right.", path)
    add_receipt(folder, file, digest)


def _tell_first_use(folder: Path, file: RemoteFile, digest: str) -> None:
    logger.warning(
        "No published checksum of %s is known, so it is taken on trust. It has sha256 %s, which is kept in "
        "%s: later copies are compared with it.",
        file.name,
        digest,
        folder / RECEIPTS,
    )


def _refuse(folder: Path, file: RemoteFile, *, found: str, known: str | None) -> None:
    if file.sha256 is not None:
        whose, advice = "the published one", "Please tell the maintainers of Conceptome."
    else:
        whose, advice = "that of the first copy", f"To take it all the same, delete {folder / RECEIPTS}."
    msg = (
        f"{file.url} gave a file with sha256 {found}; {whose} is {known}. It was thrown away: the source has "
        f"changed it, or someone in between has. {advice}"
    )
    raise DownloadError(msg)


def _by_hand(download: Download, folder: Path, file: RemoteFile) -> str:
    kept = _part_size(folder, file)
    had = f"{size_in_words(kept)} of it are kept in {_part(folder, file)}. " if kept else ""
    lines = [f"  {item.url}  ->  {folder / item.name}" for item in download.files]
    return (
        f"{had}Once there is a network, the same command continues (behind a proxy: set https_proxy). "
        f"Without one, fetch these files elsewhere (see {download.source}), put them where the arrows point, "
        "and run the same command, which checks them:\n" + "\n".join(lines)
    )


def _part(folder: Path, file: RemoteFile) -> Path:
    return folder / f"{file.name}.part"


def _part_size(folder: Path, file: RemoteFile) -> int:
    part = _part(folder, file)
    return part.stat().st_size if part.exists() else 0


def _require_inside(folder: Path, file: RemoteFile) -> None:
    """Refuse a link that leads out of the folder; names that do are refused by `RemoteFile`."""
    for path in (folder / file.name, _part(folder, file)):
        if not path.resolve().is_relative_to(folder.resolve()):
            msg = f"{path} leads to {path.resolve()}, outside of {folder}. Remove that link."
            raise DownloadError(msg)


@contextmanager
def _locked(folder: Path, download: Download) -> Iterator[None]:
    """Make the folder and hold it; wait while another process fetches into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = (
            f"{folder} cannot be made ({error.strerror}). Choose another with --to, or set {CACHE_VARIABLE}."
        )
        raise DownloadError(msg) from None
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("Another process fetches %s into %s. Waiting for it.", download.name, folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
