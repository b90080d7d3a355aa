"""Fit principal components to log-normalised counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from conceptome.core import Csr, InputError, Names, require_at_least, require_choice, require_positive
from conceptome.data import raw_counts
from conceptome.encoders.cells import read_x
from conceptome.encoders.normalise import log_normalise

if TYPE_CHECKING:
    from anndata import AnnData

Edit: TypeAlias = Literal["values", "normalised"]

MOST_COMPONENTS = 50


@dataclass(frozen=True)
class LinearOptions:
    """Settings of the linear encoder.

    Raises
    ------
    InputError
        If a value is not one of its choices or out of its range.
    """

    n_components: int | None = None
    """Principal components to fit, the length of the embedding; None = 50, fewer on tiny data."""
    target_sum: float | None = 1e4
    """Total to which every cell is scaled, over the genes that the encoder knows; None = no scaling."""
    log1p: bool = True
    """Take log(1 + x) after scaling. Without scaling and log the encoder is the bare map W x + b of ``X``."""
    edit: Edit = "values"
    """``"values"``: a count is edited and the total recomputed, so that all genes move. ``"normalised"``: one
    normalised value is edited, nothing else moves, and values are given in normalised units."""

    def __post_init__(self) -> None:
        require_choice("edit", self.edit, get_args(Edit))
        if self.n_components is not None:
            require_at_least("n_components", self.n_components, 1)
        if self.target_sum is not None:
            require_positive("target_sum", self.target_sum)

    def read(self, adata: AnnData) -> Csr:
        """Return raw counts, or ``X`` as it is for the bare map; ``(n_cells, n_genes)``, float64."""
        if self.target_sum is None and not self.log1p:
            return read_x(adata)
        return raw_counts(adata).astype(np.float64)

    def normalise(self, counts: Csr, names: Names) -> Csr:
        """Scale and take the logarithm; `names` are the cell ids, for the message."""
        return log_normalise(counts, names, target_sum=self.target_sum, log1p=self.log1p)


class PrincipalComponents(NamedTuple):
    """What a fit yields."""

    weights: Float[np.ndarray, "d_embed genes"]
    """Orthonormal loadings, in each component the largest positive."""
    centre: Float[np.ndarray, " genes"]
    """Mean normalised expression."""
    genes: Names


def fit_linear(adata: AnnData, options: LinearOptions, *, seed: int) -> PrincipalComponents:
    """Compute principal components of the genes that have counts.

    Parameters
    ----------
    adata
        Cells with raw counts.
    options
        Settings.
    seed
        Start of the iterative eigensolver (ARPACK, run to machine precision).

    Returns
    -------
    The components, the mean and the genes.

    Raises
    ------
    InputError
        If there are too few cells or genes, or a cell is empty.
    """
    from sklearn.decomposition import PCA

    counts = options.read(adata)
    used = np.flatnonzero(np.bincount(counts.indices, minlength=counts.shape[1]))
    most = min(adata.n_obs, len(used)) - 1
    n_components = min(MOST_COMPONENTS, most) if options.n_components is None else options.n_components
    if not 1 <= n_components <= most:
        msg = (
            f"LinearOptions(n_components={options.n_components}) needs more than that many cells and genes; "
            f"found {adata.n_obs} cells and {len(used)} genes with counts. Ask for fewer components."
        )
        raise InputError(msg)
    values = options.normalise(sp.csr_array(counts[:, used]), adata.obs_names)
    pca = PCA(n_components, svd_solver="arpack", random_state=seed).fit(values)
    return PrincipalComponents(pca.components_, np.asarray(pca.mean_), adata.var_names[used])
