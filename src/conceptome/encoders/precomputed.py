"""An embedding that is already in the AnnData, used in place of a model."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Bool, Float

from conceptome.core import Csr, Decoder, Edits, Embeddings, InputError, Names, NotEditableError, content_id
from conceptome.core.keys import EMBEDDING_PREFIX
from conceptome.data.wording import did_you_mean, some
from conceptome.encoders.storage import load_folder, save_folder

KIND = "obsm"


class PrecomputedEncoder:
    """Take the embedding from ``adata.obsm[key]``.

    Dictionaries, pairs, differential expression and evaluation need no more. Attribution does: it asks what
    the embedding of an edited cell would be, which only the model can tell.

    The first call of `embed` fixes `encoder_id`, a hash of the key and the values, and `d_embed`; a saved
    encoder keeps both for further data.

    Parameters
    ----------
    key
        Entry of ``obsm``, such as ``"X_scvi"``.
    """

    genes: Names = pd.Index([], dtype=object)
    decoder: Decoder | None = None

    def __init__(self, key: str) -> None:
        self.key = key
        self.name = key.removeprefix(EMBEDDING_PREFIX)
        self.encoder_id = content_id({"encoder": KIND, "key": key})
        self.d_embed = 0

    @classmethod
    def load(cls, path: Path | str) -> PrecomputedEncoder:
        """Read an encoder that `save` wrote.

        Parameters
        ----------
        path
            Folder.

        Returns
        -------
        The encoder, with the identity and size it had.

        Raises
        ------
        CheckpointError
            If the folder holds no such encoder.
        """
        config, _ = load_folder(path, KIND)
        encoder = cls(config["key"])
        encoder.encoder_id, encoder.d_embed = config["encoder_id"], config["d_embed"]
        return encoder

    def save(self, path: Path | str) -> None:
        """Write the key, the identity and the size; the values stay in the AnnData."""
        config = {"encoder": KIND, "key": self.key, "encoder_id": self.encoder_id, "d_embed": self.d_embed}
        save_folder(path, config, {})

    def embed(self, adata: AnnData, *, batch_size: int = 4096, device: str = "cpu") -> Embeddings:  # noqa: ARG002
        """Return the stored embedding.

        Parameters
        ----------
        adata
            Cells with ``obsm[key]`` as array, sparse matrix or DataFrame.
        batch_size, device
            Without effect; every encoder has them.

        Returns
        -------
        Embeddings in the stored precision (whole numbers as float32).

        Raises
        ------
        InputError
            If there is no such entry, or it is not a finite table of numbers of the expected width.
        """
        values = _table(adata, self.key)
        if not self.d_embed:
            self.d_embed = values.shape[1]
            self.encoder_id = content_id({"encoder": KIND, "key": self.key}, {"values": values})
        if values.shape[1] != self.d_embed:
            msg = (
                f"obsm[{self.key!r}] has {values.shape[1]} columns, expected {self.d_embed} as in the cells "
                "embedded before. Embed these cells with the same model."
            )
            raise InputError(msg)
        return Embeddings(values, adata.obs_names, self.encoder_id, self.name)

    def expression(self, adata: AnnData) -> Csr:  # noqa: ARG002
        """Refuse: nobody knows what the model behind the embedding read."""
        self._refuse()

    def known(self, adata: AnnData) -> Bool[np.ndarray, " genes"]:  # noqa: ARG002
        """Refuse: nobody knows which genes the model behind the embedding read."""
        self._refuse()

    def embed_edits(
        self,
        cells: AnnData,  # noqa: ARG002
        edits: Edits,  # noqa: ARG002
        *,
        batch_size: int = 4096,  # noqa: ARG002
        device: str = "cpu",  # noqa: ARG002
    ) -> Float[np.ndarray, "edits d_embed"]:
        """Refuse: an edited cell cannot be embedded without the model."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        msg = (
            f"obsm[{self.key!r}] is a finished embedding. Attribution needs the model that made it, to embed "
            "cells with edited counts; everything else works without. For attribution fit an encoder "
            "(scvi or linear), or load the model from its folder (scvi:DIR)."
        )
        raise NotEditableError(msg)


def _table(adata: AnnData, key: str) -> np.ndarray:
    if key not in adata.obsm:
        near = did_you_mean(key, list(adata.obsm))
        msg = f"obsm has no entry {key!r}; it has {some(adata.obsm)}.{near}"
        raise InputError(msg)
    stored = adata.obsm[key]
    values = np.asarray(stored.toarray() if hasattr(stored, "toarray") else stored)
    if values.ndim != 2 or not values.shape[1] or values.dtype.kind not in "biuf":
        msg = (
            f"obsm[{key!r}] has shape {values.shape} and type {values.dtype}, expected numbers, cells x "
            "coordinates. Store the embedding as a 2-d array of floats."
        )
        raise InputError(msg)
    broken = adata.obs_names[~np.isfinite(values).all(axis=1)]
    if len(broken):
        msg = (
            f"obsm[{key!r}] is NaN or infinite in {len(broken):,} of {adata.n_obs:,} cells ({some(broken)}). "
            "Embed the cells again, or drop these."
        )
        raise InputError(msg)
    precision = values.dtype if values.dtype in (np.float32, np.float64) else np.float32
    return np.ascontiguousarray(values, dtype=precision)
