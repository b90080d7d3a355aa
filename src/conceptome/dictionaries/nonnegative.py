"""Baseline: non-negative matrix factorisation of the shifted embedding."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float

from conceptome.core import Embeddings, require_at_least
from conceptome.dictionaries.affine import AffineDictionary, Weights
from conceptome.dictionaries.checks import embedding_values, require_components, source_id
from conceptome.dictionaries.scaling import center_and_scale

FIT_ITERATIONS = 1000
MAX_SWEEPS = 1000


class NmfDictionary(AffineDictionary):
    """Non-negative parts: x = z_s - lowest, the least value of each coordinate, and x_hat = D^T a, a >= 0.

    The pre-activation of a concept is the projection of x on its direction; activations are the non-negative
    least-squares solution for fixed directions, which depends on x through these projections alone.
    """

    kind = "nmf"

    @classmethod
    def fit(
        cls,
        embeddings: Embeddings | Float[np.ndarray, "cells d_embed"],
        *,
        n_components: int | None = None,
        seed: int = 0,
    ) -> NmfDictionary:
        """Factorise the given cells.

        Parameters
        ----------
        embeddings
            Training cells, ``(n_cells, d_embed)``.
        n_components
            How many; a cell has at most as many active concepts. None = as many as coordinates. No more than
            there are cells.
        seed
            Decides the randomised decomposition that the factorisation starts from.

        Returns
        -------
        The dictionary, without components that the factorisation leaves empty; its `training` says whether
        the iteration converged.

        Raises
        ------
        InputError
            If `n_components` is not between 1 and ``d_embed``, or the seed is negative.
        """
        from sklearn.decomposition import NMF
        from sklearn.exceptions import ConvergenceWarning

        require_at_least("seed", seed, 0)
        values = embedding_values(embeddings)
        d_embed = values.shape[1]
        n_components = d_embed if n_components is None else n_components
        require_components(n_components, d_embed)
        n_components = min(n_components, len(values))
        mean, scale = center_and_scale(values)
        scaled = (values.astype(np.float64) - mean) * scale
        lowest = scaled.min(axis=0)
        model = NMF(n_components, init="nndsvda", max_iter=FIT_ITERATIONS, tol=1e-4, random_state=seed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(scaled - lowest)
        converged = not any(issubclass(each.category, ConvergenceWarning) for each in caught)
        training = {"seed": int(seed), "converged": converged}
        parts = model.components_[np.linalg.norm(model.components_, axis=1) > 0]
        directions = (parts / np.linalg.norm(parts, axis=1, keepdims=True)).astype(np.float32)
        biases = (np.zeros(len(directions)), lowest, mean)
        b_enc, b_dec, centre = (bias.astype(np.float32) for bias in biases)
        weights = Weights(directions, b_enc, directions, b_dec, centre)
        return cls(weights, scale=scale, encoder_id=source_id(embeddings), training=training)

    def activate(self, pre: Float[np.ndarray, "rows concepts"]) -> Float[np.ndarray, "rows concepts"]:
        """Solve ``min ||x - D^T a||`` with ``a >= 0`` for every row, given the projections D x.

        Parameters
        ----------
        pre
            Pre-activations, ``(n_rows, n_concepts)``, finite.

        Returns
        -------
        Activations of the same shape and type; a row's do not depend on the others.
        """
        directions = self.directions.astype(np.float64)
        return nonnegative_solution(directions @ directions.T, pre.astype(np.float64)).astype(pre.dtype)

    def activate_one(
        self, pre: Float[np.ndarray, "rows concepts"], concept: int
    ) -> Float[np.ndarray, " rows"]:
        """Compute the activation of one concept; all are solved for, since they share what they explain."""
        activation: np.ndarray = self.activate(pre)[:, concept]
        return activation

    def _selection(self, concept: int) -> tuple[float, int | None] | None:  # noqa: ARG002
        return None


def nonnegative_solution(
    gram: Float[np.ndarray, "concepts concepts"], projections: Float[np.ndarray, "rows concepts"]
) -> Float[np.ndarray, "rows concepts"]:
    """Minimise a' G a / 2 - p' a over a >= 0 by coordinate descent, each row on its own.

    Parameters
    ----------
    gram
        G, products of the directions, with a positive diagonal.
    projections
        p of every row.

    Returns
    -------
    a. A row is finished when a sweep moves no coordinate by more than 1e-7 of its largest projection, or
    after 1,000 sweeps.
    """
    solution = np.zeros_like(projections)
    tolerance = 1e-7 * np.abs(projections).max(axis=1, initial=0.0)
    rows = np.arange(len(projections))
    current = np.zeros(projections.T.shape)  # concepts x rows, so that one concept is contiguous
    slope = np.ascontiguousarray(-projections.T)
    for _ in range(MAX_SWEEPS):
        moved = np.zeros(len(rows))
        for concept in range(len(gram)):
            new = np.maximum(current[concept] - slope[concept] / gram[concept, concept], 0)
            step = new - current[concept]
            current[concept] = new
            slope += gram[concept][:, None] * step
            moved = np.maximum(moved, np.abs(step))
        going = moved > tolerance[rows]
        if not going.all():
            solution[rows[~going]] = current[:, ~going].T
            rows, current, slope = rows[going], current[:, going], slope[:, going]
        if not len(rows):
            break
    solution[rows] = current.T
    return solution
