"""Which column of the data each gene of a model is."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Bool, Int

from conceptome.core import InputError, Names, log_once
from conceptome.data.genes import GeneNaming, ensembl_ids, gene_naming, strip_version, symbols
from conceptome.data.wording import some

logger = logging.getLogger(__name__)

REFUSE_BELOW = 0.2
WARN_BELOW = 0.8


@dataclass(frozen=True, eq=False)
class Alignment:
    """Genes of a model found among the columns of an AnnData."""

    columns: Int[np.ndarray, " model_genes"]
    """Column of each gene of the model; -1 where the data lack it."""
    known: Bool[np.ndarray, " genes"]
    """Whether the model reads each column of the data."""
    missing: Names
    """Genes of the model that the data lack."""
    dropped: Names
    """Genes of the data that the model does not know, as in ``var_names``."""
    naming: GeneNaming
    """The naming in which both were compared."""
    overlap: float
    """Matched genes / all genes of the model, or of the smaller of the two lists."""

    @property
    def n_matched(self) -> int:
        """Number of genes found on both sides."""
        return int(self.known.sum())

    def describe(self) -> str:
        """Say in one sentence how many genes were matched."""
        return (
            f"{self.n_matched:,} of the model's {len(self.columns):,} genes are in the data (matched by "
            f"{self.naming}); {len(self.dropped):,} of the data's {len(self.known):,} genes are not used."
        )


def align(
    model_genes: Names, adata: AnnData, *, relative_to: Literal["model", "smaller"] = "model"
) -> Alignment:
    """Find the column of the data for each gene of a model.

    Names are compared in the model's naming; where the data use another one, a column of ``var`` translates.
    Versions of Ensembl ids are ignored on both sides.

    Parameters
    ----------
    model_genes
        Genes that the model knows, each once.
    adata
        Data with symbols or Ensembl ids as ``var_names``, or in a column of ``var``.
    relative_to
        What the overlap is a share of: the model's genes (for a model fitted on a panel), or the smaller of
        the model's and the data's lists (for a vocabulary of all genes).

    Returns
    -------
    The columns, what is missing on either side, and the overlap.

    Raises
    ------
    InputError
        If two columns, or two genes of the model, bear the same name, or the overlap is below 20%.
    """
    wanted = strip_version(model_genes)
    if not wanted.is_unique:
        msg = f"The model lists genes more than once: {some(wanted[wanted.duplicated()].unique())}."
        raise InputError(msg)
    naming = gene_naming(wanted)
    names = _names_as(naming, adata)
    _require_unambiguous(names, wanted)
    first = ~names.duplicated()
    position = pd.Series(np.flatnonzero(first), index=names[first])
    columns = position.reindex(wanted, fill_value=-1).to_numpy(dtype=np.int64)
    known = np.zeros(adata.n_vars, dtype=bool)
    known[columns[columns >= 0]] = True
    of = len(wanted) if relative_to == "model" else min(len(wanted), adata.n_vars)
    alignment = Alignment(
        columns=columns,
        known=known,
        missing=model_genes[columns < 0],
        dropped=adata.var_names[~known],
        naming=naming,
        overlap=float(known.sum()) / max(of, 1),
    )
    _judge(alignment, wanted, names)
    return alignment


def look_up(vocabulary: Names, names: Names) -> Int[np.ndarray, " genes"]:
    """Find the columns of the data in a vocabulary of all genes.

    Names are compared as they are; several columns may bear one name.

    Parameters
    ----------
    vocabulary
        Genes that a model knows, each once.
    names
        Name of each column of the data, in the naming of the vocabulary; empty where there is none.

    Returns
    -------
    Position of each column's name in `vocabulary`, -1 where it is not there.

    Raises
    ------
    InputError
        If fewer than 20% of the columns (or of the vocabulary, if that is smaller) are found.
    """
    position: Int[np.ndarray, " genes"] = vocabulary.get_indexer(names)
    n_found = int((position >= 0).sum())
    overlap = n_found / max(min(len(vocabulary), len(names)), 1)
    described = (
        f"{n_found:,} of the data's {len(names):,} genes are among the {len(vocabulary):,} that the model "
        f"knows. That is an overlap of {overlap:.1%}."
    )
    if overlap < REFUSE_BELOW:
        raise InputError(_refusal(described, vocabulary, names))
    if overlap < WARN_BELOW:
        log_once(logger, logging.WARNING, f"{described} Not read: {some(names[position < 0])}.")
    return position


def _names_as(naming: GeneNaming, adata: AnnData) -> Names:
    if naming == "symbol":
        return symbols(adata)
    return ensembl_ids(adata) if naming == "ensembl" else pd.Index(adata.var_names)


def _require_unambiguous(names: Names, wanted: Names) -> None:
    repeated = names[names.duplicated()].unique()
    ambiguous = repeated[repeated.isin(wanted)]
    if len(ambiguous):
        msg = (
            f"{len(ambiguous):,} genes that the model needs name more than one column of the data: "
            f"{some(ambiguous)}. Sum those columns or keep one of each."
        )
        raise InputError(msg)


def _judge(alignment: Alignment, wanted: Names, names: Names) -> None:
    share = f"{alignment.describe()} That is an overlap of {alignment.overlap:.1%}."
    if alignment.overlap < REFUSE_BELOW:
        raise InputError(_refusal(share, wanted, names))
    if alignment.overlap < WARN_BELOW:
        missing = f"{share} Missing from the data: {some(alignment.missing)}."
        log_once(logger, logging.WARNING, missing)


def _refusal(described: str, wanted: Names, names: Names) -> str:
    n_matched = int(names.isin(wanted).sum())
    ignoring_case = int(names.str.upper().isin(wanted.str.upper()).sum())
    species = f" Ignoring case, {ignoring_case:,} match: are data and model of one species?"
    return (
        f"{described} At least {REFUSE_BELOW:.0%} are needed. The model has names such as "
        f"{some(wanted, shown=3)}; the data {some(names, shown=3)}."
        f"{species if ignoring_case > 2 * n_matched else ''}"
    )
