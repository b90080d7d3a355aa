"""The plain way to embed edited cells: build each one and embed it. Any encoder may use it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from conceptome.core import Edits, Encoder, row_batches

if TYPE_CHECKING:
    from anndata import AnnData


def reencode_edits(
    encoder: Encoder, cells: AnnData, edits: Edits, *, batch_size: int = 4096, device: str = "cpu"
) -> Float[np.ndarray, "edits d_embed"]:
    """Embed edited cells by building every one of them.

    This is the truth against which faster ways are tested, and the default for encoders that have none.

    Parameters
    ----------
    encoder
        Its ``embed`` must read what its ``expression`` returns, such as raw counts.
    cells
        Cells that are edited; an edited cell keeps its id, which may stand for many then.
    edits
        New values; they must be values that ``embed`` accepts, so whole numbers where it reads raw counts.
    batch_size
        Edited cells at a time, rounded up to whole blocks.
    device
        Device that ``embed`` runs on.

    Returns
    -------
    ``(n_edits, d_embed)``, float64, in the precision of ``embed``.
    """
    from anndata import AnnData

    expression = encoder.expression(cells)
    result = np.empty((len(edits), encoder.d_embed))
    for batch in row_batches(len(edits), batch_size):
        rows = edits.cells[batch]
        bounds = edits.indptr[batch.start : batch.stop + 1]
        changes = slice(bounds[0], bounds[-1])
        edited = expression[rows].tolil()
        edited[np.repeat(np.arange(len(rows)), np.diff(bounds)), edits.genes[changes]] = edits.values[changes]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Observation names are not unique")
            part = AnnData(X=edited.tocsr(), obs=cells.obs.iloc[rows], var=cells.var)
        result[batch] = encoder.embed(part, batch_size=batch_size, device=device).values
    return result
