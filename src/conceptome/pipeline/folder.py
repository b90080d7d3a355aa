"""The run folder: which stages are finished, from which inputs, and that nothing half-written ever counts."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from conceptome.core import BundleError, writing_whole

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
CONFIG = "config.toml"
LOG = "log.txt"
_PARTIAL = ".partial"
_UNFINISHED = ".unfinished"
_LOCK = ".lock"


class RunFolder:
    """A folder with a manifest of finished stages.

    A stage writes into a scratch folder; when it is complete, its files are moved into place and only then
    named, with their checksums, in the manifest. Whatever the manifest does not vouch for is done again.

    Parameters
    ----------
    path
        The folder. It may be missing or empty, or hold a run; anything else is refused.

    Raises
    ------
    BundleError
        If the folder holds other things, or a run of another schema version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            msg = f"{self.path} is a file; a run needs a folder. Choose another name."
            raise BundleError(msg)
        self.manifest: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "stages": {}}
        if (self.path / MANIFEST).is_file():
            self.manifest = self._read_manifest()
        elif self.path.is_dir() and any(
            item.name not in (_PARTIAL, _UNFINISHED, _LOCK, LOG) for item in self.path.iterdir()
        ):
            msg = f"{self.path} is neither empty nor a run folder (no {MANIFEST}). Choose another folder."
            raise BundleError(msg)

    @classmethod
    def existing(cls, path: Path | str) -> RunFolder:
        """Open a folder that must already hold a run."""
        if Path(path).is_file():
            msg = f"{path} is a file, expected the folder of a run. Name that one."
            raise BundleError(msg)
        if not (Path(path) / MANIFEST).is_file():
            command = f"conceptome run DATA.h5ad --out {shlex.quote(str(path))}"
            msg = f"{path} is no run folder: it has no {MANIFEST}. Make one with: {command}"
            raise BundleError(msg)
        folder = cls(path)
        if not {"input", "config", "versions", "command"} <= set(folder.manifest):
            raise BundleError(folder._damaged("it does not say what was run"))
        return folder

    def _damaged(self, why: object) -> str:
        return f"{self.path / MANIFEST} is damaged ({why}). Remove the folder and run again."

    def _read_manifest(self) -> dict[str, Any]:
        try:
            manifest = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
            version, stages = manifest["schema_version"], manifest["stages"]
            complete = all(
                {"digest", "files", "message", "seconds"} <= set(entry) for entry in stages.values()
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise BundleError(self._damaged(error)) from None
        if version == SCHEMA_VERSION and not complete:
            raise BundleError(self._damaged("a stage lacks facts"))
        if version != SCHEMA_VERSION or not isinstance(stages, dict):
            read = f"this Conceptome reads {SCHEMA_VERSION}"
            msg = f"{self.path} has schema version {version}, {read}. Use another --out."
            raise BundleError(msg)
        return dict(manifest)

    def save_manifest(self) -> None:
        """Write the manifest in one step."""
        write_text(self.path / MANIFEST, json.dumps(self.manifest, indent=2, default=str) + "\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; scratch files are gone afterwards, whatever happened."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"{self.path} cannot be made ({error.strerror}). Choose another --out."
            raise BundleError(msg) from None
        lock = FileLock(self.path / _LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            msg = (
                f"{self.path} is in use by another conceptome process. Wait for it, or choose another --out."
            )
            raise BundleError(msg) from None
        if (self.path / MANIFEST).is_file():
            self.manifest = self._read_manifest()
        try:
            yield
        finally:
            shutil.rmtree(self.path / _PARTIAL, ignore_errors=True)
            lock.release()

    def forget(self, stages: Iterable[str]) -> None:
        """Strike stages from the manifest, and what they began; their files stay until they are made anew."""
        for stage in stages:
            self.manifest["stages"].pop(stage, None)
            shutil.rmtree(self.path / _UNFINISHED / stage, ignore_errors=True)
        self.save_manifest()

    def is_done(self, stage: str, digest: str) -> bool:
        """Tell whether a stage was finished from these inputs and its files are still what it wrote."""
        entry = self.manifest["stages"].get(stage)
        if not isinstance(entry, dict) or entry.get("digest") != digest:
            return False
        return all(
            (self.path / name).exists() and checksum(self.path / name) == expected
            for name, expected in entry.get("files", {}).items()
        )

    @contextmanager
    def writing(
        self, stage: str, digest: str, *, resumable: bool = False
    ) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Give a scratch folder; on success move its content into place and record the stage.

        Parameters
        ----------
        stage
            Name of the stage.
        digest
            Digest of its inputs.
        resumable
            Keep what an interrupted stage has written, and give it back when the same stage is tried again
            from the same inputs.

        Yields
        ------
        The scratch folder, and the stage's entry of the manifest for further facts.
        """
        scratch = self._scratch(stage, digest, resumable=resumable)
        entry: dict[str, Any] = {"digest": digest}
        try:
            yield scratch, entry
        except BaseException:
            self._drop_empty(scratch)
            raise
        stale = self.manifest["stages"].pop(stage, {}).get("files", {})
        self.save_manifest()
        entry["files"] = {}
        for name in stale:
            _remove(self.path / name)
        for item in sorted(scratch.iterdir()):
            target = self.path / item.name
            _remove(target)
            item.replace(target)
            entry["files"][item.name] = checksum(target)
        self.manifest["stages"][stage] = entry
        self.save_manifest()
        self._drop_empty(scratch)

    def _scratch(self, stage: str, digest: str, *, resumable: bool) -> Path:
        """Make the folder that a stage writes into; what it left there from other inputs is removed."""
        earlier = self.path / _UNFINISHED / stage
        scratch = earlier / digest if resumable else self.path / _PARTIAL / stage
        kept = [scratch] if resumable else []
        for folder in (*earlier.glob("*"), scratch):
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)
        scratch.mkdir(parents=True, exist_ok=True)
        return scratch

    def _drop_empty(self, scratch: Path) -> None:
        """Remove a scratch folder that holds nothing, and the empty folders around it."""
        for folder in (scratch, *scratch.parents):
            if folder == self.path or any(folder.iterdir()):
                return
            folder.rmdir()


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step, so that a reader never sees half of it."""
    with writing_whole(path) as stream:
        stream.write(text)


def checksum(path: Path) -> str:
    """Compute the SHA-256 of a file, or of a folder's files with their names."""
    digest = hashlib.sha256()
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    for item in sorted(path.rglob("*")):
        if item.is_file():
            digest.update(f"{item.relative_to(path)}|{checksum(item)}\n".encode())
    return digest.hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
