"""Answers of the API: JSON, tables, bytes, and errors that are always JSON."""

from __future__ import annotations

import gzip
import logging
import threading
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from conceptome.atlas import Atlas, StaleRevisionError, explained, json_bytes
from conceptome.atlas.pages import whole_table
from conceptome.core import ConceptomeError, InputError

BINARY = "application/octet-stream"

logger = logging.getLogger(__name__)


def json_answer(content: Any, status: int = 200) -> Response:  # noqa: ANN401 - any JSON value
    """Answer with JSON."""
    return Response(json_bytes(content), status, media_type="application/json")


def table_answer(atlas: Atlas, columns: dict[str, list[Any]], part: str = "") -> Response:
    """Answer with a table; one without rows says why its part is missing."""
    return json_answer(explained(atlas, columns, part))


class KeptAnswers:
    """Answers that are asked by every reader and never change, packed once."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def table(self, atlas: Atlas, name: str) -> bytes:
        """Return a whole table as gzip of JSON.

        Raises
        ------
        InputError
            If there is none of this name.
        """
        with self._lock:
            if name not in self._kept:
                raw = json_bytes(explained(atlas, whole_table(atlas, name), name))
                self._kept[name] = gzip.compress(raw, compresslevel=4, mtime=0)
            return self._kept[name]


def gzip_answer(request: Request, packed: bytes) -> Response:
    """Answer with JSON that is packed already; unpacked to who does not understand that."""
    headers = {"Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(gzip.decompress(packed), media_type="application/json", headers=headers)
    return Response(packed, media_type="application/json", headers=headers | {"Content-Encoding": "gzip"})


def packed_answer(blob: bytes) -> Response:
    """Answer with a gzip blob as it lies in the atlas."""
    return Response(blob, media_type=BINARY, headers={"Content-Encoding": "gzip"})


def _error(status: int, message: str, **more: Any) -> Response:  # noqa: ANN401 - any JSON value
    return json_answer({"error": {"status": status, "message": message}, **more}, status)


async def _http_error(request: Request, error: HTTPException) -> Response:  # noqa: ARG001 - as Starlette calls
    return _error(error.status_code, str(error.detail))


async def _invalid(request: Request, error: RequestValidationError) -> Response:  # noqa: ARG001
    found = error.errors()[0]
    place = ".".join(str(part) for part in found["loc"])
    return _error(422, f"{place}: {found['msg']}.")


async def _stale(request: Request, error: StaleRevisionError) -> Response:  # noqa: ARG001
    return _error(409, str(error), current=error.current)


async def _mistake(request: Request, error: InputError) -> Response:
    return _error(422 if request.method == "POST" else 404, str(error))


async def _trouble(request: Request, error: ConceptomeError) -> Response:  # noqa: ARG001
    logger.error("%s", error)
    return _error(500, str(error))


async def _bug(request: Request, error: Exception) -> Response:
    logger.error("%s failed", request.url.path, exc_info=error)
    return _error(500, "Something went wrong on the server; its terminal says what.")


def handle_errors(app: FastAPI) -> None:
    """Answer every error with JSON."""
    handlers: dict[Any, Any] = {
        HTTPException: _http_error,
        RequestValidationError: _invalid,
        StaleRevisionError: _stale,
        InputError: _mistake,
        ConceptomeError: _trouble,
        Exception: _bug,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
