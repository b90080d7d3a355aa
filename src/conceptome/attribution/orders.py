"""Orders in which genes are substituted, and the edits that substitute them one after the other."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from conceptome.core import Edits, Names

EVERY_COUNT_UP_TO = 20


def ranks_by_name(genes: Names) -> Int[np.ndarray, " genes"]:
    """Return the place of every column in the order of names."""
    by_name = np.empty(len(genes), dtype=np.int64)
    by_name[genes.argsort()] = np.arange(len(genes))
    return by_name


def drawn_keys(
    by_name: Int[np.ndarray, " genes"], n_draws: int, *, rng: np.random.Generator
) -> Float[np.ndarray, "draws genes"]:
    """Draw random keys for genes, which follow the genes when their columns are permuted.

    Parameters
    ----------
    by_name
        See `ranks_by_name`.
    n_draws
        Number of independent keys per gene.
    rng
        Source of randomness.

    Returns
    -------
    Keys between 0 and 1.
    """
    return rng.random((n_draws, len(by_name)))[:, by_name]


def gene_orders(
    scores: Float[np.ndarray, "methods genes"],
    keys: Float[np.ndarray, "draws genes"],
    *,
    among: Int[np.ndarray, " some"],
    n_genes: int,
) -> Int[np.ndarray, "orders chosen"]:
    """Order genes by score, the largest first, and at random.

    Parameters
    ----------
    scores
        One row per method, without NaN.
    keys
        The first row decides between equal scores; each further row is a random order of its own.
    among
        Genes to order.
    n_genes
        How many to keep.

    Returns
    -------
    The first `n_genes` genes of each order: those of the methods, then the random ones.
    """
    by_score = [among[np.lexsort((keys[0, among], -row[among]))] for row in scores]
    at_random = [among[np.argsort(row[among])] for row in keys[1:]]
    return np.stack([order[:n_genes] for order in (*by_score, *at_random)])


def counts_between(n_genes: int, every: int) -> Int[np.ndarray, " counts"]:
    """Choose after how many genes a curve is evaluated.

    Parameters
    ----------
    n_genes
        Length of the curve.
    every
        Distance of the counts beyond 20.

    Returns
    -------
    0, 1 ... 20, then every `every`-th count, and the last; ascending.
    """
    dense = np.arange(min(EVERY_COUNT_UP_TO, n_genes) + 1)
    return np.unique(np.concatenate([dense, np.arange(EVERY_COUNT_UP_TO, n_genes, every), [n_genes]]))


def cumulative_edits(
    cell: int,
    values: Float[np.ndarray, " genes"],
    orders: Int[np.ndarray, "orders chosen"],
    *,
    counts: Int[np.ndarray, " counts"],
) -> Edits:
    """Build the edits that give one cell the first so many genes of each order.

    Parameters
    ----------
    cell
        The cell to edit.
    values
        What it is given, for every gene.
    orders
        Genes in the order of their substitution.
    counts
        Numbers of genes.

    Returns
    -------
    One edit per order and count, in row-major order.
    """
    taken = np.arange(orders.shape[1]) < counts[:, None]
    shape = (len(orders), *taken.shape)
    genes = np.broadcast_to(orders[:, None, :], shape)[np.broadcast_to(taken, shape)]
    indptr = np.concatenate([[0], np.cumsum(np.tile(counts, len(orders)))])
    return Edits(np.full(len(indptr) - 1, cell), indptr, genes, values[genes])
