"""The page of a copy: the browser client, with a policy that lets nothing else run, and nothing be asked."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from conceptome.core import BundleError
from conceptome.web.built import INDEX, STATIC

_SCRIPT = re.compile(r'<script type="module"[^>]* src="/([^"]+)"')
_STYLE = re.compile(r'<link rel="stylesheet"[^>]* href="/([^"]+)"')
_WORKER = "assets/worker-*.js"


def page_parts(title: str, about: Mapping[str, Any], *, asks: bool, client: Path = STATIC) -> tuple[str, str]:
    """Write what stands before and after the data of a copy.

    Parameters
    ----------
    title
        Of the atlas.
    about
        What the client has to know of the copy; JSON values.
    asks
        Whether the client may ask the page's own site for files.
    client
        Folder of the built client.

    Raises
    ------
    BundleError
        If the client is not built.
    """
    script, style, worker = _client(client)
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src data: blob:",
            "worker-src blob:",
            *(("connect-src 'self'",) if asks else ()),
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    before = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{html.escape(title or "Atlas")}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<div id="app"></div>
<noscript>This atlas needs JavaScript. All of it is in this copy.</noscript>
<script type="application/json" id="copy">{embedded_json(about)}</script>
<script type="text/plain" id="worker">{worker}</script>
"""
    return before, f'<script type="module">{script}</script>\n</body>\n</html>\n'


def data_block(name: str, shard: bytes) -> str:
    """Write a shard as a block that no browser runs."""
    return f'<script type="text/plain" id="shard-{name}">{base64.b64encode(shard).decode()}</script>\n'


def embedded_json(content: Mapping[str, Any]) -> str:
    """Write JSON that can stand in a page: nothing in it ends a script or begins a comment."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _client(folder: Path) -> tuple[str, str, str]:
    """Read the script, the style and the worker of the built client."""
    index = folder / INDEX
    page = index.read_text(encoding="utf-8") if index.is_file() else ""
    script, style = _SCRIPT.search(page), _STYLE.search(page)
    workers = sorted(folder.glob(_WORKER))
    if not script or not style or len(workers) != 1:
        msg = "This installation has no browser client to copy. Build it with: make client"
        raise BundleError(msg)
    texts = [path.read_text(encoding="utf-8") for path in (folder / script[1], folder / style[1], workers[0])]
    _require_inert(texts)
    return texts[0], texts[1], texts[2]


def _require_inert(texts: Iterable[str]) -> None:
    """Refuse files that would end their own block in a page, or keep it from ending."""
    for text in texts:
        found = re.search(r"<script|</(script|style)", text, re.IGNORECASE)
        if found:
            msg = (
                f"The browser client holds {found[0]!r}, which cannot stand in a page. Build it: make client"
            )
            raise BundleError(msg)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
