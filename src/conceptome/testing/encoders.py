"""Does an encoder keep the contract? For authors of plug-ins, and for our own."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from conceptome.core import require_at_least
from conceptome.testing import edit_promises as editing
from conceptome.testing import encoder_promises as embedding
from conceptome.testing.encoder_trial import EncoderTrial
from conceptome.testing.report import ContractReport, Promise, run_promises

if TYPE_CHECKING:
    from anndata import AnnData

EMBEDS = ("members", "embedding", "repeatable")
EDITS = (*EMBEDS, "single_cells", "editable", "expression", "known")
PROMISES = {
    "members": Promise(embedding.has_members),
    "embedding": Promise(embedding.embeds_every_cell, needs=("members",)),
    "repeatable": Promise(embedding.is_repeatable, needs=("members", "embedding")),
    "batch_size": Promise(embedding.ignores_batch_size, needs=EMBEDS),
    "single_cells": Promise(embedding.embeds_cells_one_by_one, needs=EMBEDS),
    "gene_order": Promise(embedding.ignores_gene_order, needs=EMBEDS),
    "untouched": Promise(embedding.leaves_cells_alone, needs=EMBEDS),
    "decoder": Promise(embedding.decodes, needs=EMBEDS),
    "saving": Promise(embedding.is_saved, needs=EMBEDS),
    "editable": Promise(editing.edits_or_refuses, needs=EMBEDS),
    "expression": Promise(editing.gives_expression, needs=EDITS[:-2]),
    "known": Promise(editing.knows_its_genes, needs=EDITS[:-1]),
    "noop": Promise(editing.leaves_noop_alone, needs=EDITS),
    "edits": Promise(editing.embeds_edits, needs=EDITS),
    "edits_untouched": Promise(editing.leaves_edits_alone, needs=EDITS),
    "edit_batches": Promise(editing.ignores_batches_of_edits, needs=EDITS),
    "hidden_layer": Promise(editing.stays_in_its_hidden_layer, needs=EDITS),
}


def check_encoder(
    encoder: Any,  # noqa: ANN401  (whether it is an `Encoder` is the question)
    adata: AnnData,
    *,
    tolerance: float = 1e-5,
    n_cells: int = 16,
    device: str = "cpu",
    skip: Collection[str] = (),
    seed: int = 0,
) -> ContractReport:
    """Check that an encoder keeps everything that `conceptome.core.Encoder` promises.

    All promises are tried before anything is raised; one that stands on a broken one is left out. By name:

    - ``members``: those of the protocol are there; ``embedding``: finite, for every cell in order, under the
      encoder's identity; ``repeatable``: a second call returns the same;
    - ``batch_size`` and ``gene_order`` change nothing; ``single_cells``: nor do the other cells of the call;
    - ``untouched``: the caller's AnnData; ``decoder``: expression in its genes, cell by cell; ``saving``:
      `save`, then `load`, give the same encoder;
    - ``editable``: all editing methods work, or all raise `NotEditableError`. If they work: ``expression`` is
      what `embed` reads; ``known`` marks the genes that it reads; ``noop``: an edit that changes nothing;
      ``edits`` equal the embedding of the edited cells; ``edits_untouched``; ``edit_batches``;
      ``hidden_layer``, where there is one, gives the same.

    Skip what an encoder does not promise: ``edits`` where an edit means something else than the edited cell,
    ``gene_order`` where ties go by column.

    Parameters
    ----------
    encoder
        The encoder.
    adata
        Cells that it can embed, such as ``cm.data.demo()``; some hundred are enough, since all are embedded.
    tolerance
        Admissible difference, as a share of the largest absolute value of the embedding.
    n_cells
        Cells that take part in the checks after the first; a wide or deep model wants few.
    device
        Device that the encoder runs on.
    skip
        Names of promises that the encoder does not make.
    seed
        Seed of the edits that are tried.

    Returns
    -------
    What was kept and what was skipped.

    Raises
    ------
    ContractError
        If a promise is broken; the message says which and how, and ``.report`` holds it all.
    InputError
        If `skip` names no promise, or there are fewer than two cells.

    Examples
    --------
    >>> import conceptome as cm
    >>> adata = cm.data.demo()
    >>> print(cm.testing.check_encoder(cm.encoders.fit("linear", adata), adata))
    linear keeps all 16 promises that were checked.
    """
    require_at_least("The number of cells to check with", min(adata.n_obs, n_cells), 2)
    subject = str(getattr(encoder, "name", type(encoder).__name__))
    trial = EncoderTrial(encoder, adata, tolerance=tolerance, n_cells=n_cells, device=device, seed=seed)
    return run_promises(subject, PROMISES, trial, skip=skip)
