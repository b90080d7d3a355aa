"""Fixed-size blocks: the reason why a result does not depend on the batch size.

Matrix products round differently for different numbers of rows. Work over rows is therefore always cut into
blocks of one size, the last one padded with zeros; a batch size may only group whole blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Shaped

from conceptome.core.options import require_at_least

BLOCK_ROWS = 512


def map_blocks(
    function: Callable[[np.ndarray], np.ndarray],
    rows: Shaped[np.ndarray, "rows ..."],
    *,
    block_rows: int = BLOCK_ROWS,
) -> Float[np.ndarray, "rows ..."]:
    """Apply a row-wise function in blocks of exactly `block_rows` rows.

    Parameters
    ----------
    function
        Maps ``(block_rows, ...)`` to ``(block_rows, ...)``, each row on its own.
    rows
        Input, ``(n_rows, ...)``.
    block_rows
        Rows in a block; the last block is padded with zeros and its padding dropped from the result.

    Returns
    -------
    The stacked results, ``(n_rows, ...)``.
    """
    n_rows = rows.shape[0]
    results = []
    for start in range(0, max(n_rows, 1), block_rows):
        block = rows[start : start + block_rows]
        if block.shape[0] < block_rows:
            padding = np.zeros((block_rows - block.shape[0], *rows.shape[1:]), dtype=rows.dtype)
            block = np.concatenate([block, padding])
        results.append(function(block))
    return np.concatenate(results)[:n_rows]


def row_batches(n_rows: int, batch_size: int) -> Iterator[slice]:
    """Cut rows into batches of whole blocks.

    Parameters
    ----------
    n_rows
        Number of rows.
    batch_size
        Rows at a time, rounded up to whole blocks of `BLOCK_ROWS`.

    Yields
    ------
    Consecutive slices; none if there are no rows.

    Raises
    ------
    InputError
        If the batch size is below 1.
    """
    require_at_least("batch_size", batch_size, 1)
    step = -(-batch_size // BLOCK_ROWS) * BLOCK_ROWS
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))
