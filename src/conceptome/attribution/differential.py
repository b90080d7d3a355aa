"""Differential expression of active against inactive cells: the correlational baseline of attribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float
from scipy import special
from scipy.stats import false_discovery_control, norm

from conceptome.core import Activations, Csr, DifferentialExpression, InputError
from conceptome.counterfactuals.inputs import chosen_concepts
from conceptome.data import raw_counts

Matrix: TypeAlias = Float[np.ndarray, "concepts genes"]
Sizes: TypeAlias = tuple[Float[np.ndarray, "concepts 1"], Float[np.ndarray, "concepts 1"]]
"""Cells in which each concept is active, and in which it is not."""

GENE_BLOCK = 1024
TARGET_SUM = 1e4


def differential_expression(
    adata: AnnData,
    activations: Activations,
    *,
    concepts: Sequence[int] | None = None,
    layer: str | None = None,
    pseudocount: float = 0.01,
) -> DifferentialExpression:
    """Compare expression in the cells that activate each concept with that in all others.

    Values are log1p CP10k. The Wilcoxon rank-sum test is two-sided and tie-corrected, without continuity
    correction; a gene's ranks over all cells are computed once and serve every concept. Welch's t-test
    stands beside it.

    Parameters
    ----------
    adata
        The cells, with raw counts.
    activations
        Activations of the same cells.
    concepts
        Which concepts to compare; all by default.
    layer
        Layer that holds the counts; found by itself when None.
    pseudocount
        Added to both mean CP10k before the log2 ratio.

    Returns
    -------
    Concepts x genes. NaN where a concept is active in every cell or in none; Welch's t is NaN too where one
    side has a single cell. A gene with the same value in every cell has z = t = 0 and p = 1.

    Raises
    ------
    InputError
        If cells differ or there are no raw counts.
    DictionaryMismatchError
        If the dictionary has no such concept.
    """
    if not adata.obs_names.equals(activations.cell_ids):
        found = f"adata has {adata.n_obs} cells, the activations {len(activations.cell_ids)}"
        msg = f"{found}, and the ids or their order differ. Pass the cells that were encoded, in their order."
        raise InputError(msg)
    chosen = np.array(chosen_concepts(activations, concepts), dtype=np.int64)
    active = sp.csr_array((activations.values > 0).T.tocsr()[chosen]).astype(np.float64)
    counts = raw_counts(adata, layer=layer)
    per_cell = TARGET_SUM / np.maximum(np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel(), 1.0)
    blocks = [
        _compare(counts[:, start : start + GENE_BLOCK], per_cell, active, pseudocount)
        for start in range(0, adata.n_vars, GENE_BLOCK)
    ]
    fold, z, t, p_t = (np.concatenate(parts, axis=1) for parts in zip(*blocks, strict=True))
    p = np.where(np.isnan(z), np.nan, 2 * norm.sf(np.abs(z)))
    return DifferentialExpression(
        log_fold_change=fold,
        score=z,
        p=p,
        q=_adjust(p),
        t=t,
        p_t=p_t,
        q_t=_adjust(p_t),
        concepts=chosen,
        genes=adata.var_names,
        dictionary_id=activations.dictionary_id,
    )


def _compare(
    counts: Csr, per_cell: Float[np.ndarray, " cells"], active: Csr, pseudocount: float
) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """Return log2 fold change, Wilcoxon z, Welch t and its p for a block of genes."""
    scaled = sp.csc_array(sp.diags_array(per_cell) @ counts)
    n_active = np.asarray(active.sum(axis=1)).reshape(-1, 1)
    n_inactive = counts.shape[0] - n_active
    sizes = np.where(n_active > 0, n_active, np.nan), np.where(n_inactive > 0, n_inactive, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # constant genes divide 0 by 0
        inside, outside = (total / size for total, size in zip(_totals(active, scaled), sizes, strict=True))
        fold = np.log2((inside + pseudocount) / (outside + pseudocount))
        scaled.data = np.log1p(scaled.data)
        return fold, _wilcoxon(scaled, active, sizes), *_welch(scaled, active, sizes)


def _totals(active: Csr, values: sp.csc_array) -> tuple[Matrix, Matrix]:
    """Sum values over the active and over the inactive cells, concepts x genes."""
    inside = (active @ values).toarray()
    return inside, np.asarray(values.sum(axis=0))[None, :] - inside


def _wilcoxon(values: sp.csc_array, active: Csr, sizes: Sizes) -> Matrix:
    """Compute the tie-corrected z of the rank sum of the active cells; values are >= 0."""
    n_cells = values.shape[0]
    above_zero, zero_rank, ties = _ranks(values)
    rank_sum = (active @ above_zero).toarray() + sizes[0] * zero_rank
    expected = sizes[0] * (n_cells + 1) / 2
    correction = n_cells + 1 - ties / (n_cells * (n_cells - 1.0))
    deviation = np.sqrt(sizes[0] * sizes[1] * np.maximum(correction, 0) / 12)
    z = (rank_sum - expected) / deviation
    constant = np.isclose(correction, 0, atol=1e-9) & (sizes[0] > 0) & (sizes[1] > 0)
    return np.where(constant, 0.0, z)


def _ranks(
    values: sp.csc_array,
) -> tuple[sp.csc_array, Float[np.ndarray, " genes"], Float[np.ndarray, " genes"]]:
    """Rank each gene over all cells: rank above that of zero (sparse), rank of zero, sum of t^3 - t."""
    n_cells, n_genes = values.shape
    n_stored = np.diff(values.indptr)
    n_zero = n_cells - n_stored
    gene = np.repeat(np.arange(n_genes), n_stored)
    order = np.lexsort((values.data, gene))
    sorted_values = values.data[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (np.diff(gene) != 0) | (np.diff(sorted_values) != 0)
    first = np.flatnonzero(is_first)
    size = np.diff(np.append(first, len(order)))
    group_gene = gene[first]
    rank = n_zero[group_gene] + first - values.indptr[group_gene] + (size + 1) / 2
    zero_rank = (n_zero + 1) / 2
    above_zero = values.copy()
    above_zero.data[order] = np.repeat(rank - zero_rank[group_gene], size)
    n_tied = size.astype(np.float64)
    ties = np.bincount(group_gene, weights=n_tied**3 - n_tied, minlength=n_genes)
    return above_zero, zero_rank, ties + n_zero.astype(np.float64) ** 3 - n_zero


def _welch(values: sp.csc_array, active: Csr, sizes: Sizes) -> tuple[Matrix, Matrix]:
    """Compute Welch's t and its two-sided p."""
    totals, squares = _totals(active, values), _totals(active, values**2)
    means = [total / n for total, n in zip(totals, sizes, strict=True)]
    parts = [  # squared standard error of each mean
        np.where(n > 1, np.maximum(square - n * mean**2, 0) / (n - 1) / n, np.nan)
        for square, mean, n in zip(squares, means, sizes, strict=True)
    ]
    error = parts[0] + parts[1]
    freedom = error**2 / sum(part**2 / (n - 1) for part, n in zip(parts, sizes, strict=True))
    constant = (error == 0) & (means[0] == means[1])
    t = np.where(constant, 0.0, (means[0] - means[1]) / np.sqrt(error))
    return t, np.where(constant, 1.0, 2 * special.stdtr(freedom, -np.abs(t)))


def _adjust(p: Matrix) -> Matrix:
    """Apply Benjamini-Hochberg within each concept; rows are measured as a whole or not at all."""
    q = np.full_like(p, np.nan)
    measured = ~np.isnan(p).any(axis=1)
    q[measured] = false_discovery_control(p[measured], axis=1)
    return q
