"""How many genes terms share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from conceptome.core import require_choice

Overlap: TypeAlias = Literal["jaccard", "overlap"]


def gene_overlap(
    genes: Sequence[Collection[str]], *, measure: Overlap = "jaccard"
) -> Float[np.ndarray, "terms terms"]:
    """Compare terms by the genes that they share.

    Parameters
    ----------
    genes
        Genes of each term.
    measure
        ``"jaccard"``: shared genes of all genes of both; ``"overlap"``, the overlap coefficient: shared genes
        of those of the smaller.

    Returns
    -------
    Terms x terms, symmetric, 0 to 1. A term without genes shares none, not even with itself.

    Raises
    ------
    InputError
        If the measure is unknown.
    """
    require_choice("measure", measure, get_args(Overlap))
    distinct = [dict.fromkeys(term) for term in genes]
    number = {gene: at for at, gene in enumerate(dict.fromkeys(gene for term in distinct for gene in term))}
    columns = np.array([number[gene] for term in distinct for gene in term], dtype=np.int64)
    size = np.array([len(term) for term in distinct], dtype=np.int64)
    indptr = np.concatenate([[0], np.cumsum(size)])
    ones = np.ones(len(columns))
    member = sp.csr_array((ones, columns, indptr), shape=(len(genes), max(len(number), 1)))
    shared = (member @ member.T).toarray()
    of = np.minimum.outer(size, size) if measure == "overlap" else np.add.outer(size, size) - shared
    return np.asarray(np.divide(shared, of, out=np.zeros_like(shared), where=of > 0))
