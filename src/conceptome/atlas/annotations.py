"""What people write about concepts: revisions that are only ever added, in a file beside the atlas."""

from __future__ import annotations

import datetime
import json
import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from conceptome.atlas.reader import Table
from conceptome.atlas.spreadsheets import csv_text
from conceptome.core import BundleError, InputError

SUFFIX = ".annotations.sqlite"
VERSION = 1
FIELDS = (
    *("revision", "concept", "author", "created", "label", "category"),
    *("interpretability", "confidence", "notes", "supersedes"),
)
LONGEST = {"author": 100, "label": 200, "category": 200, "notes": 10_000}
SCORES = ("interpretability", "confidence")
WAIT_SECONDS = 20.0
_KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")
_NETWORK = re.compile(r"^(nfs|cifs|smb|lustre|gpfs|beegfs|ceph|afs|9p|glusterfs|fuse\.)")
_CREATE = """
CREATE TABLE IF NOT EXISTS revisions (
    revision INTEGER PRIMARY KEY AUTOINCREMENT, dictionary_id TEXT NOT NULL, concept INTEGER NOT NULL,
    author TEXT NOT NULL, created TEXT NOT NULL, label TEXT NOT NULL, category TEXT NOT NULL,
    interpretability INTEGER, confidence INTEGER, notes TEXT NOT NULL,
    supersedes INTEGER REFERENCES revisions (revision), key TEXT NOT NULL UNIQUE
) STRICT;
CREATE INDEX IF NOT EXISTS by_concept ON revisions (dictionary_id, concept, revision);
CREATE TRIGGER IF NOT EXISTS never_changed BEFORE UPDATE ON revisions
    BEGIN SELECT RAISE(ABORT, 'revisions are never changed'); END;
CREATE TRIGGER IF NOT EXISTS never_deleted BEFORE DELETE ON revisions
    BEGIN SELECT RAISE(ABORT, 'revisions are never deleted'); END;
"""

logger = logging.getLogger(__name__)


class StaleRevisionError(InputError):
    """Somebody has written about the concept since the revision that this one supersedes."""

    def __init__(self, message: str, current: dict[str, Any] | None) -> None:
        super().__init__(message)
        self.current = current


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


class Annotations:
    """The annotations of one dictionary.

    Parameters
    ----------
    path
        The file; made by the first save.
    dictionary_id
        Of the dictionary whose concepts they are about.
    """

    def __init__(self, path: Path | str, dictionary_id: str) -> None:
        self.path = Path(path)
        self.dictionary_id = dictionary_id

    @classmethod
    def beside(cls, atlas: Path | str, dictionary_id: str) -> Annotations:
        """Name the annotations that lie beside an atlas."""
        place = Path(atlas).resolve()
        return cls(place.with_name(f"{place.name}{SUFFIX}"), dictionary_id)

    @property
    def obstacle(self) -> str:
        """Why nothing can be written; empty if it can."""
        target = self.path if self.path.exists() else self.path.parent
        return "" if os.access(target, os.W_OK) else f"{target} cannot be written by this user."

    def save(self, annotation: Annotation) -> tuple[dict[str, Any], bool]:
        """Add a revision.

        Parameters
        ----------
        annotation
            What is said.

        Returns
        -------
        revision
            The new revision, or the one that was saved under the same key before.
        is_new
            Whether it was added now.

        Raises
        ------
        StaleRevisionError
            If there is a newer revision of the concept than the one it supersedes.
        BundleError
            If the file cannot be written, or is none of ours.
        """
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            before = self._rows(connection, "key = ?", [annotation.key])
            if before:
                connection.execute("ROLLBACK")
                return before[0], False
            newest = self._rows(connection, "concept = ?", [annotation.concept])[:1]
            current = newest[0] if newest else None
            if (current["revision"] if current else None) != annotation.supersedes:
                connection.execute("ROLLBACK")
                raise self._stale(annotation, current)
            values = asdict(annotation) | {
                "dictionary_id": self.dictionary_id,
                "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            }
            names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
            connection.execute(f"INSERT INTO revisions ({names}) VALUES ({marks})", values)
            saved = self._rows(connection, "key = ?", [annotation.key])[0]
            connection.execute("COMMIT")
            return saved, True

    def _stale(self, annotation: Annotation, current: dict[str, Any] | None) -> StaleRevisionError:
        if current is None:
            msg = f"There is no revision {annotation.supersedes} of concept {annotation.concept}."
        else:
            msg = (
                f"{current['author']} has written about concept {annotation.concept} in the meantime. Look "
                f"at that first, then save again as superseding revision {current['revision']}."
            )
        return StaleRevisionError(msg, current)

    def newest(self) -> Table:
        """Return the newest revision of each concept."""
        rows = self._read(
            "revision IN (SELECT max(revision) FROM revisions WHERE dictionary_id = ? GROUP BY concept)",
            [self.dictionary_id],
        )
        return _table(sorted(rows, key=lambda row: row["concept"]))

    def history(self, concept: int | None = None) -> Table:
        """Return all revisions, the newest first; of one concept or of all."""
        if concept is None:
            return _table(self._read("1", []))
        return _table(self._read("concept = ?", [concept]))

    def export(self, path: Path | str) -> int:
        """Write every revision, the newest first, as CSV or JSON by the ending of the name.

        Parameters
        ----------
        path
            The file; an older one is replaced.

        Returns
        -------
        Number of revisions.

        Raises
        ------
        InputError
            If the name ends otherwise.
        """
        path, table = Path(path), self.history()
        if path.suffix == ".csv":
            text = csv_text(table)
        elif path.suffix == ".json":
            rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
            text = json.dumps({"dictionary_id": self.dictionary_id, "revisions": rows}, indent=1) + "\n"
        else:
            msg = f"{path} ends in {path.suffix!r}, expected .csv or .json."
            raise InputError(msg)
        path.write_text(text, encoding="utf-8")
        return len(table["revision"])

    def find(self, text: str) -> list[tuple[int, str, str]]:
        """Find concepts by part of their label, category or notes: concept, label, category or notes."""
        current = self.newest()
        columns = (current[name] for name in ("concept", "label", "category", "notes"))
        wanted = text.casefold()
        return [
            (concept, label, category or notes)
            for concept, label, category, notes in zip(*columns, strict=True)
            if wanted and wanted in f"{label}\n{category}\n{notes}".casefold()
        ]

    def _read(self, condition: str, values: list[Any]) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        with self._connected() as connection:
            return self._rows(connection, condition, values)

    def _rows(
        self, connection: sqlite3.Connection, condition: str, values: list[Any]
    ) -> list[dict[str, Any]]:
        query = (
            f"SELECT {', '.join(FIELDS)} FROM revisions WHERE dictionary_id = ? AND {condition} "
            "ORDER BY revision DESC"
        )
        found = connection.execute(query, [self.dictionary_id, *values])
        return [dict(zip(FIELDS, row, strict=True)) for row in found]

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one piece of work, and make it if need be."""
        try:
            with closing(
                sqlite3.connect(self.path, timeout=WAIT_SECONDS, isolation_level=None)
            ) as connection:
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version == 0 and not self.obstacle:
                    self._create(connection)
                elif version != VERSION:
                    msg = f"{self.path} has version {version}; this Conceptome reads {VERSION}."
                    raise BundleError(msg)
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.execute("PRAGMA synchronous = FULL")
                yield connection
        except sqlite3.DatabaseError as error:
            msg = f"{self.path} cannot be used ({error}). Check its permissions and the space on the disk."
            raise BundleError(msg) from None

    def _create(self, connection: sqlite3.Connection) -> None:
        kind = file_system(self.path.parent)
        if _NETWORK.match(kind):
            logger.warning("%s lies on a network file system (%s); saving is slower there.", self.path, kind)
            connection.execute("PRAGMA journal_mode = DELETE")
        else:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN IMMEDIATE; {_CREATE} PRAGMA user_version = {VERSION}; COMMIT;")


def _table(rows: list[dict[str, Any]]) -> Table:
    return {name: [row[name] for row in rows] for name in FIELDS}


def file_system(folder: Path) -> str:
    """Name the file system that a folder lies on, such as ``"ext4"`` or ``"nfs4"``; empty if unknown."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return ""
    best, kind = -1, ""
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        place, found = line.split(" ")[1:3]
        point = Path(place.replace("\\040", " "))
        if folder.resolve().is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), found
    return kind
