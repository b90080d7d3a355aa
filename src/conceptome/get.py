"""Read results back from an AnnData, in the shapes that other tools take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from conceptome.core import Activations, DictionaryMismatchError, InputError, keys, signal_to_noise

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["activations", "attributions", "concepts", "drivers", "enrichment", "z_scores"]


def activations(adata: AnnData) -> Activations:
    """Return the activations that `cm.tl.activate` wrote.

    Parameters
    ----------
    adata
        Cells after `cm.tl.activate`; may be joined from several such, with one dictionary.

    Returns
    -------
    The record.

    Raises
    ------
    InputError
        If there are no activations.
    DictionaryMismatchError
        If cells of different dictionaries were put together.
    """
    if keys.CONCEPTS not in adata.obsm or keys.DICTIONARY not in adata.obs:
        msg = f"obsm has no {keys.CONCEPTS!r}. Run cm.tl.embed, then cm.tl.activate(adata, dictionary)."
        raise InputError(msg)
    found = pd.unique(adata.obs[keys.DICTIONARY].astype(str))
    if len(found) != 1:
        msg = (
            f"Cells of {len(found)} dictionaries were put together ({', '.join(sorted(found))}); "
            "their concepts are not comparable. Run cm.tl.activate with one dictionary on all of them."
        )
        raise DictionaryMismatchError(msg)
    scale = float(adata.uns.get(keys.UNS, {}).get("dictionary", {}).get("scale", 1.0))
    values = sp.csr_array(adata.obsm[keys.CONCEPTS])
    return Activations(values, pd.Index(adata.obs_names), str(found[0]), scale)


def concepts(adata: AnnData) -> AnnData:
    """Return cells x concepts as an AnnData, for scanpy's plots.

    Parameters
    ----------
    adata
        Cells after `cm.tl.activate`.

    Returns
    -------
    An AnnData whose X are the activations (CSR), whose variables are ``concept_0, concept_1 ...``, and whose
    obs, obsm and neighbour graphs are those of `adata`.
    """
    from anndata import AnnData as NewAnnData

    record = activations(adata)
    var = pd.DataFrame(
        {"frequency": record.frequency()}, index=[f"concept_{k}" for k in range(record.n_concepts)]
    )
    obsm = {key: value for key, value in adata.obsm.items() if key != keys.CONCEPTS}
    return NewAnnData(
        X=sp.csr_matrix(record.values), obs=adata.obs.copy(), var=var, obsm=obsm, obsp=dict(adata.obsp)
    )


def attributions(adata: AnnData) -> pd.DataFrame:
    """Return the attributions that `cm.tl.attribute` wrote.

    Parameters
    ----------
    adata
        Cells after `cm.tl.attribute`.

    Returns
    -------
    Concepts x genes; concepts that are not attributable are left out, NaN marks genes that were not measured.

    Raises
    ------
    InputError
        If there are none.
    """
    return _gene_matrix(adata, keys.ATTRIBUTION)


def z_scores(adata: AnnData) -> pd.DataFrame:
    """Return attribution over its error, the ranking of genes that enrichment uses.

    Parameters
    ----------
    adata
        Cells after `cm.tl.attribute`.

    Returns
    -------
    Concepts x genes, as `attributions`; see `conceptome.core.signal_to_noise`.

    Raises
    ------
    InputError
        If there are none.
    """
    value, error = _gene_matrix(adata, keys.ATTRIBUTION), _gene_matrix(adata, keys.ATTRIBUTION_SE)
    ratio = signal_to_noise(value.to_numpy(), error.loc[value.index].to_numpy())
    return pd.DataFrame(ratio, index=value.index, columns=value.columns)


def _gene_matrix(adata: AnnData, key: str) -> pd.DataFrame:
    if key not in adata.varm:
        msg = f"varm has no {key!r}. Run cm.tl.attribute(adata, encoder, dictionary=dictionary)."
        raise InputError(msg)
    values = np.asarray(adata.varm[key])
    measured = np.flatnonzero(np.isfinite(values).any(axis=0))
    index = pd.Index(measured, name="concept")
    return pd.DataFrame(values[:, measured].T, index=index, columns=pd.Index(adata.var_names))


def drivers(adata: AnnData) -> pd.DataFrame:
    """Return the genes that drive each concept, strongest first.

    Parameters
    ----------
    adata
        Cells after `cm.tl.attribute`.

    Returns
    -------
    ``concept, gene, attribution, ci_low, ci_high, q``.
    """
    return _table(adata, "attribution", "cm.tl.attribute(adata, encoder, dictionary=dictionary)")


def enrichment(adata: AnnData) -> pd.DataFrame:
    """Return the terms that `cm.tl.enrich` found.

    Parameters
    ----------
    adata
        Cells after `cm.tl.enrich`.

    Returns
    -------
    One row per test, with the columns of ``enrichment.parquet``.
    """
    return _table(adata, "enrichment", "cm.tl.enrich(adata, gene_sets)")


def _table(adata: AnnData, name: str, command: str) -> pd.DataFrame:
    section = adata.uns.get(keys.UNS, {})
    if name not in section:
        msg = f"uns[{keys.UNS!r}] has no {name!r}. Run {command}."
        raise InputError(msg)
    return pd.DataFrame(section[name]).reset_index(drop=True)
