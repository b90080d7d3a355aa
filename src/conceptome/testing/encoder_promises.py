"""What an encoder promises of embeddings, one function per promise; each yields what is broken."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from conceptome.core import Decoder, Embeddings
from conceptome.testing.contents import changes, contents
from conceptome.testing.encoder_trial import WHOLE, EncoderTrial
from conceptome.testing.saving import missing_files

METHODS = ("embed", "expression", "known", "embed_edits", "save")


def has_members(trial: EncoderTrial) -> Iterator[str]:
    """Check that all members of the protocol are there and of their type."""
    encoder = trial.encoder
    for name in ("name", "encoder_id"):
        value = getattr(encoder, name, None)
        if not isinstance(value, str) or not value:
            yield f"{name} is {value!r}, expected a text."
    for name in METHODS:
        if not callable(getattr(encoder, name, None)):
            yield f"there is no method {name}()."
    genes = getattr(encoder, "genes", None)
    if not isinstance(genes, pd.Index):
        yield f"genes is {type(genes).__name__}, expected a pandas Index of names."
    elif not genes.is_unique:
        yield f"genes lists {genes[genes.duplicated()][0]!r} more than once."
    if not hasattr(encoder, "decoder"):
        yield "there is no attribute decoder; it is None for models that have none."


def embeds_every_cell(trial: EncoderTrial) -> Iterator[str]:
    """Check that `embed` returns finite numbers for every cell, in order, under the encoder's identity."""
    encoder, adata = trial.encoder, trial.adata
    first = trial.first
    if not isinstance(first, Embeddings):
        yield f"embed() returns {type(first).__name__}, expected Embeddings."
        return
    if not isinstance(encoder.d_embed, int) or first.values.shape != (adata.n_obs, encoder.d_embed):
        yield (
            f"embed() returns values of shape {first.values.shape}, expected cells x d_embed = "
            f"({adata.n_obs}, {encoder.d_embed!r})."
        )
    if first.values.dtype not in (np.float32, np.float64):
        yield f"embed() returns {first.values.dtype}, expected float32 or float64."
    elif not np.isfinite(first.values).all():
        yield "embed() returns NaN or infinite values."
    if not first.cell_ids.equals(adata.obs_names):
        yield "embed() returns other cell_ids than adata.obs_names, or in another order."
    if first.encoder_id != encoder.encoder_id or first.encoder_name != encoder.name:
        yield (
            f"embed() names the encoder {first.encoder_name!r} ({first.encoder_id}), expected "
            f"{encoder.name!r} ({encoder.encoder_id})."
        )


def is_repeatable(trial: EncoderTrial) -> Iterator[str]:
    """Check that a second call returns the same, and the identity stays."""
    if how := trial.differs(trial.embed(trial.cells), trial.embedded):
        yield f"embedding the same cells twice does not give the same: {how}. Draw from a fixed seed."
    if trial.first.encoder_id != trial.encoder.encoder_id:
        yield "encoder_id changes from call to call. Hash weights and settings, once."


def ignores_batch_size(trial: EncoderTrial) -> Iterator[str]:
    """Check that the batch size groups cells and changes no result."""
    for batch_size in (1, 7):
        if how := trial.differs(trial.embed(trial.cells, batch_size=batch_size), trial.embedded):
            yield f"with batch_size={batch_size} the embedding is another: {how}."


def embeds_cells_one_by_one(trial: EncoderTrial) -> Iterator[str]:
    """Check that the embedding of a cell does not depend on the other cells."""
    n_cells = trial.cells.n_obs
    company = {
        "alone": np.arange(1),
        "with half of the cells": np.arange(0, n_cells, 2),
        "with the cells in reverse order": np.arange(n_cells)[::-1],
    }
    for how_called, rows in company.items():
        if how := trial.differs(trial.embed(trial.cells[rows].copy()), trial.embedded[rows]):
            yield (
                f"a cell embedded {how_called} gets another embedding: {how}. It depends on the other cells "
                "of the call, as with CellPLM; an edit of one cell then moves others, and no effect can be "
                "attributed to it."
            )
            return


def ignores_gene_order(trial: EncoderTrial) -> Iterator[str]:
    """Check that the order of the columns means nothing."""
    order = np.random.default_rng(trial.seed).permutation(trial.cells.n_vars)
    shuffled = trial.cells[:, order].copy()
    if how := trial.differs(trial.embed(shuffled), trial.embedded):
        yield f"with the genes in another order the embedding is another: {how}. Find columns by name."


def leaves_cells_alone(trial: EncoderTrial) -> Iterator[str]:
    """Check that embedding leaves the caller's AnnData as it was."""
    cells = trial.cells.copy()
    before = contents(cells)
    trial.encoder.embed(cells, batch_size=WHOLE, device=trial.device)
    if changed := changes(before, contents(cells)):
        yield f"embed() changes the caller's AnnData in {changed}. Copy before writing."


def decodes(trial: EncoderTrial) -> Iterator[str]:
    """Check that a decoder returns finite expression in its genes, cell by cell."""
    decoder: Any = trial.encoder.decoder
    if decoder is None:
        return
    if not isinstance(decoder, Decoder) or not isinstance(decoder.genes, pd.Index):
        yield "decoder lacks expression(embedding, cells), or genes as a pandas Index."
        return
    found = decoder.expression(trial.embedded, trial.cells)
    expected = (trial.cells.n_obs, len(decoder.genes))
    if found.shape != expected:
        yield f"decoder.expression() has shape {found.shape}, expected cells x genes = {expected}."
        return
    if not np.isfinite(found).all():
        yield "decoder.expression() returns NaN or infinite values."
        return
    rows = np.arange(trial.cells.n_obs)[::-2]
    alone = decoder.expression(trial.embedded[rows], trial.cells[rows].copy())
    if not np.allclose(alone, found[rows], rtol=trial.tolerance, atol=trial.tolerance * np.abs(found).max()):
        yield "decoder.expression() of a cell depends on the other cells of the call."


def is_saved(trial: EncoderTrial) -> Iterator[str]:
    """Check that `save`, then the class's `load`, give the same encoder."""
    encoder = trial.encoder
    if not callable(getattr(type(encoder), "load", None)):
        yield "the class has no load(path) that reads what save(path) wrote."
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "encoder"
        encoder.save(target)
        yield from missing_files(target)
        again: Any = type(encoder).load(target)
        if again.encoder_id != encoder.encoder_id:
            yield f"loaded again it has the encoder_id {again.encoder_id}, expected {encoder.encoder_id}."
        if not again.genes.equals(encoder.genes) or again.d_embed != encoder.d_embed:
            yield "loaded again it has other genes or another d_embed."
        if (again.decoder is None) != (encoder.decoder is None):
            yield "loaded again it has gained or lost its decoder."
        values = again.embed(trial.cells, batch_size=trial.cells.n_obs, device=trial.device).values
    if how := trial.differs(np.asarray(values, dtype=np.float64), trial.embedded):
        yield f"loaded again it embeds otherwise: {how}."
