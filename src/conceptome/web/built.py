"""Where the built browser client lies in this package."""

from __future__ import annotations

from pathlib import Path

STATIC = Path(__file__).with_name("static")
INDEX = "index.html"
