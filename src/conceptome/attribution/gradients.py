"""Gradient attribution: what the slope of the model says that each gene does, without editing a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from anndata import AnnData
from jaxtyping import Bool, Float, Int

from conceptome.attribution.edit_effects import open_probe
from conceptome.core import (
    Dictionary,
    Differentiable,
    Edits,
    Effects,
    Encoder,
    InputError,
    Names,
    Pairs,
    ThresholdedConcepts,
    require_at_least,
    require_choice,
)
from conceptome.counterfactuals.clusters import cluster_labels

GradientMethod: TypeAlias = Literal["integrated_gradients", "gradient"]

PAIRS_PER_CALL = 512  # bounds the memory


@dataclass(frozen=True, eq=False)
class GradientProbe:
    """Asks an encoder and a dictionary for the gradients of concepts between the cells of pairs."""

    adata: AnnData
    encoder: Encoder
    slopes: Differentiable
    """The same encoder, by its other face."""
    dictionary: Dictionary
    known: Bool[np.ndarray, " genes"]
    fractions: tuple[float, ...]
    """Points of the way from counterfactual to factual that are averaged over."""
    batch_size: int
    device: str

    method: GradientMethod

    @property
    def units(self) -> Names:
        """What effects are of: the genes of the data."""
        names: Names = self.adata.var_names
        return names

    @property
    def compares(self) -> bool:
        """Whether effects are of the difference between two cells; null pairs then say what chance does."""
        return True

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the effects, besides cells and pairs."""
        return {"intervention": self.method, "fractions": list(self.fractions)}

    def noise(self, pairs: Pairs) -> float:  # noqa: ARG002
        """Return 0: nothing is edited."""
        return 0.0

    def effects(self, parts: Sequence[Pairs], concept: int) -> list[Effects]:
        """Average gradient times difference over the way, for every gene and pair of one concept.

        Parameters
        ----------
        parts
            Pairs, all of this concept.
        concept
            The concept.

        Returns
        -------
        For each part one row per pair.

        Raises
        ------
        InputError
            If the concept's activation is not its own pre-activation or 0.
        """
        return [self._effects(pairs, concept) for pairs in parts]

    def _effects(self, pairs: Pairs, concept: int) -> Effects:
        cotangent = self._slope_of(concept)
        rows, places = np.unique([pairs.factual, pairs.counterfactual], return_inverse=True)
        factual, counterfactual = places.reshape(2, len(pairs))
        view = self.adata[rows]
        parts = [
            self._walk(view, concept, cotangent, start=counterfactual[part], end=factual[part])
            for part in np.split(np.arange(len(pairs)), range(PAIRS_PER_CALL, len(pairs), PAIRS_PER_CALL))
        ]
        act, pre = (np.concatenate(found) for found in zip(*parts, strict=True))
        values = self.encoder.expression(view)
        differs = (values[factual].toarray() != values[counterfactual].toarray()) | (pre != 0)
        act[:, ~self.known] = pre[:, ~self.known] = np.nan
        return Effects(
            concept=concept,
            act=act,
            pre=pre,
            differs=differs & self.known,
            activation=self._activation(view, concept)[factual],
            cluster=cluster_labels(factual, counterfactual),
            factual=pairs.pair,
        )

    def _walk(
        self,
        view: AnnData,
        concept: int,
        cotangent: Float[np.ndarray, " d_embed"],
        *,
        start: Int[np.ndarray, " pairs"],
        end: Int[np.ndarray, " pairs"],
    ) -> tuple[Float[np.ndarray, "pairs genes"], Float[np.ndarray, "pairs genes"]]:
        """Return the effects on activation and pre-activation."""
        act, pre = np.zeros((2, len(start), view.n_vars))
        steps = self.slopes.along(
            view, start=start, end=end, fractions=self.fractions, cotangent=cotangent, device=self.device
        )
        for embedding, moved in steps:
            pre += moved
            act += np.where(self._read(embedding, concept)[:, None] > 0, moved, 0.0)
        return act / len(self.fractions), pre / len(self.fractions)

    def _activation(self, view: AnnData, concept: int) -> Float[np.ndarray, " cells"]:
        own = Edits.noop(view.n_obs)
        embedding = self.encoder.embed_edits(view, own, batch_size=self.batch_size, device=self.device)
        return self._read(embedding, concept)

    def _read(
        self, embedding: Float[np.ndarray, "cells d_embed"], concept: int
    ) -> Float[np.ndarray, " cells"]:
        return np.asarray(self.dictionary.activate_one(self.dictionary.preactivations(embedding), concept))

    def _slope_of(self, concept: int) -> Float[np.ndarray, " d_embed"]:
        """Return the derivative of the concept's pre-activation by the embedding, the same everywhere."""
        dictionary = self.dictionary
        rule = dictionary.concept_rule(concept) if isinstance(dictionary, ThresholdedConcepts) else None
        if rule is None:
            msg = (
                f"Concepts of a {dictionary.kind!r} dictionary have no simple gradient: an activation is not "
                "a linear function of the embedding that is let through or not. Use "
                "intervention='substitute', which takes any dictionary."
            )
            raise InputError(msg)
        return np.asarray(rule.weights[concept])


def gradient_effects(  # noqa: PLR0913 (the face of `effects`)
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    pairs: Pairs,
    *,
    concept: int,
    method: GradientMethod = "integrated_gradients",
    n_steps: int = 20,
    batch_size: int = 4096,
    device: str = "cpu",
) -> Effects:
    """Estimate the effect of every gene in the pairs of one concept from gradients.

    Both methods multiply the difference x - x' between factual and counterfactual, in what the encoder's
    network reads, by a slope: ``"gradient"`` by that at x, ``"integrated_gradients"`` [Sundararajan17] by its
    mean over the straight way from x' to x. The former is what a substitution does to first order. The latter
    sums to p(x) - p(x') over genes, up to the error of the steps. TopK is taken anew at every point: where
    the concept is inactive, the slope of its activation is 0. What the activation jumps by when TopK lets the
    concept in is in no slope, so that effects on the activation do not sum to a(x) - a(x').

    Parameters
    ----------
    adata
        The cells that `pairs` was made from.
    encoder
        The encoder whose embeddings the dictionary was trained on; it must be `Differentiable`.
    dictionary
        A dictionary whose activations are pre-activations that are let through or not; not k-means or NMF.
    pairs
        Pairs of any number of concepts; ``pairs.null`` for the effects in null pairs.
    concept
        The concept to look at.
    method
        ``"integrated_gradients"`` or ``"gradient"``.
    n_steps
        Midpoints of equal steps of the way at which integrated gradients are taken.
    batch_size
        Cells per forward pass where activations are computed; changes no result.
    device
        Where the encoder runs.

    Returns
    -------
    Effects on activation and pre-activation; positive = the gene supports the concept. A gene counts as
    differing where its value differs, or what the network reads of it does (as scGPT's bins may).

    Raises
    ------
    InputError
        If the parts do not belong together, the concept has no pairs, or encoder or dictionary have no
        gradients.
    DictionaryMismatchError
        If `pairs` or `encoder` belong to another dictionary.
    """
    probe = open_gradients(
        adata,
        encoder,
        dictionary,
        pairs,
        method=method,
        n_steps=n_steps,
        batch_size=batch_size,
        device=device,
    )
    return probe.effects([pairs.of(concept)], concept)[0]


def open_gradients(  # noqa: PLR0913
    adata: AnnData,
    encoder: Encoder,
    dictionary: Dictionary,
    pairs: Pairs,
    *,
    method: GradientMethod = "integrated_gradients",
    n_steps: int = 20,
    batch_size: int = 4096,
    device: str = "cpu",
) -> GradientProbe:
    """Check that the parts belong together and have gradients.

    Parameters
    ----------
    adata, encoder, dictionary, pairs, method, n_steps, batch_size, device
        As for `gradient_effects`.

    Returns
    -------
    The probe, for any concept of `pairs`.

    Raises
    ------
    InputError
        If `pairs` was made from other cells, there is no such method, or the encoder has no gradients.
    DictionaryMismatchError
        If dictionary, pairs and encoder do not belong together.
    """
    require_choice("method", method, get_args(GradientMethod))
    require_at_least("n_steps", n_steps, 1)
    open_probe(
        adata, encoder, dictionary, pairs, intervention="substitute", batch_size=batch_size, device=device
    )
    if not isinstance(encoder, Differentiable):
        msg = (
            f"Encoder {encoder.name!r} has no gradients: it has no method along(). Geneformer has none "
            "because it reads ranks, which do not change by degrees. Use intervention='substitute'."
        )
        raise InputError(msg)
    midpoints = (np.arange(n_steps) + 0.5) / n_steps
    fractions = (1.0,) if method == "gradient" else tuple(midpoints.tolist())
    known = encoder.known(adata)
    return GradientProbe(adata, encoder, encoder, dictionary, known, fractions, batch_size, device, method)
