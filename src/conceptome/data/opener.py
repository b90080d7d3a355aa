"""Open addresses by permitted schemes only, redirects included."""

from __future__ import annotations

import http.client
import urllib.request
from typing import Any
from urllib.parse import urljoin, urlsplit

from conceptome.core import DownloadError


def require_scheme(url: str, allowed: tuple[str, ...]) -> None:
    """Refuse an address of another scheme.

    Parameters
    ----------
    url
        The address.
    allowed
        Schemes that it may have, such as ``("https",)``.

    Raises
    ------
    DownloadError
        If it has another one.
    """
    if urlsplit(url).scheme not in allowed:
        msg = f"{url} was refused: files come only by {' or '.join(allowed)}."
        raise DownloadError(msg)


def build_opener(allowed: tuple[str, ...]) -> urllib.request.OpenerDirector:
    """Make an opener that knows HTTP and proxies, and none of urllib's other schemes.

    Parameters
    ----------
    allowed
        Schemes that a redirect may lead to.

    Returns
    -------
    The opener. It raises `DownloadError` at a redirect to another scheme.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _PermittedRedirects(allowed),
    ):
        opener.add_handler(handler)
    return opener


class _PermittedRedirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, allowed: tuple[str, ...]) -> None:
        self.allowed = allowed

    def http_error_302(
        self,
        req: urllib.request.Request,
        fp: Any,  # noqa: ANN401 - what urllib says it is and what it is differ
        code: int,
        msg: str,
        headers: Any,  # noqa: ANN401
    ) -> http.client.HTTPResponse | None:
        target = headers.get("Location", headers.get("URI", ""))  # the older name, which urllib follows too
        require_scheme(urljoin(req.full_url, target), self.allowed)
        response: http.client.HTTPResponse | None = super().http_error_302(req, fp, code, msg, headers)
        return response

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302
