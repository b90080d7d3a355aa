"""Matryoshka sparse autoencoder [Bussmann25]: the first concepts alone already reconstruct the embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from conceptome.core import InputError, require_at_least, require_choice
from conceptome.dictionaries.affine import AffineDictionary, Weights
from conceptome.dictionaries.options import TrainingOptions, require_k, resolved, sizes
from conceptome.dictionaries.selection import keep_above, keep_strongest, keep_strongest_one

if TYPE_CHECKING:
    from torch import Tensor

    from conceptome.dictionaries.autoencoder import Autoencoder, Outcome, Rule

Activation = Literal["topk", "batch_topk"]


class MatryoshkaDictionary(AffineDictionary):
    """A dictionary whose concepts are nested: broad ones first, finer ones added by every prefix.

    Activations are those of a TopK dictionary, or of a BatchTopK dictionary. Activations of the first
    ``prefixes[i]`` concepts, the others set to 0, decode to the reconstruction at level i.

    Parameters
    ----------
    weights
        Encoder, decoder, biases and mean.
    prefixes
        Numbers of concepts, increasing; the last is n_concepts.
    k
        Most concepts that a cell may activate; None where a threshold decides.
    threshold
        What a pre-activation must exceed; None where k decides.
    scale, encoder_id, training
        As for `AffineDictionary`.

    Raises
    ------
    InputError
        If the prefixes are not increasing up to n_concepts, or not exactly one of k and threshold is given.
    """

    kind = "matryoshka"

    def __init__(
        self,
        weights: Weights,
        prefixes: Sequence[int],
        *,
        k: int | None = None,
        threshold: float | None = None,
        scale: float = 1.0,
        encoder_id: str = "",
        training: Mapping[str, Any] | None = None,
    ) -> None:
        _require_prefixes(prefixes, len(weights.directions))
        if (k is None) == (threshold is None):
            msg = f"k is {k} and threshold {threshold}, expected one of them and None for the other."
            raise InputError(msg)
        if k is not None:
            require_k(k, len(weights.directions))
        if threshold is not None:
            require_at_least("threshold", threshold, 0)
        self.prefixes = tuple(int(width) for width in prefixes)
        self.k, self.threshold = k, threshold
        super().__init__(weights, scale=scale, encoder_id=encoder_id, training=training)

    def settings(self) -> dict[str, Any]:
        """Return what besides the weights makes the dictionary what it is."""
        own = {"prefixes": list(self.prefixes), "k": self.k, "threshold": self.threshold}
        return {**super().settings(), **own}

    def activate(self, pre: Float[np.ndarray, "rows concepts"]) -> Float[np.ndarray, "rows concepts"]:
        """Keep the k strongest of each row, or those above the threshold."""
        return keep_strongest(pre, self.k) if self.k else keep_above(pre, resolved(self.threshold))

    def activate_one(
        self, pre: Float[np.ndarray, "rows concepts"], concept: int
    ) -> Float[np.ndarray, " rows"]:
        """Compute the activation of a single concept; equals ``activate(pre)[:, concept]``."""
        if self.k:
            return keep_strongest_one(pre, concept, k=self.k)
        return keep_above(pre[:, concept], resolved(self.threshold))

    def _selection(self, concept: int) -> tuple[float, int | None] | None:  # noqa: ARG002
        return (0.0, self.k) if self.k else (resolved(self.threshold), None)


@dataclass(frozen=True)
class Matryoshka(TrainingOptions[MatryoshkaDictionary]):
    """Options of a Matryoshka sparse autoencoder [Bussmann25]; None = a default that depends on the data.

    The loss is the sum of the FVU of the reconstructions from every prefix.
    """

    k: int | None = None
    """Concepts that a cell activates, at most (TopK) or on average (BatchTopK). None = d_embed / 2, between
    2 and 16."""
    prefixes: tuple[int, ...] | None = None
    """Numbers of concepts, increasing up to `n_concepts`. None = an eighth, a quarter, half and all."""
    activation: Activation = "batch_topk"
    """How concepts are selected."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_k(self.k)
        require_choice("Matryoshka: activation", self.activation, get_args(Activation))
        if self.prefixes is not None:
            _require_prefixes(self.prefixes, self.n_concepts or max(self.prefixes, default=0))

    def own_defaults(self, *, d_embed: int, n_train: int) -> dict[str, Any]:
        """Return the sizes and the family's own fields, filled in."""
        n_concepts = self.prefixes[-1] if self.prefixes else self.n_concepts
        filled = sizes(n_concepts, self.k, d_embed=d_embed, n_train=n_train)
        total = filled["n_concepts"]
        prefixes = self.prefixes or tuple(sorted({max(1, total // part) for part in (8, 4, 2, 1)}))
        return {**filled, "prefixes": prefixes}

    def rule(self) -> Rule:
        """Make the activation rule that is trained."""
        from conceptome.dictionaries.rules import BatchTopKRule, TopKRule

        k = resolved(self.k)
        return TopKRule(k) if self.activation == "topk" else BatchTopKRule(k)

    def penalty(self, model: Autoencoder, x: Tensor, outcome: Outcome) -> Tensor | float:
        """Sum the FVU of the reconstructions from all prefixes but the whole dictionary."""
        total: Tensor | float = 0.0
        for width in resolved(self.prefixes)[:-1]:
            x_hat = outcome.activations[:, :width] @ model.directions[:width] + model.b_dec
            total = total + (x - x_hat).square().sum(1).mean() / x.shape[1]
        return total

    def dictionary(
        self, maps: dict[str, np.ndarray], *, mean: np.ndarray, scale: float, encoder_id: str
    ) -> MatryoshkaDictionary:
        """Make the dictionary of trained parameters."""
        threshold = maps.pop("rule.threshold", None)
        return MatryoshkaDictionary(
            Weights(**maps, mean=mean),
            resolved(self.prefixes),
            k=self.k if threshold is None else None,
            threshold=None if threshold is None else float(threshold),
            scale=scale,
            encoder_id=encoder_id,
        )


def _require_prefixes(prefixes: Sequence[int], n_concepts: int) -> None:
    increasing = all(one < other for one, other in pairwise(prefixes))
    if not prefixes or prefixes[0] < 1 or not increasing or prefixes[-1] != n_concepts:
        msg = f"prefixes are {tuple(prefixes)}, expected increasing numbers up to n_concepts = {n_concepts}."
        raise InputError(msg)
