"""A copy of an atlas that needs no server: one HTML file, or a folder for any static host."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

import conceptome
from conceptome.atlas import Annotations, Atlas, require_whole
from conceptome.core import BundleError, writing_whole
from conceptome.web.copy_form import ONE_FILE, WHOLE, Excerpt, Form
from conceptome.web.copy_page import data_block, page_parts
from conceptome.web.copy_shards import CELLS_PER_SHARD, pack_shard, shards

FILES = "data/"


def export_html(atlas: Path | str, out: Path | str, *, form: Form = ONE_FILE) -> Path:
    """Write an atlas as one HTML file that works from the disk, without a server and without the network.

    Parameters
    ----------
    atlas
        The atlas.
    out
        The file; an older one is replaced.
    form
        How much of the atlas is kept.

    Returns
    -------
    The file.

    Raises
    ------
    BundleError
        If it is no atlas or a damaged one.
    InputError
        If `out` is a folder, or lies in none.
    """
    out = Path(out)
    with Atlas.open(atlas) as opened, Annotations.beside(atlas, opened.dictionary_id) as annotations:
        require_whole(opened)
        excerpt = Excerpt(opened, form)
        before, after = page_parts(opened.manifest["title"], _about(excerpt, files=None), asks=False)
        with writing_whole(out) as stream:
            stream.write(before)
            for name, shard in _packed(excerpt, annotations):
                stream.write(data_block(name, shard))
            stream.write(after)
    return out


def export_folder(atlas: Path | str, out: Path | str, *, form: Form = WHOLE) -> Path:
    """Write an atlas as a folder of files for any web server that sends files.

    Parameters
    ----------
    atlas
        The atlas.
    out
        The folder; it must be new or empty.
    form
        How much of the atlas is kept.

    Returns
    -------
    The folder.

    Raises
    ------
    BundleError
        If it is no atlas, a damaged one, or something lies at `out`.
    """
    out = Path(out)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        msg = f"{out} exists and is not empty. Choose another name, or remove it."
        raise BundleError(msg)
    out.parent.mkdir(parents=True, exist_ok=True)
    with Atlas.open(atlas) as opened, Annotations.beside(atlas, opened.dictionary_id) as annotations:
        require_whole(opened)
        excerpt = Excerpt(opened, form)
        before, after = page_parts(opened.manifest["title"], _about(excerpt, files=FILES), asks=True)
        scratch = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
        try:
            scratch.chmod(0o755)
            (scratch / FILES).mkdir()
            for name, shard in _packed(excerpt, annotations):
                (scratch / FILES / f"{name}.bin").write_bytes(shard)
            (scratch / "index.html").write_text(before + after, encoding="utf-8")
            scratch.replace(out)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    return out


def _packed(excerpt: Excerpt, annotations: Annotations) -> Iterator[tuple[str, bytes]]:
    total = len(excerpt.concepts)
    with tqdm(total=total, desc="export", unit="concept", disable=None) as progress:
        for name, answers in shards(excerpt, annotations):
            yield name, pack_shard(answers)
            progress.update(name.startswith("concept-"))


def _about(excerpt: Excerpt, *, files: str | None) -> dict[str, Any]:
    """Tell the client what kind of copy it is in, and the reader what it lacks."""
    opened = excerpt.atlas
    version = conceptome.__version__
    made = f"A copy of atlas {opened.digest}, made by Conceptome {version}. It cannot be annotated."
    return {
        "digest": opened.digest,
        "files": files,
        "notes": [made, *excerpt.left_out()],
        "n_concepts": opened.n_concepts,
        "cells_per_shard": CELLS_PER_SHARD,
        "per_shard": excerpt.form.per_shard,
    }
