"""What an intervention edits, and what it puts there: sets of genes, and the means of inactive cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float, Int

from conceptome.core import Activations, Dictionary, DictionaryMismatchError, Encoder, InputError, Names


def refuse_idle_sets(gene_sets: Mapping[str, Sequence[str]] | None, intervention: str) -> None:
    """Refuse sets of genes where the intervention edits none.

    Parameters
    ----------
    gene_sets
        Names of genes by name of the set.
    intervention
        What happens to a gene.

    Raises
    ------
    InputError
        If there are sets and the intervention is not ``"gene_set"``.
    """
    if gene_sets is not None and intervention != "gene_set":
        msg = f"gene_sets go with intervention='gene_set', not with {intervention!r}. Leave one of them out."
        raise InputError(msg)


def set_members(
    gene_sets: Mapping[str, Sequence[str]] | None, genes: Names
) -> tuple[Names, tuple[Int[np.ndarray, " _"], ...]]:
    """Find the genes of each set among those of the data.

    Parameters
    ----------
    gene_sets
        Names of genes by name of the set; those that the data lack are left out.
    genes
        Genes of the data.

    Returns
    -------
    The names of the sets, and the columns of each set in increasing order.

    Raises
    ------
    InputError
        If there are no sets, or none has a gene of the data.
    """
    if not gene_sets:
        msg = "intervention='gene_set' edits sets of genes, but gene_sets is empty. Pass {name: [gene, ...]}."
        raise InputError(msg)
    found = [np.unique(genes.get_indexer_for(pd.Index(members).unique())) for members in gene_sets.values()]
    members = tuple(columns[columns >= 0].astype(np.int64) for columns in found)
    if not any(len(columns) for columns in members):
        first = next(iter(gene_sets.values()))
        named, held = (", ".join(map(str, list(some)[:3])) for some in (first, genes))
        msg = (
            f"No gene of the {len(gene_sets)} sets ({named} ...) is in adata.var_names ({held} ...). "
            "Name the genes as the data do."
        )
        raise InputError(msg)
    return pd.Index(list(gene_sets), dtype=object), members


def inactive_means(
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    concepts: Int[np.ndarray, " concepts"],
    activations: Activations | None,
) -> dict[int, Float[np.ndarray, " genes"]]:
    """Average what the encoder reads over the cells in which each concept is inactive.

    Parameters
    ----------
    adata
        The cells.
    encoder
        The encoder.
    dictionary
        The dictionary.
    concepts
        The concepts.
    activations
        Activations of the cells; None encodes them.

    Returns
    -------
    Mean of every gene by concept.

    Raises
    ------
    DictionaryMismatchError
        If the activations are of another dictionary.
    InputError
        If they are of other cells.
    """
    if activations is None:
        activations = dictionary.encode(encoder.embed(adata))
    if activations.dictionary_id != dictionary.dictionary_id:
        found = f"activations come from dictionary {activations.dictionary_id}"
        msg = f"{found}, not from {dictionary.dictionary_id}. Encode the cells with this one."
        raise DictionaryMismatchError(msg)
    if not activations.cell_ids.equals(adata.obs_names):
        found = f"activations has {len(activations.cell_ids)} cells, adata {adata.n_obs}"
        msg = f"{found}, and the ids or their order differ. Pass the activations of these cells."
        raise InputError(msg)
    expression = encoder.expression(adata)
    active = (sp.csr_array(activations.values.T.tocsr()[concepts]) > 0).astype(np.float64)
    n_inactive = adata.n_obs - np.asarray(active.sum(axis=1)).ravel()
    total = np.asarray(expression.sum(axis=0)).ravel() - (active @ expression).toarray()
    return dict(zip(concepts.tolist(), total / np.maximum(n_inactive, 1)[:, None], strict=True))
