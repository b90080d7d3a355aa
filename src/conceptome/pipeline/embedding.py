"""Embed cells a few at a time, straight to disk: little memory is needed and little work can be lost."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import numpy as np
from tqdm.auto import tqdm

from conceptome.core import Encoder, NotEditableError
from conceptome.pipeline import storage
from conceptome.pipeline.context import Run
from conceptome.pipeline.folder import write_text

CHUNK_CELLS = 1024
SCAN_CELLS = 8192


def embed_in_chunks(run: Run, encoder: Encoder, path: Path, *, device: str) -> tuple[int, int]:
    """Embed the cells of a run.

    After each chunk a small file beside `path` says how far it got; a later call with the same encoder goes
    on from there. The file is gone when all is done.

    Parameters
    ----------
    run
        Its cells are read chunk by chunk.
    encoder
        The encoder.
    path
        Store to write, or to continue.
    device
        Where the encoder runs.

    Returns
    -------
    How many cells this call embedded, and the number of coordinates.
    """
    progress = path.with_suffix(".progress.json")
    n_cells = run.source.n_obs
    done = _cells_done(progress, encoder)
    if not done:
        _try_hardest_cells(run, encoder, device=device)
    with tqdm(total=n_cells, initial=done, desc="embed", unit="cell", disable=None) as bar:
        for rows, cells in run.chunks(start=done, n_rows=CHUNK_CELLS):
            part = encoder.embed(cells, device=device)
            if rows.start == 0:
                storage.create_embeddings(path, part, run.source.obs_names, chunk_cells=CHUNK_CELLS)
            storage.write_embeddings(path, rows, part.values)
            write_text(progress, json.dumps({"encoder_id": encoder.encoder_id, "cells": rows.stop}))
            bar.update(len(part.cell_ids))
    progress.unlink(missing_ok=True)
    return n_cells - done, encoder.d_embed


def _try_hardest_cells(run: Run, encoder: Encoder, *, device: str) -> None:
    """Embed the cells without counts in known genes, so that an encoder refuses them now, not hours later."""
    try:
        known = encoder.known(run.source)
    except NotEditableError:
        return
    hardest = [
        cells[empty]
        for _, cells in run.chunks(start=0, n_rows=SCAN_CELLS)
        if (empty := np.asarray(cells.X @ known.astype(np.float32)) == 0).any()
    ]
    if hardest:
        encoder.embed(anndata.concat(hardest, merge="same"), device=device)


def _cells_done(progress: Path, encoder: Encoder) -> int:
    if not progress.is_file():
        return 0
    state = json.loads(progress.read_text(encoding="utf-8"))
    return int(state["cells"]) if state["encoder_id"] == encoder.encoder_id else 0
