"""Baselines through the same protocol: every signed coordinate makes two units, ReLU(+x) and ReLU(-x)."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float

from conceptome.core import Embeddings, require_at_least
from conceptome.dictionaries.affine import AffineDictionary, Weights
from conceptome.dictionaries.checks import embedding_values, require_components, source_id
from conceptome.dictionaries.scaling import center_and_scale

ICA_ITERATIONS = 1000
RANK = 1e-12
"""Least variance along an axis that counts, of the largest."""


def _signed_units(
    axes: Float[np.ndarray, "axes d_embed"],
    mean: Float[np.ndarray, " d_embed"],
    *,
    readers: Float[np.ndarray, "axes d_embed"] | None = None,
) -> Weights:
    """Make two units of every axis; `readers` compute its coordinate, by default the axis itself does."""
    directions = np.concatenate([axes, -axes]).astype(np.float32)
    w_enc = directions if readers is None else np.concatenate([readers, -readers]).astype(np.float32)
    n_units, d_embed = directions.shape
    zeros = np.zeros(d_embed, dtype=np.float32)
    return Weights(w_enc, np.zeros(n_units, dtype=np.float32), directions, zeros, mean.astype(np.float32))


def _signs(axes: Float[np.ndarray, "axes d_embed"]) -> Float[np.ndarray, "axes 1"]:
    """Fix the arbitrary sign of axes: their largest coordinate is to be positive."""
    largest = np.argmax(np.abs(axes), axis=1)
    return np.asarray(np.sign(np.take_along_axis(axes, largest[:, None], axis=1)))


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
        return cls(
            _signed_units(np.eye(values.shape[1]), mean), scale=scale, encoder_id=source_id(embeddings)
        )


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
        require_components(n_components, d_embed)
        mean, scale = center_and_scale(values)
        centred = values.astype(np.float64) - mean
        _, axes = np.linalg.eigh(centred.T @ centred)
        axes = axes.T[::-1][:n_components]
        axes = axes * _signs(axes)
        return cls(_signed_units(axes, mean), scale=scale, encoder_id=source_id(embeddings))


class IcaDictionary(AffineDictionary):
    """Independent components (FastICA): unit i is the positive, unit n_components + i the negative part.

    With fewer components than coordinates they span what as many principal components span, so that both
    keep the same variance; the axes within differ.
    """

    kind = "ica"

    @classmethod
    def fit(
        cls,
        embeddings: Embeddings | Float[np.ndarray, "cells d_embed"],
        *,
        n_components: int | None = None,
        seed: int = 0,
    ) -> IcaDictionary:
        """Find independent components of the given cells, ordered by the variance they carry.

        Parameters
        ----------
        embeddings
            Training cells, ``(n_cells, d_embed)``.
        n_components
            How many; a cell then has exactly as many active units. None = all. No more than the cells span,
            which coordinates that do not vary or repeat others lessen.
        seed
            Decides where the iteration starts.

        Returns
        -------
        The dictionary of ``2 * n_components`` units; its `training` says whether the iteration converged.

        Raises
        ------
        InputError
            If `n_components` is not between 1 and ``d_embed``, or the seed is negative.
        """
        from sklearn.decomposition import FastICA
        from sklearn.exceptions import ConvergenceWarning

        require_at_least("seed", seed, 0)
        values = embedding_values(embeddings)
        d_embed = values.shape[1]
        n_components = d_embed if n_components is None else n_components
        require_components(n_components, d_embed)
        mean, scale = center_and_scale(values)
        scaled = (values.astype(np.float64) - mean) * scale
        spread = np.linalg.eigvalsh(scaled.T @ scaled)
        n_components = min(n_components, int((spread > RANK * spread[-1]).sum()))
        model = FastICA(
            n_components, whiten="unit-variance", max_iter=ICA_ITERATIONS, tol=1e-3, random_state=seed
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(scaled)
        converged = not any(issubclass(each.category, ConvergenceWarning) for each in caught)
        training = {"seed": int(seed), "converged": converged}
        length = np.linalg.norm(model.mixing_, axis=0)
        order = np.argsort(-length, kind="stable")
        axes = (model.mixing_ / length).T[order]
        readers = (model.components_ * length[:, None])[order]
        signs = _signs(axes)
        weights = _signed_units(axes * signs, mean, readers=readers * signs)
        return cls(weights, scale=scale, encoder_id=source_id(embeddings), training=training)
