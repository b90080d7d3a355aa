"""Attributions and enrichment into an AnnData."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from conceptome import attribution, counterfactuals, data, enrichment, get
from conceptome.core import Dictionary, Encoder, keys
from conceptome.tools.annotate import embeddings_of

if TYPE_CHECKING:
    from anndata import AnnData

    from conceptome.enrichment import GeneSets


def attribute(
    adata: AnnData,
    encoder: Encoder,
    *,
    dictionary: Dictionary,
    n_pairs: int = 64,
    match_on: Sequence[str] = (),
    seed: int = 0,
) -> None:
    """Find counterfactual pairs and measure the effect of every gene on every concept.

    For more options call `conceptome.counterfactuals.match` and `conceptome.attribution.attribute`.

    Parameters
    ----------
    adata
        Cells with raw counts that `embed` and `activate` have seen.
    encoder
        The encoder that embedded them.
    dictionary
        The dictionary that activated them.
    n_pairs
        Counterfactual pairs per concept.
    match_on
        Columns of obs in which a counterfactual equals its factual.
    seed
        Seed of sampling, bootstrap and tests.

    Writes
    ------
    varm["concept_attribution"]
        Attribution of each gene, ``(n_genes, n_concepts)``; NaN where it was not measured.
    varm["concept_attribution_se"]
        Its standard error.
    uns["conceptome"]["attribution"]
        The genes that drive a concept: ``concept, gene, attribution, ci_low, ci_high, q``.
    """
    activations = get.activations(adata)
    pairs = counterfactuals.match(
        activations,
        embeddings_of(adata),
        dictionary=dictionary,
        obs=adata.obs,
        library_size=data.library_size(adata),
        n_pairs=n_pairs,
        match_on=tuple(match_on),
        seed=seed,
    )
    record = attribution.attribute(adata, encoder, dictionary, pairs, seed=seed)
    for key, matrix in ((keys.ATTRIBUTION, record.attribution), (keys.ATTRIBUTION_SE, record.se)):
        adata.varm[key] = np.full((adata.n_vars, dictionary.n_concepts), np.nan)
        adata.varm[key][:, record.concepts] = matrix.T
    frame = record.to_frame()
    drivers = frame.loc[frame["drives"], ["concept", "gene", "attribution", "ci_low", "ci_high", "q"]]
    drivers = drivers.sort_values(["concept", "attribution"], ascending=[True, False], kind="stable")
    _write_table(adata, "attribution", drivers.astype({"gene": str}))


def enrich(
    adata: AnnData,
    gene_sets: GeneSets | Sequence[GeneSets] | Mapping[str, Sequence[str]],
    *,
    min_size: int = 10,
    max_size: int = 500,
    n_permutations: int = 1000,
    seed: int = 0,
) -> None:
    """Name concepts by gene sets, from the attributions that `attribute` wrote, by attribution / error.

    Parameters
    ----------
    adata
        Cells after `attribute`.
    gene_sets
        One or several collections, or a mapping from term to genes.
    min_size, max_size
        Sizes of the terms that are tested, in measured genes.
    n_permutations
        Gene permutations of the null.
    seed
        Seed of the null.

    Writes
    ------
    uns["conceptome"]["enrichment"]
        The table of `conceptome.enrichment.gsea`.
    """
    record = enrichment.gsea(
        get.z_scores(adata),
        gene_sets,
        min_size=min_size,
        max_size=max_size,
        n_permutations=n_permutations,
        gene_names=data.symbols_or_names(adata).to_numpy(),
        seed=seed,
    )
    _write_table(adata, "enrichment", record.table)


def _write_table(adata: AnnData, name: str, table: pd.DataFrame) -> None:
    """Put a table where ``write_h5ad`` can take it: text index, no object columns but texts."""
    section = dict(adata.uns.get(keys.UNS, {}))
    section[name] = table.set_index(pd.Index([str(i) for i in range(len(table))]))
    adata.uns[keys.UNS] = section
