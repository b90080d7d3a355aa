"""Baseline: an autoencoder whose encoder stays random [Sanity26]."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from conceptome.core import Csr, Embeddings, InputError, require_at_least
from conceptome.dictionaries.affine import Weights
from conceptome.dictionaries.checks import embedding_values, source_id
from conceptome.dictionaries.scaling import center_and_scale
from conceptome.dictionaries.topk import TopKDictionary

RIDGE = 1e-3


class RandomSaeDictionary(TopKDictionary):
    """The frozen-encoder SAE of [Sanity26]: random encoder directions, and the best decoder for them.

    The k concepts with the largest positive projection on their random unit direction are active. A row of
    ``w_enc`` is that direction times the length of the concept's fitted decoder row, so that `directions`
    have unit length; the selection divides by it again.
    """

    kind = "random_sae"

    @classmethod
    def fit(
        cls,
        embeddings: Embeddings | Float[np.ndarray, "cells d_embed"],
        *,
        n_concepts: int,
        k: int,
        seed: int = 0,
    ) -> RandomSaeDictionary:
        """Draw an encoder and fit the decoder by least squares.

        Concepts that few training cells activate keep the direction that their encoder has: the ridge pulls
        towards it, with the weight of a thousandth of a mean concept.

        Parameters
        ----------
        embeddings
            Training cells, ``(n_cells, d_embed)``.
        n_concepts, k
            Concepts in the dictionary, and how many of them a cell may activate.
        seed
            Decides the directions.

        Returns
        -------
        The dictionary.

        Raises
        ------
        InputError
            If k is not between 1 and `n_concepts`, or the seed is negative.
        """
        require_at_least("seed", seed, 0)
        if not 1 <= k <= n_concepts:
            msg = f"k is {k}, expected 1 to n_concepts = {n_concepts}. Choose a smaller k or more concepts."
            raise InputError(msg)
        values = embedding_values(embeddings)
        mean, scale = center_and_scale(values)
        scaled = (values.astype(np.float64) - mean) * scale
        drawn = np.random.default_rng(seed).normal(size=(n_concepts, values.shape[1]))
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        frozen = cls(_weights(drawn, drawn, b_dec=np.zeros(values.shape[1]), mean=mean), k, scale=scale)
        decoder, b_dec = _best_decoder(frozen.encode(values.astype(np.float64)), scaled, drawn)
        weights = _weights(drawn, decoder, b_dec=b_dec, mean=mean)
        return cls(weights, k, scale=scale, encoder_id=source_id(embeddings), training={"seed": int(seed)})

    def activate(self, pre: Float[np.ndarray, "rows concepts"]) -> Float[np.ndarray, "rows concepts"]:
        """Keep the pre-activations of the k largest positive projections of each row."""
        chosen = super().activate(pre / self._lengths(pre.dtype)) > 0
        activations: np.ndarray = np.where(chosen, pre, pre.dtype.type(0))
        return activations

    def activate_one(
        self, pre: Float[np.ndarray, "rows concepts"], concept: int
    ) -> Float[np.ndarray, " rows"]:
        """Compute the activation of a single concept; equals ``activate(pre)[:, concept]``."""
        chosen = super().activate_one(pre / self._lengths(pre.dtype), concept) > 0
        activation: np.ndarray = np.where(chosen, pre[:, concept], pre.dtype.type(0))
        return activation

    def _selection(self, concept: int) -> tuple[float, int | None] | None:  # noqa: ARG002
        return None  # ranks are by projection, not by pre-activation

    def _lengths(self, dtype: np.dtype[Any]) -> Float[np.ndarray, " concepts"]:
        lengths: np.ndarray = np.linalg.norm(self.weights.w_enc, axis=1).astype(dtype)
        return lengths


def _weights(
    drawn: Float[np.ndarray, "concepts d_embed"],
    decoder: Float[np.ndarray, "concepts d_embed"],
    *,
    b_dec: Float[np.ndarray, " d_embed"],
    mean: Float[np.ndarray, " d_embed"],
) -> Weights:
    """Move the lengths of the decoder's rows into the encoder; b_enc undoes b_dec there."""
    lengths = np.linalg.norm(decoder, axis=1, keepdims=True)
    w_enc = drawn * lengths
    arrays = (w_enc, w_enc @ b_dec, decoder / lengths, b_dec, mean)
    return Weights(*(array.astype(np.float32) for array in arrays))


def _best_decoder(
    activations: Csr,
    scaled: Float[np.ndarray, "cells d_embed"],
    drawn: Float[np.ndarray, "concepts d_embed"],
) -> tuple[Float[np.ndarray, "concepts d_embed"], Float[np.ndarray, " d_embed"]]:
    """Solve for decoder and bias that reconstruct the cells best, drawn towards the encoder's directions."""
    n_cells = len(scaled)
    used, centre = np.asarray(activations.mean(axis=0)).ravel(), scaled.mean(axis=0)
    gram = (activations.T @ activations).toarray() - n_cells * np.outer(used, used)
    cross = activations.T @ scaled - n_cells * np.outer(used, centre)
    ridge = RIDGE * np.trace(gram) / len(gram)
    decoder = np.linalg.solve(gram + ridge * np.eye(len(gram)), cross + ridge * drawn)
    return decoder, centre - used @ decoder
