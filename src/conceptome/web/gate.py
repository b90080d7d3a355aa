"""What every request passes: who may ask, how much, and what the browser is told about the answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

API = "/api/v1"
HEADER = "x-conceptome"
MAX_BODY_BYTES = 8 * 2**20
CHANGING = ("/meta", "/annotations", "/search", "/selection", "/export/annotations")
"""Answers that do not follow from the atlas alone."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; worker-src 'self'; font-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
KEPT_FOR_EVER = "private, max-age=31536000, immutable"
ASKED_AGAIN = "private, no-cache"
NEVER_KEPT = "no-store"


class Gate:
    """Middleware around the whole application.

    Parameters
    ----------
    app
        The application.
    digest
        Of the atlas.
    hosts
        What ``Host`` may be, such as ``127.0.0.1:8000``.
    """

    def __init__(self, app: ASGIApp, *, digest: str, hosts: Iterable[str]) -> None:
        self.app = app
        self.digest = digest
        self.hosts = frozenset(hosts)
        self.origins = frozenset(f"http://{host}" for host in self.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal:
            await _refuse(send, *refusal)
        elif self._is_known(scope, headers):
            await _send(send, 304, b"", {"ETag": self._etag, **self._caching(scope)})
        else:
            await self._pass_on(scope, receive, send)

    @property
    def _etag(self) -> str:
        return f'"{self.digest}"'

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Say why a request is not answered; None if it is."""
        if headers.get("host", "") not in self.hosts:
            return 403, "This server answers under its own address only."
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405, f"{scope['method']} is not allowed here."
        return self._refused_use(scope, headers) if scope["path"].startswith("/api") else None

    def _refused_use(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Say why a request to the API is not answered."""
        if headers.get("origin", next(iter(self.origins))) not in self.origins:
            return 403, "Pages of another origin cannot use this server."
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "Pages of another origin cannot use this server."
        wanted = _version(scope)
        if wanted not in (None, self.digest):
            return 410, "The atlas was replaced by another one. Load the page again."
        return _refused_write(headers) if scope["method"] == "POST" else None

    def _caching(self, scope: Scope) -> dict[str, str]:
        path = scope["path"].removeprefix(API)
        if scope["method"] == "POST" or path.startswith(CHANGING):
            return {"Cache-Control": NEVER_KEPT}
        kept = KEPT_FOR_EVER if _version(scope) else ASKED_AGAIN
        return {"Cache-Control": kept, "ETag": self._etag}

    def _is_known(self, scope: Scope, headers: Headers) -> bool:
        """Tell whether the browser has the answer already."""
        if not scope["path"].startswith(API) or "ETag" not in self._caching(scope):
            return False
        return self._etag in [tag.strip() for tag in headers.get("if-none-match", "").split(",")]

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        n_bytes = 0

        async def counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > MAX_BODY_BYTES:
                raise HTTPException(*_TOO_LARGE)
            return message

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._mark(scope, message)
            await send(message)

        # Routes know GET only; HEAD is the same without its body, which the server leaves out.
        seen = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        await self.app(seen, counted, marked)

    def _mark(self, scope: Scope, message: Message) -> None:
        """Add what the browser is to be told."""
        headers = MutableHeaders(raw=message["headers"])
        for name, value in HEADERS.items():
            headers[name] = value
        if scope["path"].startswith("/api"):
            fine = message["status"] == 200
            for name, value in (self._caching(scope) if fine else {"Cache-Control": NEVER_KEPT}).items():
                headers[name] = value
        message["headers"] = headers.raw


_TOO_LARGE = (413, f"The request is larger than {MAX_BODY_BYTES // 2**20} MB.")


def _version(scope: Scope) -> str | None:
    found: list[str] = parse_qs(scope["query_string"].decode("latin-1")).get("v", [])
    return found[0] if found else None


def _refused_write(headers: Headers) -> tuple[int, str] | None:
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return 415, "Send JSON, with the header Content-Type: application/json."
    if headers.get(HEADER) != "1":
        return 403, "Send the header X-Conceptome: 1."
    length = headers.get("content-length", "0")
    return _TOO_LARGE if not length.isdecimal() or int(length) > MAX_BODY_BYTES else None


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps({"error": {"status": status, "message": message}}).encode()
    await _send(send, status, body, {"Content-Type": "application/json", "Cache-Control": NEVER_KEPT})


async def _send(send: Send, status: int, body: bytes, headers: dict[str, Any]) -> None:
    whole = HEADERS | headers | ({} if status == 304 else {"Content-Length": str(len(body))})
    raw = [(name.lower().encode(), value.encode()) for name, value in whole.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
