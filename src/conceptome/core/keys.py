"""Every key that Conceptome writes into an AnnData, in one place."""

from __future__ import annotations

EMBEDDING_PREFIX = "X_"
CONCEPTS = "concepts"  # obsm, CSR (n_cells, n_concepts)
DICTIONARY = "concept_dictionary"  # obs, categorical: dictionary_id of each cell
ATTRIBUTION = "concept_attribution"  # varm, ndarray (n_genes, n_concepts)
ATTRIBUTION_SE = "concept_attribution_se"  # varm, standard error of the same
PROGRAMMES = "programmes"  # obsm (n_cells, n_programmes) and varm (n_genes, n_programmes): known truth
UNS = "conceptome"  # uns, plain dict: encoder_id, dictionary_id, names, tables


def embedding_key(encoder_name: str) -> str:
    """Name the `obsm` entry that holds an encoder's embedding.

    Parameters
    ----------
    encoder_name
        Short name of the encoder, such as ``"scvi"``.

    Returns
    -------
    The key, such as ``"X_scvi"``.
    """
    return f"{EMBEDDING_PREFIX}{encoder_name}"
