"""What one person says of one concept."""

from __future__ import annotations

import re
from dataclasses import dataclass

from conceptome.core import InputError

LONGEST = {"author": 100, "label": 200, "category": 200, "notes": 10_000}
SCORES = ("interpretability", "confidence")
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")


@dataclass(frozen=True)
class Annotation:
    """What a person says of a concept."""

    concept: int
    author: str
    key: str
    """Made once per save, so that a save that is sent twice counts once."""
    label: str = ""
    category: str = ""
    interpretability: int | None = None
    """0 (not at all) to 4; None = not judged."""
    confidence: int | None = None
    """0 (a guess) to 4 (certain); None = not judged."""
    notes: str = ""
    supersedes: int | None = None
    """The revision that the person saw; None if there was none."""

    def __post_init__(self) -> None:
        for name, longest in LONGEST.items():
            if len(getattr(self, name)) > longest:
                msg = f"{name} has {len(getattr(self, name)):,} characters, at most {longest:,} are kept."
                raise InputError(msg)
            if _NO_TEXT.search(getattr(self, name)):
                why = "a character that is no text (a zero or half a surrogate pair)"
                msg = f"{name} holds {why}. Remove it."
                raise InputError(msg)
        for name in SCORES:
            if getattr(self, name) not in (None, 0, 1, 2, 3, 4):
                msg = f"{name} is {getattr(self, name)}, expected 0 to 4, or nothing."
                raise InputError(msg)
        if not self.author.strip():
            msg = "author is empty. Say who writes this."
            raise InputError(msg)
        if not _KEY.fullmatch(self.key):
            msg = f"key is {self.key[:80]!r}, expected 8 to 64 letters, digits, - or _."
            raise InputError(msg)
