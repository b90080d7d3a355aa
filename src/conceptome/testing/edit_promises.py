"""What an encoder promises of edits, one function per promise; each yields what is broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from conceptome.core import Edits, OneHiddenLayer
from conceptome.encoders import reencode_edits
from conceptome.testing.contents import changes, contents
from conceptome.testing.encoder_trial import WHOLE, EncoderTrial

if TYPE_CHECKING:
    from anndata import AnnData

FOREIGN = "no-such-gene"
MOST_UNKNOWN = 20
RAISE = 3.0


def edits_or_refuses(trial: EncoderTrial) -> Iterator[str]:
    """Check that all editing methods work, or all of them raise `NotEditableError`."""
    if 0 < len(trial.refusals) < 3:
        refused = " and ".join(f"{name}()" for name in trial.refusals)
        yield (
            f"NotEditableError comes from {refused} only. Let expression(), known() and embed_edits() all "
            "raise it, or none."
        )
    if not trial.refusals and not np.any(trial.known):
        yield "known() knows no gene of the cells, so nothing can be edited."


def gives_expression(trial: EncoderTrial) -> Iterator[str]:
    """Check that `expression` is what `embed` reads, in the columns of the cells."""
    found, expected = trial.expression, trial.cells.shape
    if getattr(found, "format", "") != "csr" or found.shape != expected or found.dtype != np.float64:
        yield (
            f"expression() returns {type(found).__name__} {getattr(found, 'shape', '')} of "
            f"{getattr(found, 'dtype', '?')}, expected a CSR array {expected} of float64."
        )
        return
    if not np.isfinite(found.data).all():
        yield "expression() holds NaN or infinite values."
    order, shuffled = _shuffled(trial)
    other = trial.encoder.expression(shuffled)
    if not np.array_equal(other.toarray(), found.toarray()[:, order]):
        yield "expression() does not follow the order of the columns."
    again = _reencode(trial, trial.cells, Edits.noop(trial.cells.n_obs))
    if how := trial.differs(again, trial.embedded):
        yield f"cells made of expression() are embedded otherwise: {how}. It must be what embed() reads."


def knows_its_genes(trial: EncoderTrial) -> Iterator[str]:
    """Check that `known` marks the columns that the encoder reads: edits of the others have no effect."""
    mask, n_genes = trial.known, trial.cells.n_vars
    if not isinstance(mask, np.ndarray) or mask.shape != (n_genes,) or mask.dtype != np.bool_:
        found = f"{getattr(mask, 'dtype', type(mask).__name__)} {getattr(mask, 'shape', '')}"
        yield f"known() returns {found}, expected one bool for each of the {n_genes} columns."
        return
    order, shuffled = _shuffled(trial)
    if not np.array_equal(trial.encoder.known(shuffled), trial.known[order]):
        yield "known() does not follow the order of the columns. Look genes up by name."
    yield from _unknown_have_no_effect(trial, trial.cells, np.flatnonzero(~trial.known))
    column = int(np.flatnonzero(trial.known)[0])
    renamed = _rename(trial.cells, column)
    if trial.encoder.known(renamed)[column]:
        yield f"known() is True for a gene named {FOREIGN!r}. Look genes up by name."
    else:
        yield from _unknown_have_no_effect(trial, renamed, np.array([column]))


def leaves_noop_alone(trial: EncoderTrial) -> Iterator[str]:
    """Check that an edit that changes nothing gives the cell's own embedding."""
    n_cells = trial.cells.n_obs
    nothing = trial.embed_edits(trial.cells, Edits.noop(n_cells))
    if how := trial.differs(nothing, trial.embedded):
        yield f"an edit without genes does not give the cell's own embedding: {how}."
    genes = np.flatnonzero(trial.known)[np.arange(n_cells) % int(trial.known.sum())]
    values = trial.expression.toarray()[np.arange(n_cells), genes]
    same = trial.embed_edits(trial.cells, Edits.single(np.arange(n_cells), genes, values))
    if how := trial.differs(same, trial.embedded):
        yield f"setting a gene to the value it has does not give the cell's own embedding: {how}."
    none = trial.embed_edits(trial.cells, Edits.noop(0))
    if none.shape != (0, trial.encoder.d_embed):
        yield f"no edits give an array of shape {none.shape}, expected (0, {trial.encoder.d_embed})."


def embeds_edits(trial: EncoderTrial) -> Iterator[str]:
    """Check that an edited cell gets the embedding of that cell with the new values."""
    found = trial.embed_edits(trial.cells, trial.edits)
    if found.dtype != np.float64:
        yield f"embed_edits() returns {found.dtype}, expected float64."
    if how := trial.differs(found, _reencode(trial, trial.cells, trial.edits)):
        yield f"embed_edits() is not what embed() says of the edited cells: {how}."
    if not trial.differs(found, trial.embedded[trial.edits.cells]):
        yield "none of the edits moves an embedding. Do they reach the model?"


def leaves_edits_alone(trial: EncoderTrial) -> Iterator[str]:
    """Check that the editing methods leave the caller's AnnData and edits as they were."""
    cells, encoder, edits = trial.cells.copy(), trial.encoder, trial.edits
    before = contents(cells)
    arrays = (edits.cells, edits.indptr, edits.genes, edits.values)
    copies = [array.copy() for array in arrays]
    encoder.expression(cells)
    encoder.known(cells)
    encoder.embed_edits(cells, edits, batch_size=WHOLE, device=trial.device)
    if changed := changes(before, contents(cells)):
        yield f"the editing methods change the caller's AnnData in {changed}. Copy before writing."
    if not all(map(np.array_equal, copies, arrays)):
        yield "embed_edits() changes the arrays of the edits. Copy before writing."


def ignores_batches_of_edits(trial: EncoderTrial) -> Iterator[str]:
    """Check that the result of an edit depends neither on the batch size nor on the other edits."""
    edits = trial.edits
    found = trial.embed_edits(trial.cells, edits)
    if how := trial.differs(trial.embed_edits(trial.cells, edits, batch_size=5), found):
        yield f"embed_edits() with batch_size=5 gives another result: {how}."
    order = np.random.default_rng(trial.seed).permutation(len(edits))[: len(edits) // 2]
    if how := trial.differs(trial.embed_edits(trial.cells, edits.take(order)), found[order]):
        yield f"embed_edits() of half of the edits in another order gives another result: {how}."


def stays_in_its_hidden_layer(trial: EncoderTrial) -> Iterator[str]:
    """Check that an encoder with a `hidden_layer` gives by it what `embed_edits` says."""
    if not isinstance(trial.encoder, OneHiddenLayer):
        return
    layer = trial.encoder.hidden_layer(trial.cells)
    if layer is None:
        return
    edits = trial.edits
    column = layer.column[edits.genes]
    edit = np.repeat(np.arange(len(edits)), np.diff(edits.indptr))
    old = trial.expression.toarray()[edits.cells[edit], edits.genes]
    change = np.log1p(edits.values) - np.log1p(old) if layer.log1p else edits.values - old
    first = layer.first[edits.cells].copy()
    np.add.at(first, edit[column >= 0], (change[:, None] * layer.by_gene[column])[column >= 0])
    found = np.maximum(first, 0) @ layer.readout + layer.constant
    if how := trial.differs(found, trial.embed_edits(trial.cells, edits)):
        yield f"hidden_layer() is not what embed_edits() computes: {how}. Return None if it is deeper."


def _reencode(trial: EncoderTrial, cells: AnnData, edits: Edits) -> Float[np.ndarray, "edits d_embed"]:
    return reencode_edits(trial.encoder, cells, edits, batch_size=WHOLE, device=trial.device)


def _unknown_have_no_effect(
    trial: EncoderTrial, cells: AnnData, unknown: Int[np.ndarray, " genes"]
) -> Iterator[str]:
    genes = unknown[:MOST_UNKNOWN]
    rows = np.arange(len(genes)) % cells.n_obs
    edits = Edits.single(rows, genes, np.full(len(genes), RAISE))
    unedited = trial.embed(cells)[rows]
    for how_embedded, found in (
        ("embed_edits()", trial.embed_edits(cells, edits)),
        ("embed()", _reencode(trial, cells, edits)),
    ):
        if how := trial.differs(found, unedited):
            yield f"{how_embedded} reads genes that known() says it does not: after an edit of them {how}."


def _rename(cells: AnnData, column: int) -> AnnData:
    """Copy cells and give one gene a name that no model knows, wherever names are kept."""
    renamed = cells.copy()
    var = cells.var.copy()
    for key in var.select_dtypes(exclude=["number", "bool"]):
        names = var[key].astype(object)
        names.iloc[column] = ""
        var[key] = names
    var.index = [FOREIGN if position == column else name for position, name in enumerate(var.index)]
    renamed.var = var
    return renamed


def _shuffled(trial: EncoderTrial) -> tuple[Int[np.ndarray, " genes"], AnnData]:
    order = np.random.default_rng(trial.seed).permutation(trial.cells.n_vars)
    return order, trial.cells[:, order].copy()
