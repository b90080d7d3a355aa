"""The file of annotations: its tables, and a connection that fits the disk it lies on."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
from pathlib import Path
from urllib.parse import quote

from conceptome.core import BundleError

VERSION = 1
WAIT_SECONDS = 20.0
_NETWORK = re.compile(
    r"^(nfs|cifs|smb|lustre|gpfs|beegfs|ceph|afs|9p|glusterfs|fuse\.|virtiofs|vboxsf|drvfs|davfs|panfs|ocfs|gfs)"
)
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


def connect(path: Path) -> sqlite3.Connection:
    """Open a file of annotations, and make it if there is none; one that cannot be written is only read.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    A connection that threads may share, one at a time.

    Raises
    ------
    BundleError
        If it is no such file, of another version, or cannot be made.
    """
    connection = None
    try:
        connection = sqlite3.connect(
            _address(path), uri=True, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA synchronous = FULL")  # what was answered as saved survives a loss of power
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            msg = f"{path} has version {version}; this Conceptome reads {VERSION}."
            raise BundleError(msg)
        if not obstacle(path):
            _fit_journal(connection, path)
        if version == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {_CREATE} PRAGMA user_version = {VERSION}; COMMIT;")
    except (sqlite3.DatabaseError, BundleError) as error:
        if connection is not None:
            connection.close()
        raise error if isinstance(error, BundleError) else BundleError(unusable(path, error)) from None
    return connection


def obstacle(path: Path) -> str:
    """Say why a file of annotations cannot be written; empty if it can. Its folder takes its journal."""
    for target in (path, path.parent) if path.exists() else (path.parent,):
        if not os.access(target, os.W_OK):
            return f"{target} cannot be written by this user."
    return ""


def _address(path: Path) -> str:
    """Name a file to SQLite. What cannot be written is read as it lies, unless a journal belongs to it."""
    name = f"file:{quote(str(path.resolve()))}"
    if not path.exists() or not obstacle(path):
        return name
    journal = path.with_name(f"{path.name}-wal")
    return f"{name}?mode=ro" + ("" if journal.exists() and journal.stat().st_size else "&immutable=1")


def unusable(path: Path, error: sqlite3.DatabaseError) -> str:
    """Word the message on a file that SQLite cannot use."""
    return f"{path} cannot be used ({error}). Check its permissions and the space on the disk."


def _fit_journal(connection: sqlite3.Connection, path: Path) -> None:
    """Keep a journal that the disk can hold, also where the file has moved: a log needs a local disk."""
    kind = file_system(path.parent)
    wanted = "delete" if _NETWORK.match(kind) else "wal"
    if wanted == "delete":
        logger.warning("%s lies on a network file system (%s); saving is slower there.", path, kind)
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != wanted:
        connection.execute(f"PRAGMA journal_mode = {wanted}")


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
