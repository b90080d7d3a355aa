"""The files of the browser client that lie in this package."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from fastapi import APIRouter, HTTPException, Response

from conceptome.web.built import INDEX, STATIC

_KEPT = "public, max-age=31536000, immutable"


def client_router(folder: Path = STATIC) -> APIRouter:
    """Make the routes of the client: only files that are there now, by their exact names.

    Parameters
    ----------
    folder
        Its built files; those under ``assets/`` have a hash in their names and may be kept for ever.

    Returns
    -------
    Routes; every other address that is not the API's shows the start page, which reads the address itself.
    """
    router = APIRouter()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}

    @router.get("/{path:path}")
    def file(path: str) -> Response:
        if path.startswith("api"):
            raise HTTPException(404, "There is nothing under this address of the API.")
        name = path if path in files else INDEX
        if name not in files:
            raise HTTPException(503, "This installation has no browser client. Build it with: make client")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        kept = _KEPT if name.startswith("assets/") else "no-cache"
        return Response(files[name].read_bytes(), media_type=kind, headers={"Cache-Control": kept})

    return router
