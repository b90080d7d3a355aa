"""What Geneformer's dictionaries say of genes, and which gene each column of the data is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from conceptome.core import InputError, Names, log_once
from conceptome.data import ensembl_ids, gene_column, look_up, strip_version, symbols

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger(__name__)

CLS, EOS = "<cls>", "<eos>"


@dataclass(frozen=True, eq=False)
class GeneformerVocabulary:
    """The dictionaries that belong to a model."""

    tokens: Mapping[str, int]
    """Token of each Ensembl id and special token."""
    medians: Mapping[str, float]
    """Median of each gene's non-zero values in the corpus; a gene without one is not read."""
    mapping: Mapping[str, str] | None = None
    """Ensembl id to use in the place of an id, itself where it is current; ids that are missing are not read.
    None: every id stands for itself."""
    symbols: Mapping[str, str] | None = None
    """Ensembl id of each symbol, for data without Ensembl ids."""

    @cached_property
    def genes(self) -> Names:
        """Ensembl ids of the genes that can be read, in the order of their tokens."""
        both = self.tokens.keys() & self.medians.keys()
        return pd.Index(sorted(both, key=self.tokens.__getitem__), dtype=object)

    @cached_property
    def gene_tokens(self) -> Int[np.ndarray, " model_genes"]:
        """Token of each of `genes`."""
        return np.array([self.tokens[gene] for gene in self.genes], dtype=np.int64)

    @cached_property
    def gene_medians(self) -> Float[np.ndarray, " model_genes"]:
        """Median of each of `genes`."""
        return np.array([self.medians[gene] for gene in self.genes], dtype=np.float64)

    @property
    def special(self) -> tuple[int, int] | None:
        """Tokens of ``<cls>`` and ``<eos>``, between which V2 puts a cell; None for V1."""
        return (self.tokens[CLS], self.tokens[EOS]) if CLS in self.tokens and EOS in self.tokens else None

    def locate(self, adata: AnnData, *, gene_key: str | None) -> Int[np.ndarray, " genes"]:
        """Find which gene each column of the data is, as the published tokeniser does.

        Parameters
        ----------
        adata
            Data; an id with a version, such as ``"ENSG00000104408.14"``, is no id of the model.
        gene_key
            Column of ``var`` with Ensembl ids; None looks for them in ``var_names`` and the usual columns.

        Returns
        -------
        Position in `genes`, -1 for columns that are not read; several columns may be one gene.

        Raises
        ------
        InputError
            If there are no Ensembl ids, most that could be read carry a version, or fewer than 20% are known.
        """
        names = self._names(adata, gene_key)
        ids, genes = self._ids
        _mind_versions(names, ids)
        position = look_up(ids, names)
        return np.where(position >= 0, genes[position], -1)

    @cached_property
    def _ids(self) -> tuple[Names, Int[np.ndarray, " ids"]]:
        """Ids that stand for a gene, and the position in `genes` of each."""
        if self.mapping is None:
            return self.genes, np.arange(len(self.genes))
        position = self.genes.get_indexer(pd.Index(list(self.mapping.values()), dtype=object))
        return pd.Index(list(self.mapping), dtype=object)[position >= 0], position[position >= 0]

    def _names(self, adata: AnnData, gene_key: str | None) -> Names:
        if gene_key is not None:
            return gene_column(adata, gene_key).str.upper()
        try:
            return ensembl_ids(adata, keep_version=True).str.upper()
        except InputError:
            if self.symbols is None:
                raise
        return self._ids_of_symbols(symbols(adata))

    def _ids_of_symbols(self, names: Names) -> Names:
        table = self.symbols or {}
        n_found = sum(name in table for name in names)
        log_once(
            logger,
            logging.INFO,
            f"The data name genes by symbols; the model's table of symbols has an Ensembl id for {n_found:,} "
            f"of {len(names):,}.",
        )
        return pd.Index([table.get(name, name) for name in names], dtype=object)


def _mind_versions(names: Names, known: Names) -> None:
    stripped = strip_version(names)
    found_as_is = names.isin(known)
    lost = (stripped != names) & stripped.isin(known) & ~found_as_is
    if not lost.any():
        return
    found = f"{lost.sum():,} of {len(names):,} Ensembl ids carry a version (such as {names[lost][0]})"
    mend = "adata.var['id'] = conceptome.data.ensembl_ids(adata), and gene_key='id'"
    if lost.sum() > found_as_is.sum():
        msg = f"{found}, which Geneformer does not read. Remove the versions: {mend}."
        raise InputError(msg)
    log_once(
        logger,
        logging.WARNING,
        f"{found} and are not read, as in the published tokeniser. To read them: {mend}.",
    )
