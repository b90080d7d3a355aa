"""Cell-cycle phase from marker genes, where the data do not say it."""

from __future__ import annotations

from importlib import resources

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from conceptome.core import InputError
from conceptome.data import raw_counts, symbols_or_names
from conceptome.encoders.normalise import log_normalise
from conceptome.evaluation.labels import Labels

PHASE = "phase"
MIN_GENES = 20
MARKERS = "cell_cycle_tirosh2016.tsv"


def cell_cycle_phase(adata: AnnData, *, seed: int = 0) -> Labels:
    """Tell the cell-cycle phase of each cell from its expression of known genes.

    Scores are those of `scanpy.tl.score_genes_cell_cycle` [Satija15]_ on log1p CP10k with the genes of
    [Tirosh16]_, which come with the package: S or G2M, whichever scores higher, G1 where neither is above 0.

    Parameters
    ----------
    adata
        Cells with raw counts and with human gene symbols.
    seed
        Decides the control genes of the scores.

    Returns
    -------
    ``"G1"``, ``"S"`` or ``"G2M"`` for each cell.

    Raises
    ------
    InputError
        If fewer than 20 genes of a phase have counts, or there are no raw counts.

    References
    ----------
    .. [Tirosh16] Dissecting the multicellular ecosystem of metastatic melanoma by single-cell RNA-seq,
       Science 352:189.
    .. [Satija15] Spatial reconstruction of single-cell gene expression data, Nature Biotechnology 33:495.
    """
    import scanpy as sc

    counts = raw_counts(adata).astype(np.float64)
    symbols = pd.Index(symbols_or_names(adata).astype(str))
    usable = (counts.sum(axis=0) > 0) & ~symbols.duplicated()
    genes = _measured_markers(symbols[usable])
    values = log_normalise(counts, adata.obs_names, target_sum=1e4, log1p=True)[:, np.flatnonzero(usable)]
    cells = ad.AnnData(sp.csr_matrix(values), var=pd.DataFrame(index=symbols[usable]))
    cells.obs_names = adata.obs_names
    sc.tl.score_genes_cell_cycle(cells, s_genes=genes["S"], g2m_genes=genes["G2M"], random_state=seed)
    phases: Labels = cells.obs[PHASE].astype(str).astype(object).rename(PHASE)
    return phases


def _measured_markers(measured: pd.Index[str]) -> dict[str, list[str]]:
    """Return the markers of each phase among the measured genes, under their old or their current symbol."""
    path = resources.files("conceptome.evaluation").joinpath("gene_lists", MARKERS)
    with path.open(encoding="utf-8") as file:
        table = pd.read_csv(file, sep="\t", comment="#")
    names = table["symbol"].where(table["symbol"].isin(measured), table["current"])
    names = names[names.isin(measured)]
    found = {phase: names[table["phase"] == phase].tolist() for phase in ("S", "G2M")}
    for phase, genes in found.items():
        if len(genes) < MIN_GENES:
            n_known = int((table["phase"] == phase).sum())
            msg = (
                f"The cell-cycle phase cannot be told: {len(genes)} of {n_known} known genes of phase "
                f"{phase} have counts, expected at least {MIN_GENES}. Use data with more genes, or put the "
                f"phase into obs[{PHASE!r}]."
            )
            raise InputError(msg)
    return found
