"""Which concepts of two dictionaries are the same, and how alike chance would make them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from conceptome.core import (
    Csr,
    Dictionary,
    DictionaryMismatchError,
    Embeddings,
    InputError,
    require_at_least,
    require_choice,
)
from conceptome.dictionaries.checks import embedding_values, require_source, require_width

By: TypeAlias = Literal["directions", "activations"]
Similarity: TypeAlias = Float[np.ndarray, "few many"]

MATCHED_CELLS = 20_000  # correlations and covariances gain little from more


@dataclass(frozen=True, eq=False)
class Matching:
    """A one-to-one matching of the concepts of two dictionaries, as many pairs as the smaller one has."""

    concept_a: Int[np.ndarray, " pairs"]
    """Concept of the first dictionary, ascending."""
    concept_b: Int[np.ndarray, " pairs"]
    similarity: Float[np.ndarray, " pairs"]
    """Cosine of the decoder directions, or correlation of the activations; -1 to 1."""
    null: Float[np.ndarray, "draws pairs"]
    """What the pair's concept in the smaller dictionary reaches when it is matched with chance."""
    by: By
    dictionary_ids: tuple[str, str]

    @property
    def p(self) -> Float[np.ndarray, " pairs"]:
        """Share of the random matchings, the observed one counted among them, that reach the similarity."""
        reached = (self.null >= self.similarity).sum(axis=0)
        return np.asarray((1 + reached) / (1 + len(self.null)))

    def to_frame(self) -> pd.DataFrame:
        """Return ``concept_a, concept_b, similarity, null`` (its mean), ``excess, p``, one row per pair."""
        null = self.null.mean(axis=0)
        return pd.DataFrame(
            {
                "concept_a": self.concept_a,
                "concept_b": self.concept_b,
                "similarity": self.similarity,
                "null": null,
                "excess": self.similarity - null,
                "p": self.p,
            }
        )


def match_concepts(
    a: Dictionary,
    b: Dictionary,
    *,
    by: By = "directions",
    embeddings: Embeddings | Float[np.ndarray, "cells d_embed"] | None = None,
    n_null: int = 100,
    seed: int = 0,
) -> Matching:
    """Match the concepts of two dictionaries so that the sum of similarities is largest (Hungarian method).

    The dictionaries may differ in seed, size, family, or in the cells they were trained on, as long as the
    encoder is the same: mean and scale move and stretch the embedding as a whole and leave the cosine of two
    directions as it is.

    The null repeats the matching with chance in place of the larger dictionary (of the second, if both have
    one size). By directions that is a dictionary of as many Gaussian directions with the covariance of the
    embeddings or, where none are given, with the second moment of the directions of both dictionaries. By
    activations it is the same dictionary on permuted cells.

    Parameters
    ----------
    a, b
        The dictionaries.
    by
        Compare decoder directions (cosine) or activations (Pearson correlation over cells; 0 for a concept
        that is silent or does not vary).
    embeddings
        Cells, at most 20,000 of which are drawn. Needed by activations.
    n_null
        Number of random matchings; the least p is 1 / (n_null + 1).
    seed
        Decides the draws.

    Returns
    -------
    `Matching`.

    Raises
    ------
    DictionaryMismatchError
        If the dictionaries or the embeddings are of different encoders.
    InputError
        If embeddings are needed and not given, `by` is neither, or a number is out of range.
    """
    require_choice("by", by, get_args(By))
    require_at_least("n_null", n_null, 1)
    require_at_least("seed", seed, 0)
    require_one_encoder(a, b)
    if by == "activations" and embeddings is None:
        msg = "Activations are compared on cells, and none are given. Give embeddings, or by='directions'."
        raise InputError(msg)
    swapped = a.n_concepts > b.n_concepts
    few, many = (b, a) if swapped else (a, b)
    rng = np.random.default_rng(seed)
    z = None if embeddings is None else _cells(embeddings, few, rng)
    similarities = (
        cosine_draws(few, many, z, rng)
        if z is None or by == "directions"
        else correlation_draws(few.encode(z), many.encode(z), rng)
    )
    rows, columns, similarity = assign(next(similarities))
    null = np.array([assign(next(similarities))[2] for _ in range(n_null)])
    first, second = (columns, rows) if swapped else (rows, columns)
    order = np.argsort(first)
    ids = (a.dictionary_id, b.dictionary_id)
    return Matching(first[order], second[order], similarity[order], null[:, order], by, ids)


def require_one_encoder(a: Dictionary, b: Dictionary) -> None:
    """Refuse dictionaries whose directions lie in different embeddings.

    Parameters
    ----------
    a, b
        The dictionaries; one that names no encoder is taken to fit by its width.

    Raises
    ------
    DictionaryMismatchError
        If the encoders are known and differ, or the embeddings have different widths.
    """
    if a.encoder_id and b.encoder_id and a.encoder_id != b.encoder_id:
        msg = (
            f"Dictionary {a.dictionary_id} was trained on encoder {a.encoder_id}, {b.dictionary_id} on "
            f"encoder {b.encoder_id}; directions of different encoders do not compare. Train both on one."
        )
        raise DictionaryMismatchError(msg)
    if a.d_embed != b.d_embed:
        msg = (
            f"Dictionary {a.dictionary_id} is of {a.d_embed} coordinates, {b.dictionary_id} of {b.d_embed}; "
            "directions of different embeddings do not compare. Train both on one encoder."
        )
        raise DictionaryMismatchError(msg)


def _cells(
    embeddings: Embeddings | np.ndarray, dictionary: Dictionary, rng: np.random.Generator
) -> Float[np.ndarray, "cells d_embed"]:
    values = embedding_values(embeddings)
    require_width(values.shape[1], dictionary.d_embed, dictionary.dictionary_id)
    if isinstance(embeddings, Embeddings):
        names = {"dictionary_id": dictionary.dictionary_id, "encoder_id": dictionary.encoder_id}
        require_source(embeddings, **names)
    return values[np.sort(rng.permutation(len(values))[:MATCHED_CELLS])]


def assign(similarity: Similarity) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match rows and columns so that the sum of similarities is largest: rows, columns, similarities."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return rows, columns, similarity[rows, columns]


def cosine_draws(
    few: Dictionary, many: Dictionary, z: np.ndarray | None, rng: np.random.Generator
) -> Iterator[Similarity]:
    """Yield the cosines of two dictionaries, then of the first with random ones."""
    rows, columns = (_unit(each.directions.astype(np.float64)) for each in (few, many))
    both = np.concatenate([rows, columns])
    covariance = both.T @ both if z is None else np.cov(z.astype(np.float64), rowvar=False)
    spread, axes = np.linalg.eigh(np.atleast_2d(covariance))
    root = np.sqrt(np.maximum(spread, 0))[:, None] * axes.T
    yield np.clip(rows @ columns.T, -1, 1)
    while True:
        yield np.clip(rows @ _unit(rng.normal(size=columns.shape) @ root).T, -1, 1)


def _unit(directions: Float[np.ndarray, "concepts d_embed"]) -> Float[np.ndarray, "concepts d_embed"]:
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))


def correlation_draws(rows: Csr, columns: Csr, rng: np.random.Generator) -> Iterator[Similarity]:
    """Yield the correlations of activations, then those with the cells of the second in random order."""
    yield correlations(rows, columns)
    while True:
        yield correlations(rows, columns[rng.permutation(columns.shape[0])])


def correlations(a: Csr, b: Csr) -> Float[np.ndarray, "concepts_a concepts_b"]:
    """Correlate the columns of two sparse matrices over their common rows.

    Parameters
    ----------
    a, b
        Activations of the same cells, CSR ``(n_cells, n_concepts)``.

    Returns
    -------
    Pearson correlations; 0 where a column does not vary.
    """
    n_cells = a.shape[0]
    (mean_a, sd_a), (mean_b, sd_b) = _moments(a), _moments(b)
    products = (a.astype(np.float64).T @ b.astype(np.float64)).toarray()
    covariance = products / n_cells - np.outer(mean_a, mean_b)
    scale = np.outer(sd_a, sd_b)
    found = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
    return np.clip(found, -1, 1)


def _moments(activations: Csr) -> tuple[np.ndarray, np.ndarray]:
    values = activations.astype(np.float64)
    mean = np.asarray(values.mean(axis=0)).ravel()
    square = np.asarray(values.multiply(values).mean(axis=0)).ravel()
    variance = square - mean**2
    return mean, np.sqrt(np.where(variance > 1e-12 * square, variance, 0))
