"""ReLU sparse autoencoder with an L1 penalty [Bricken23]: the plainest family, and it shrinks activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptome.dictionaries.affine import AffineDictionary, Weights
from conceptome.dictionaries.options import TrainingOptions, sizes

if TYPE_CHECKING:
    from torch import Tensor

    from conceptome.dictionaries.autoencoder import Autoencoder, Outcome, Rule


class ReluL1Dictionary(AffineDictionary):
    """A dictionary in which every concept of positive pre-activation is active: a = ReLU(p)."""

    kind = "relu_l1"


@dataclass(frozen=True)
class ReluL1(TrainingOptions[ReluL1Dictionary]):
    """Options of a ReLU sparse autoencoder with an L1 penalty [Bricken23]; None = depends on the data.

    The loss adds ``l1_weight * sum(a) / sqrt(d_embed)`` per cell. Decoder directions have unit length, so
    that activations cannot escape the penalty by being small.
    """

    l1_weight: float = 0.15
    """Weight of the penalty, where 1 is the loss of knowing nothing but the mean; a larger one leaves fewer
    concepts active."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("l1_weight")

    def own_defaults(self, *, d_embed: int, n_train: int) -> dict[str, Any]:
        """Return the sizes and the family's own fields, filled in."""
        filled = sizes(self.n_concepts, None, d_embed=d_embed, n_train=n_train)
        return {"n_concepts": filled["n_concepts"]}

    def rule(self) -> Rule:
        """Make the activation rule that is trained."""
        from conceptome.dictionaries.autoencoder import Rule

        return Rule()

    def penalty(self, model: Autoencoder, x: Tensor, outcome: Outcome) -> Tensor | float:  # noqa: ARG002
        """Compute the penalty on the sum of activations."""
        return self.l1_weight * outcome.activations.sum(1).mean() / float(np.sqrt(x.shape[1]))

    def dictionary(
        self, maps: dict[str, np.ndarray], *, mean: np.ndarray, scale: float, encoder_id: str
    ) -> ReluL1Dictionary:
        """Make the dictionary of trained parameters."""
        return ReluL1Dictionary(Weights(**maps, mean=mean), scale=scale, encoder_id=encoder_id)
