"""Baseline: k-means, the dictionary in which every cell has one concept."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped

from conceptome.core import Embeddings, InputError, require_at_least
from conceptome.dictionaries.affine import AffineDictionary, Weights
from conceptome.dictionaries.checks import embedding_values, require_width, source_id
from conceptome.dictionaries.scaling import center_and_scale

LEAST_LENGTH = 1e-6


class KMeansDictionary(AffineDictionary):
    """Centroids of cells: p = -||z_s - c_k||, and the nearest centroid alone is active, with a = ||c_k||.

    The activation is a constant of the concept, so that decoding gives the centroid itself. Of equally near
    centroids the first is active.
    """

    kind = "kmeans"

    @classmethod
    def fit(
        cls,
        embeddings: Embeddings | Float[np.ndarray, "cells d_embed"],
        *,
        n_clusters: int,
        seed: int = 0,
    ) -> KMeansDictionary:
        """Cluster the given cells.

        Parameters
        ----------
        embeddings
            Training cells, ``(n_cells, d_embed)``.
        n_clusters
            How many concepts.
        seed
            Decides the centroids that the iteration starts from (k-means++).

        Returns
        -------
        The dictionary of ``n_clusters`` concepts, those of most cells first.

        Raises
        ------
        InputError
            If there are fewer different cells than clusters, fewer than two clusters, or a negative seed.
        """
        from sklearn.cluster import KMeans

        require_at_least("seed", seed, 0)
        require_at_least("n_clusters", n_clusters, 2)
        values = embedding_values(embeddings)
        n_distinct = len(np.unique(values, axis=0))
        if n_clusters > n_distinct:
            msg = f"n_clusters is {n_clusters}, expected at most the {n_distinct} different cells there are."
            raise InputError(msg)
        mean, scale = center_and_scale(values)
        model = KMeans(n_clusters, n_init=1, random_state=seed)
        labels = model.fit_predict((values.astype(np.float64) - mean) * scale)
        order = np.argsort(-np.bincount(labels, minlength=n_clusters), kind="stable")
        centroids = model.cluster_centers_[order]
        weights = Weights(
            w_enc=centroids.astype(np.float32),
            b_enc=np.zeros(n_clusters, dtype=np.float32),
            directions=_directions(centroids).astype(np.float32),
            b_dec=np.zeros(values.shape[1], dtype=np.float32),
            mean=mean.astype(np.float32),
        )
        return cls(weights, scale=scale, encoder_id=source_id(embeddings), training={"seed": int(seed)})

    def preactivations(self, z: Shaped[np.ndarray, "rows d_embed"]) -> Float[np.ndarray, "rows concepts"]:
        """Compute the negative distance to every centroid, in the scaled embedding.

        Parameters
        ----------
        z
            Embeddings in original units, ``(n_rows, d_embed)``.

        Returns
        -------
        p <= 0, ``(n_rows, n_concepts)``, in the floating type of `z`.

        Raises
        ------
        DictionaryMismatchError
            If `z` has another number of columns than the dictionary.
        InputError
            If it holds NaN or infinite values.
        """
        from scipy.spatial.distance import cdist

        values = embedding_values(z)
        require_width(values.shape[1], self.d_embed, self.dictionary_id)
        scaled = (values.astype(np.float64) - self.weights.mean) * self.scale
        return np.asarray(-cdist(scaled, self.weights.w_enc.astype(np.float64)), dtype=values.dtype)

    def activate(self, pre: Float[np.ndarray, "rows concepts"]) -> Float[np.ndarray, "rows concepts"]:
        """Activate the nearest centroid of each row by its length."""
        rows, nearest = np.arange(len(pre)), np.argmax(pre, axis=1)
        activations = np.zeros_like(pre)
        activations[rows, nearest] = self._lengths[nearest]
        return activations

    def activate_one(
        self, pre: Float[np.ndarray, "rows concepts"], concept: int
    ) -> Float[np.ndarray, " rows"]:
        """Compute the activation of a single concept; equals ``activate(pre)[:, concept]``."""
        length = pre.dtype.type(self._lengths[concept])
        activation: np.ndarray = np.where(np.argmax(pre, axis=1) == concept, length, pre.dtype.type(0))
        return activation

    def _selection(self, concept: int) -> tuple[float, int | None] | None:  # noqa: ARG002
        return None

    @property
    def _lengths(self) -> Float[np.ndarray, " concepts"]:
        lengths: np.ndarray = np.linalg.norm(self.weights.w_enc, axis=1)
        return np.asarray(np.maximum(lengths, np.float32(LEAST_LENGTH)))


def _directions(centroids: Float[np.ndarray, "clusters d_embed"]) -> Float[np.ndarray, "clusters d_embed"]:
    """Give centroids unit length; one that lies at the mean of all cells points along the first axis."""
    lengths = np.linalg.norm(centroids, axis=1, keepdims=True)
    nominal = np.eye(1, centroids.shape[1])
    return np.where(lengths > LEAST_LENGTH, centroids / np.maximum(lengths, LEAST_LENGTH), nominal)
