"""An atlas from an AnnData and records, for notebooks; runs have their own way (`conceptome build`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from conceptome.atlas.contents import Contents
from conceptome.atlas.writing import write
from conceptome.core import (
    Activations,
    Attributions,
    Dictionary,
    DictionaryMismatchError,
    DifferentialExpression,
    Enrichment,
    Evaluation,
    InputError,
    Pairs,
)

if TYPE_CHECKING:
    from anndata import AnnData


def build(  # noqa: PLR0913, PLR0917 - one argument for each record, in the order in which they are made
    path: Path | str,
    adata: AnnData,
    dictionary: Dictionary,
    activations: Activations,
    pairs: Pairs | None = None,
    attributions: Attributions | None = None,
    enrichment: Enrichment | None = None,
    evaluation: Evaluation | None = None,
    de: DifferentialExpression | None = None,
    *,
    layout_key: str = "X_umap",
    roles: Mapping[str, str] | None = None,
    title: str = "",
    overwrite: bool = False,
) -> Path:
    """Build an atlas from records.

    Running sums, the genes that changed within pairs and maps of expression come only from a run folder; for
    these use ``conceptome build``, or fill `Contents` and call `write`.

    Parameters
    ----------
    path
        The folder of the atlas.
    adata
        The cells: ``obs``, ``var_names`` and the layout are taken.
    dictionary, activations
        The dictionary and what it says of the cells.
    pairs, attributions, enrichment, evaluation, de
        What else is known; None leaves it out.
    layout_key
        Entry of ``obsm`` with two columns: the map.
    roles
        Role of columns of ``obs``: label, donor, batch or depth.
    title
        What the atlas is called.
    overwrite
        Replace an atlas that is already there; what people have annotated stays.

    Returns
    -------
    The folder.

    Raises
    ------
    InputError
        If there is no layout, or records do not fit each other.
    BundleError
        If something else lies at `path`.
    """
    if layout_key not in adata.obsm:
        msg = (
            f"obsm has no {layout_key!r}, it has {sorted(map(str, adata.obsm))}. Compute a map of the cells, "
            "such as sc.tl.umap(adata), or name one with layout_key."
        )
        raise InputError(msg)
    if list(adata.obs_names) != list(activations.cell_ids):
        msg = "The cells of adata and of activations differ. Give those that were encoded, in their order."
        raise InputError(msg)
    if dictionary.dictionary_id != activations.dictionary_id:
        msg = (
            f"The activations come from dictionary {activations.dictionary_id}, not from "
            f"{dictionary.dictionary_id}. Give those of the same dictionary."
        )
        raise DictionaryMismatchError(msg)
    given = {"pairs": pairs, "attributions": attributions, "enrichment": enrichment, "evaluation": evaluation}
    contents = Contents(
        activations=activations,
        obs=adata.obs,
        layout=np.asarray(adata.obsm[layout_key], dtype=np.float64)[:, :2],
        genes=pd.DataFrame({"name": adata.var_names.astype(str)}),
        concepts=pd.DataFrame({"concept": np.arange(activations.n_concepts)}),
        directions=dictionary.directions,
        pairs=pairs,
        attributions=attributions,
        enrichment=enrichment,
        evaluation=evaluation,
        de=de,
        roles=roles or {},
        title=title,
        missing={
            name: f"No {name} were given to conceptome.atlas.build."
            for name, record in {**given, "de": de}.items()
            if record is None
        },
    )
    return write(path, contents, overwrite=overwrite)
