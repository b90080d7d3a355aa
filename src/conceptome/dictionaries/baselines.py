"""Baselines through the same protocol: every signed coordinate makes two units, ReLU(+x) and ReLU(-x)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from conceptome.core import Embeddings, InputError
from conceptome.dictionaries.affine import AffineDictionary, Weights
from conceptome.dictionaries.checks import embedding_values
from conceptome.dictionaries.scaling import center_and_scale


def _signed_units(axes: Float[np.ndarray, "axes d_embed"], mean: Float[np.ndarray, " d_embed"]) -> Weights:
    directions = np.concatenate([axes, -axes]).astype(np.float32)
    n_units, d_embed = directions.shape
    zeros = np.zeros(d_embed, dtype=np.float32)
    return Weights(
        directions, np.zeros(n_units, dtype=np.float32), directions, zeros, mean.astype(np.float32)
    )


class NeuronDictionary(AffineDictionary):
    """The embedding's own coordinates: unit i is the positive, unit d_embed + i the negative part of one.

    Decoding is exact to rounding.
    """

    kind = "neurons"

    @classmethod
    def fit(cls, embeddings: Embeddings | Float[np.ndarray, "cells d_embed"]) -> NeuronDictionary:
        """Centre and scale by the given cells.

        Parameters
        ----------
        embeddings
            Training cells, ``(n_cells, d_embed)``.

        Returns
        -------
        The dictionary of ``2 * d_embed`` units.
        """
        values = embedding_values(embeddings)
        mean, scale = center_and_scale(values)
        encoder_id = embeddings.encoder_id if isinstance(embeddings, Embeddings) else ""
        return cls(_signed_units(np.eye(values.shape[1]), mean), scale=scale, encoder_id=encoder_id)


class PcaDictionary(AffineDictionary):
    """Principal components: unit i is the positive, unit n_components + i the negative part of a score."""

    kind = "pca"

    @classmethod
    def fit(
        cls, embeddings: Embeddings | Float[np.ndarray, "cells d_embed"], *, n_components: int | None = None
    ) -> PcaDictionary:
        """Take the leading principal components of the given cells.

        Parameters
        ----------
        embeddings
            Training cells, ``(n_cells, d_embed)``.
        n_components
            How many; a cell then has exactly as many active units, so k compares with TopK at equal L0.
            None = all.

        Returns
        -------
        The dictionary of ``2 * n_components`` units.

        Raises
        ------
        InputError
            If `n_components` is not between 1 and ``d_embed``.
        """
        values = embedding_values(embeddings)
        d_embed = values.shape[1]
        n_components = d_embed if n_components is None else n_components
        if not 1 <= n_components <= d_embed:
            msg = f"n_components is {n_components}, expected 1 to d_embed = {d_embed}."
            raise InputError(msg)
        mean, scale = center_and_scale(values)
        centred = values.astype(np.float64) - mean
        _, axes = np.linalg.eigh(centred.T @ centred)
        axes = axes.T[::-1][:n_components]
        largest = np.argmax(np.abs(axes), axis=1)  # the sign of an eigenvector is arbitrary; fix it
        axes = axes * np.sign(np.take_along_axis(axes, largest[:, None], axis=1))
        encoder_id = embeddings.encoder_id if isinstance(embeddings, Embeddings) else ""
        return cls(_signed_units(axes, mean), scale=scale, encoder_id=encoder_id)
