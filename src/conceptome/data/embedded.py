"""The demo: 700 immune cells that scanpy ships, with their raw counts restored."""

from __future__ import annotations

import warnings

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from conceptome.core import InputError

TARGET_SUM = 1e4
TOLERANCE = 0.00051
"""scanpy stores the logarithms with three decimals; the largest count, 259, is then off by 0.13 at most."""


def demo() -> AnnData:
    """Return 700 peripheral blood cells with raw counts of 765 genes.

    The cells are a sample of the 68,000 of [Zheng17]_ in the file that scanpy ships; nothing is downloaded.
    The file holds log1p CP10k in ``raw`` and each cell's total over all genes in ``obs["n_counts"]``, so that
    the counts come back exactly by rounding.

    Returns
    -------
    AnnData with CSR float32 counts in ``X``; ``obs`` has ``cell_type`` (ten populations), ``louvain`` and
    ``phase``; ``obsm`` has ``X_umap``.

    Raises
    ------
    InputError
        If the installed scanpy ships another file.

    References
    ----------
    .. [Zheng17] Massively parallel digital transcriptional profiling of single cells, Nat Commun 8, 14049.
    """
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        packaged = sc.datasets.pbmc68k_reduced()
    obs = packaged.obs[["bulk_labels", "louvain", "phase"]].rename(columns={"bulk_labels": "cell_type"})
    return AnnData(
        X=_restore_counts(packaged),
        obs=obs,
        var=packaged.raw.var[[]],
        obsm={"X_umap": np.asarray(packaged.obsm["X_umap"])},
    )


def _restore_counts(packaged: AnnData) -> sp.csr_matrix:
    logs = packaged.raw.X.astype(np.float64)
    scale = np.repeat(packaged.obs["n_counts"].to_numpy(dtype=np.float64) / TARGET_SUM, np.diff(logs.indptr))
    counts = np.rint(np.expm1(logs.data) * scale)
    residual = float(np.abs(np.log1p(counts / scale) - logs.data).max())
    if residual > TOLERANCE or counts.min() < 1:
        msg = (
            f"scanpy's pbmc68k_reduced does not give back whole counts: log1p CP10k differs by up to "
            f"{residual:.3g}, expected {TOLERANCE}. Install scanpy 1.11, or use your own data."
        )
        raise InputError(msg)
    restored = sp.csr_matrix((counts.astype(np.float32), logs.indices, logs.indptr), shape=logs.shape)
    restored.sort_indices()
    return restored
