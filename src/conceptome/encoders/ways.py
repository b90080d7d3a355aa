"""Gene columns of the data and genes of a model, on the straight way from one cell to another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def to_columns(
    values: Float[np.ndarray, "rows model_genes"], columns: Int[np.ndarray, " model_genes"], *, n_genes: int
) -> Float[np.ndarray, "rows genes"]:
    """Arrange numbers per gene of a model in the columns of the data.

    Parameters
    ----------
    values
        One number per row and gene of the model.
    columns
        Column of each gene of the model, -1 where the data lack it.
    n_genes
        Number of columns of the data.

    Returns
    -------
    The numbers in the columns of the data; 0 in columns that the model does not read.
    """
    result = np.zeros((len(values), n_genes))
    present = columns >= 0
    result[:, columns[present]] = values[:, present]
    return result
