"""The application: the API, and the client's files."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import FastAPI

from conceptome.atlas import Annotations, Atlas
from conceptome.web import reading, writing
from conceptome.web.answers import KeptAnswers, handle_errors
from conceptome.web.client import client_router
from conceptome.web.gate import API, Gate


def create_app(atlas: Atlas, annotations: Annotations, *, hosts: Iterable[str]) -> FastAPI:
    """Make the application that serves an atlas.

    Parameters
    ----------
    atlas
        An open atlas.
    annotations
        Where what people write goes.
    hosts
        What the ``Host`` of a request may be, such as ``127.0.0.1:8000``.

    Returns
    -------
    An ASGI application.
    """
    app = FastAPI(title="Conceptome", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.atlas = atlas
    app.state.annotations = annotations
    app.state.kept = KeptAnswers()
    handle_errors(app)
    app.include_router(writing.router, prefix=API)
    app.include_router(reading.router, prefix=API)
    app.include_router(client_router())
    app.add_middleware(Gate, digest=atlas.digest, hosts=tuple(hosts))
    return app
