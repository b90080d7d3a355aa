"""Embeddings and activations into an AnnData."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from conceptome.core import Dictionary, DictionaryMismatchError, Embeddings, Encoder, InputError, keys

if TYPE_CHECKING:
    from anndata import AnnData


def embed(adata: AnnData, encoder: Encoder) -> None:
    """Embed every cell.

    Parameters
    ----------
    adata
        Cells with raw counts.
    encoder
        The encoder.

    Writes
    ------
    obsm["X_<encoder.name>"]
        The embedding, ``(n_cells, d_embed)``.
    uns["conceptome"]["encoder"]
        ``name``, ``encoder_id`` and ``key`` of the embedding.
    """
    record = encoder.embed(adata)
    key = keys.embedding_key(encoder.name)
    adata.obsm[key] = record.values
    section = dict(adata.uns.get(keys.UNS, {}))
    section["encoder"] = {"name": encoder.name, "encoder_id": record.encoder_id, "key": key}
    adata.uns[keys.UNS] = section


def embeddings_of(adata: AnnData) -> Embeddings:
    """Return the embedding that `embed` wrote.

    Parameters
    ----------
    adata
        Cells that were embedded.

    Returns
    -------
    The record.

    Raises
    ------
    InputError
        If `adata` was not embedded, or its embedding is gone.
    """
    facts = adata.uns.get(keys.UNS, {}).get("encoder")
    if facts is None or facts["key"] not in adata.obsm:
        msg = "No embedding of cm.tl.embed was found in obsm. Run cm.tl.embed(adata, encoder)."
        raise InputError(msg)
    values = np.asarray(adata.obsm[facts["key"]])
    return Embeddings(values, pd.Index(adata.obs_names), str(facts["encoder_id"]), str(facts["name"]))


def activate(adata: AnnData, dictionary: Dictionary) -> None:
    """Compute every cell's concept activations from the embedding that `embed` wrote.

    Parameters
    ----------
    adata
        Cells that were embedded.
    dictionary
        A dictionary trained on embeddings of the same encoder.

    Writes
    ------
    obsm["concepts"]
        Activations, CSR ``(n_cells, n_concepts)``.
    obs["concept_dictionary"]
        The dictionary's identifier, categorical: it survives ``anndata.concat``, so readers refuse mixtures.
    uns["conceptome"]["dictionary"]
        ``dictionary_id``, ``kind``, ``n_concepts``, ``scale``.

    Raises
    ------
    DictionaryMismatchError
        If the dictionary was trained on another encoder or on embeddings of another width.
    """
    record = embeddings_of(adata)
    if dictionary.encoder_id and dictionary.encoder_id != record.encoder_id:
        msg = (
            f"The embedding comes from encoder {record.encoder_id}, dictionary {dictionary.dictionary_id} "
            f"was trained on encoder {dictionary.encoder_id}. "
            "Re-run cm.tl.embed with the encoder it was trained on."
        )
        raise DictionaryMismatchError(msg)
    activations = dictionary.encode(record)
    adata.obsm[keys.CONCEPTS] = activations.values
    adata.obs[keys.DICTIONARY] = pd.Categorical([dictionary.dictionary_id] * adata.n_obs)
    section = dict(adata.uns.get(keys.UNS, {}))
    section["dictionary"] = {
        "dictionary_id": dictionary.dictionary_id,
        "kind": dictionary.kind,
        "n_concepts": dictionary.n_concepts,
        "scale": float(dictionary.scale),
    }
    adata.uns[keys.UNS] = section
