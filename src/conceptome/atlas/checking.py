"""Whether every byte of an atlas is what was written, and what is in it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import get_args

from tqdm.auto import tqdm

from conceptome.atlas.annotations import Annotations
from conceptome.atlas.manifest import checksum, damaged
from conceptome.atlas.pages import WHOLE, whole_table
from conceptome.atlas.reader import Atlas, Pack
from conceptome.atlas.schema import FORMAT, MANIFEST
from conceptome.core import BundleError

BLOCK_VALUES = 2**22


def check(path: Path | str) -> str:
    """Compare every byte of an atlas with its checksums.

    Parameters
    ----------
    path
        The folder.

    Returns
    -------
    A line that says what was checked.

    Raises
    ------
    BundleError
        If anything differs; the message names every file that does.
    """
    with Atlas.open(path) as atlas:
        files = atlas.manifest["files"]
        require_whole(atlas)
        for pack in get_args(Pack):
            for position in range(atlas.n_blobs(pack)):
                atlas.blob(pack, position)
        for name in WHOLE:
            whole_table(atlas, name)
        faults = [str(row[0]).replace("\n", "; ") for row in atlas.rows("PRAGMA integrity_check(3)")]
        if faults != ["ok"]:
            raise BundleError(damaged(atlas.path, f"SQLite finds: {'; '.join(faults)}"))
        found = {item.relative_to(atlas.path).as_posix() for item in atlas.path.rglob("*") if item.is_file()}
        strange = sorted(found - set(files) - {MANIFEST})
        size = sum(entry["bytes"] for entry in files.values()) / 2**20
        text = f"{path} is whole: {len(files)} files, {size:,.1f} MB, digest {atlas.digest}."
        return f"{text} Not part of it: {', '.join(strange)}." if strange else text


def require_whole(atlas: Atlas) -> None:
    """Refuse an atlas of which any byte is not what was written; opening it has compared small files only.

    Parameters
    ----------
    atlas
        An open atlas.

    Raises
    ------
    BundleError
        If anything differs; the message names every file that does. Or if cells have concepts that are none.
    """
    files = atlas.manifest["files"]
    wrong = [
        name
        for name, entry in tqdm(files.items(), desc="check", unit="file", disable=None, leave=False)
        if checksum(atlas.path, name) != entry["sha256"]
    ]
    if wrong:
        why = f"the bytes of {', '.join(wrong)} are not those that were written"
        raise BundleError(damaged(atlas.path, why))
    _require_sound_cells(atlas)


def _require_sound_cells(atlas: Atlas) -> None:
    """Compare the concepts of cells with the number of concepts, and where each cell begins with the next."""
    shapes = {name: entry["shape"] for name, entry in atlas.manifest["arrays"].items()}
    n_values = shapes["csr_index.uint"][0]
    bounds = atlas.array("csr_indptr.u64")
    sound = bounds[0] == 0 and bounds[-1] == n_values and bool((bounds[1:] >= bounds[:-1]).all())
    for start in range(0, n_values, BLOCK_VALUES):
        block = atlas.array("csr_index.uint", start, min(start + BLOCK_VALUES, n_values))
        sound = sound and int(block.max()) < atlas.n_concepts
    if not sound or shapes["csr_value.f16"] != [n_values]:
        raise BundleError(damaged(atlas.path, "the concepts of its cells are not those of the atlas"))


def describe(path: Path | str) -> str:
    """Tell what an atlas holds and what to do next.

    Parameters
    ----------
    path
        The folder.

    Returns
    -------
    Several lines of text.

    Raises
    ------
    BundleError
        If it is no atlas, or a damaged one.
    """
    with Atlas.open(path) as atlas:
        origin = atlas.manifest["provenance"]
        made_by = origin.get("versions", {}).get("conceptome", "of unknown version")
        size = sum(entry["bytes"] for entry in atlas.manifest["files"].values()) / 2**20
        lines = [
            f"{path}: atlas of {atlas.manifest['title'] or 'untitled cells'} ({atlas.n_cells:,} cells, "
            f"{atlas.n_concepts:,} concepts, {atlas.n_genes:,} genes), dictionary {atlas.dictionary_id}",
            f"  made by Conceptome {made_by}, schema {atlas.manifest['schema_version']}, {size:,.1f} MB, "
            f"digest {atlas.digest}",
        ]
        counts = {name: entry["rows"] for name, entry in atlas.manifest["tables"].items()}
        shown = ("drivers", "terms", "findings", "curves", "pairs", "related", "modules", "measures")
        lines.append("  " + ", ".join(f"{counts.get(name, 0):,} {name}" for name in shown))
        columns = atlas.rows("SELECT name, kind, role FROM obs_columns ORDER BY rank")
        lines += [f"  {name}: {kind}{f' ({role})' if role else ''}" for name, kind, role in columns]
        with Annotations.beside(path, atlas.dictionary_id) as annotations:
            here, elsewhere = annotations.counts()
        if here or elsewhere:
            lines.append(f"  annotations: {here:,} concepts{_of_others(elsewhere)} ({annotations.path})")
        lines += [f"  no {part}: {why}" for part, why in atlas.rows("SELECT part, reason FROM missing")]
        place = shlex.quote(str(path))
        lines.append(f"Next: conceptome check {place}, or conceptome serve {place}")
        return "\n".join(lines)


def _of_others(n_concepts: int) -> str:
    return f", and {n_concepts:,} of other dictionaries, which are not shown" if n_concepts else ""


def is_atlas(path: Path | str) -> bool:
    """Tell whether a folder says that it is an atlas; it may still be damaged."""
    manifest = Path(path) / MANIFEST
    return manifest.is_file() and f'"format": "{FORMAT}"' in manifest.read_text("utf-8", errors="replace")
