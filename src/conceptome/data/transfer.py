"""Bring one file over HTTP into a part file: bounded, continued after a cut, from permitted addresses."""

from __future__ import annotations

import http.client
import json
import logging
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from tqdm.auto import tqdm

from conceptome import __version__
from conceptome.core import DownloadError
from conceptome.data.download import RemoteFile, size_in_words
from conceptome.data.opener import build_opener, require_scheme

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 18
LONGEST_WAIT = 60.0
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


@dataclass(frozen=True)
class Patience:
    """How long to bear with a server."""

    attempts: int = 4
    """Attempts in a row that bring nothing new, after which it is given up."""
    first_wait: float = 1.0
    """Seconds before the second attempt; each further wait is twice as long."""
    timeout: float = 30.0
    """Seconds without a byte after which a connection counts as dropped."""


class UnreachableError(DownloadError):
    """The server gave no file: no connection, too many cuts, or a status such as 404."""


class _CutError(Exception):
    """An attempt failed in a way that a later one may not."""

    def __init__(self, reason: object, *, wait: float = 0.0) -> None:
        super().__init__(str(reason))
        self.wait = wait


def transfer(
    file: RemoteFile, part: Path, *, allowed_schemes: tuple[str, ...] = ("https",), patience: Patience
) -> None:
    """Bring a file into `part`, continuing what an earlier call left there.

    What is there is continued only if the server, or later on a published checksum, can tell that it is of
    the same file. Nothing is deleted when the connection is cut or the user interrupts.

    Parameters
    ----------
    file
        The file.
    part
        Where its bytes go; complete after this call, but not yet compared with a checksum.
    allowed_schemes
        Schemes that the address and every redirect of it may have.
    patience
        Attempts, waits and the timeout.

    Raises
    ------
    UnreachableError
        If the server gives no file.
    DownloadError
        If the address or a redirect is not permitted, the file is not of the announced size, a web page comes
        in its place, or the disk is too small.
    """
    require_scheme(file.url, allowed_schemes)
    opener = build_opener(allowed_schemes)
    failures, furthest = 0, 0
    while True:
        try:
            return _attempt(file, part, opener, patience.timeout)
        except _CutError as cut:
            reached = _bytes_in(part)
            failures = failures + 1 if reached <= furthest else 1
            furthest = max(furthest, reached)
            if failures >= patience.attempts:
                msg = f"{file.url} could not be fetched; the last of {failures} attempts: {cut}."
                raise UnreachableError(msg) from None
            wait = max(min(cut.wait, LONGEST_WAIT), patience.first_wait * 2 ** (failures - 1))
            logger.warning("%s: %s. Trying again in %.0f s.", file.name, cut, wait)
            time.sleep(wait)


def require_space(folder: Path, needed: int) -> None:
    """Refuse a download that would fill the disk.

    Parameters
    ----------
    folder
        A folder on that disk.
    needed
        Bytes still to come.

    Raises
    ------
    DownloadError
        If there is less room.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        msg = (
            f"{size_in_words(needed)} are needed in {folder}, whose disk has {size_in_words(free)} left. "
            "Make room, or choose a folder on another disk with --to."
        )
        raise DownloadError(msg)


def discard(part: Path) -> None:
    """Delete a part file and what is known about it.

    Parameters
    ----------
    part
        The part file; it may be absent.
    """
    part.unlink(missing_ok=True)
    _origin(part).unlink(missing_ok=True)


def _attempt(file: RemoteFile, part: Path, opener: urllib.request.OpenerDirector, timeout: float) -> None:
    tag = _continuable(file, part)
    offset = _bytes_in(part)
    if offset and offset == file.size:
        return
    request = urllib.request.Request(file.url, headers={"User-Agent": f"conceptome/{__version__}"})
    if offset:
        request.add_header("Range", f"bytes={offset}-")
        if tag:
            request.add_header("If-Range", tag)
    response = _open(file, part, opener, request, timeout)
    if response is None:
        return
    with response:
        offset = offset if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0
        total = _announced(file, part, response.headers, offset)
        require_space(part.parent, total - offset)
        if not offset:
            origin = {"url": file.url, "etag": response.headers.get("ETag")}
            _origin(part).write_text(json.dumps(origin), encoding="utf-8")
        _receive(response, part, offset=offset, total=total)


def _open(
    file: RemoteFile,
    part: Path,
    opener: urllib.request.OpenerDirector,
    request: urllib.request.Request,
    timeout: float,
) -> http.client.HTTPResponse | None:
    """Ask for the bytes; ``None`` if the server says that there are no more of them."""
    try:
        response: http.client.HTTPResponse = opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            _judge_status(file, part, error)
        return None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            msg = f"{file.url}: the server's certificate cannot be trusted ({error.reason.verify_message})."
            raise UnreachableError(msg) from None
        raise _CutError(error.reason) from None
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(error) from None
    return response


def _judge_status(file: RemoteFile, part: Path, error: urllib.error.HTTPError) -> None:
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        if error.headers.get("Content-Range") == f"bytes */{_bytes_in(part)}":
            return
        discard(part)
        raise _CutError(error)
    if error.code in _TRY_AGAIN:
        wait = error.headers.get("Retry-After", "")
        raise _CutError(error, wait=float(wait) if wait.isdigit() else 0.0)
    msg = f"{file.url} answers {error.code} {error.reason}."
    raise UnreachableError(msg)


def _receive(response: http.client.HTTPResponse, part: Path, *, offset: int, total: int) -> None:
    name = part.name.removesuffix(".part")
    with (
        part.open("ab" if offset else "wb") as out,
        tqdm(total=total, initial=offset, unit="B", unit_scale=True, desc=name, disable=None) as bar,
    ):
        for chunk in _chunks(response):
            offset += len(chunk)
            if offset > total:
                break
            out.write(chunk)
            bar.update(len(chunk))
    if offset > total:
        discard(part)
        msg = f"The server sent more than the announced {total:,} bytes of {name}. They were thrown away."
        raise DownloadError(msg)
    if offset < total:
        reason = f"the connection was cut at {size_in_words(offset)} of {size_in_words(total)}"
        raise _CutError(reason)


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read1(CHUNK_BYTES):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(error) from None


def _announced(file: RemoteFile, part: Path, headers: Message, offset: int) -> int:
    """Tell how large the whole file will be, and refuse one that is not what was expected."""
    if headers.get_content_type() == "text/html":
        msg = f"{file.url} gave a web page in place of {file.name}. Is there a log-in page in between?"
        raise DownloadError(msg)
    length = headers.get("Content-Length")
    total = int(length) if length is not None and length.isdigit() else file.size
    if offset:
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if match is None or int(match[1]) != offset or (file.size or int(match[2])) != int(match[2]):
            discard(part)
            msg = "the server does not continue where it was cut"
            raise _CutError(msg)
        return int(match[2])
    if total is None:
        msg = f"{file.url} does not say how large {file.name} is, so that a cut would go unnoticed. Refused."
        raise DownloadError(msg)
    if file.size is not None and total != file.size:
        msg = (
            f"{file.url} offers {total:,} bytes, {file.size:,} were expected: it is no longer the same file, "
            "and was not fetched. Please tell the maintainers of Conceptome."
        )
        raise DownloadError(msg)
    return total


def _continuable(file: RemoteFile, part: Path) -> str | None:
    """Throw away a part that cannot be continued; else give the tag by which the server knows it."""
    try:
        origin = json.loads(_origin(part).read_text(encoding="utf-8"))
        url, tag = origin["url"], origin["etag"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        url = tag = None
    tag = tag if isinstance(tag, str) and tag.startswith('"') else None  # W/"..." promises no equal bytes
    too_long = file.size is not None and _bytes_in(part) > file.size
    if url != file.url or too_long or not (tag or file.sha256):
        discard(part)
    return tag


def _bytes_in(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _origin(part: Path) -> Path:
    return part.with_name(part.name + ".json")
