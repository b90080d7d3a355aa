"""What people write about concepts: revisions that are only ever added, in a file beside the atlas."""

from __future__ import annotations

import datetime
import json
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from conceptome.atlas.annotation import Annotation
from conceptome.atlas.annotation_file import connect, obstacle, unusable
from conceptome.atlas.reader import Table
from conceptome.atlas.spreadsheets import csv_text
from conceptome.core import BundleError, InputError, writing_whole

SUFFIX = ".annotations.sqlite"
FIELDS = (
    *("revision", "concept", "author", "created", "label", "category"),
    *("interpretability", "confidence", "notes", "supersedes"),
)
_Saved: TypeAlias = Future[tuple[dict[str, Any], bool]]


class StaleRevisionError(InputError):
    """Somebody has written about the concept since the revision that this one supersedes."""

    def __init__(self, message: str, current: dict[str, Any] | None) -> None:
        super().__init__(message)
        self.current = current


_Save: TypeAlias = tuple[Annotation, _Saved]


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
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._turn = threading.Condition()
        self._is_saving = False
        self._waiting: list[_Save] = []

    def __enter__(self) -> Annotations:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @classmethod
    def beside(cls, atlas: Path | str, dictionary_id: str) -> Annotations:
        """Name the annotations that lie beside an atlas."""
        place = Path(atlas).resolve()
        return cls(place.with_name(f"{place.name}{SUFFIX}"), dictionary_id)

    @property
    def obstacle(self) -> str:
        """Why nothing can be written; empty if it can."""
        return obstacle(self.path)

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
        saved: _Saved = Future()
        with self._turn:
            self._waiting.append((annotation, saved))
            self._turn.wait_for(lambda: saved.done() or not self._is_saving)
            if saved.done():
                return saved.result()
            self._is_saving, batch, self._waiting = True, self._waiting, []
        self._save_all(batch)  # for all who came meanwhile: the disk is waited for once
        with self._turn:
            self._is_saving = False
            self._turn.notify_all()
        return saved.result()

    def _save_all(self, batch: list[_Save]) -> None:
        """Add several revisions at once, each as if it had come alone; all are on the disk, or none."""
        answers: list[tuple[dict[str, Any], bool] | InputError] = []
        try:
            with self._connected() as connection:
                connection.execute("BEGIN IMMEDIATE")
                answers = [self._add(connection, annotation) for annotation, _ in batch]
                connection.execute("COMMIT")
        except BaseException as error:
            for _, saved in batch:
                saved.set_exception(error)
            return
        for (_, saved), answer in zip(batch, answers, strict=True):
            if isinstance(answer, InputError):
                saved.set_exception(answer)
            else:
                saved.set_result(answer)

    def _add(
        self, connection: sqlite3.Connection, annotation: Annotation
    ) -> tuple[dict[str, Any], bool] | InputError:
        before = self._rows(connection, "key = ?", [annotation.key])
        if before:
            return before[0], False
        newest = self._rows(connection, "concept = ?", [annotation.concept])[:1]
        current = newest[0] if newest else None
        if (current["revision"] if current else None) != annotation.supersedes:
            return self._stale(annotation, current)
        values = asdict(annotation) | {
            "dictionary_id": self.dictionary_id,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        }
        names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
        try:
            connection.execute(f"INSERT INTO revisions ({names}) VALUES ({marks})", values)
        except sqlite3.IntegrityError:
            msg = f"key {annotation.key} was used for another dictionary. Make a new one for each save."
            return InputError(msg)
        return self._rows(connection, "key = ?", [annotation.key])[0], True

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

    def counts(self) -> tuple[int, int]:
        """Count the concepts that people have written about: of this dictionary, and of others."""
        if not self.path.exists():
            return 0, 0
        query = "SELECT dictionary_id = ?, count(DISTINCT concept) FROM revisions GROUP BY dictionary_id"
        with self._connected() as connection:
            rows = connection.execute(query, [self.dictionary_id]).fetchall()
        here, elsewhere = (sum(n for own, n in rows if own == wanted) for wanted in (1, 0))
        return here, elsewhere

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
            If the name ends otherwise, or lies in no folder.
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
        with writing_whole(path) as stream:
            stream.write(text)
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
        """Lend the connection to one piece of work; what it leaves unfinished is undone."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = connect(self.path)
                yield self._connection
            except sqlite3.DatabaseError as error:
                raise BundleError(unusable(self.path, error)) from None
            finally:
                if self._connection is not None and self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")


def _table(rows: list[dict[str, Any]]) -> Table:
    return {name: [row[name] for row in rows] for name in FIELDS}
