"""JumpReLU sparse autoencoder [Rajamanoharan24]: every concept has a threshold of its own, learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from conceptome.core import InputError
from conceptome.dictionaries.affine import AffineDictionary, Weights
from conceptome.dictionaries.options import TrainingOptions, resolved, sizes, tenth
from conceptome.dictionaries.selection import keep_above

if TYPE_CHECKING:
    from torch import Tensor

    from conceptome.dictionaries.autoencoder import Autoencoder, Outcome, Rule


@dataclass(frozen=True, eq=False)
class ThresholdedWeights(Weights):
    """Parameters of a dictionary whose concepts have thresholds."""

    threshold: Float[np.ndarray, " concepts"]
    """In the units of pre-activations, above 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold.shape != self.b_enc.shape or not (self.threshold > 0).all():
            msg = (
                f"Weights: threshold has shape {self.threshold.shape} and the least value "
                f"{self.threshold.min(initial=np.inf):.3g}, expected one number above 0 for each of "
                f"{len(self.b_enc)} concepts."
            )
            raise InputError(msg)


class JumpReluDictionary(AffineDictionary):
    """A dictionary in which a concept is active above its own threshold.

    a = p where p > threshold, else 0.

    Parameters
    ----------
    weights
        Encoder, decoder, biases, mean and thresholds.
    scale, encoder_id, training
        As for `AffineDictionary`.
    """

    kind = "jumprelu"
    weights_type = ThresholdedWeights

    def __init__(
        self,
        weights: ThresholdedWeights,
        *,
        scale: float = 1.0,
        encoder_id: str = "",
        training: Mapping[str, Any] | None = None,
    ) -> None:
        self.threshold = weights.threshold
        super().__init__(weights, scale=scale, encoder_id=encoder_id, training=training)

    def activate(self, pre: Float[np.ndarray, "rows concepts"]) -> Float[np.ndarray, "rows concepts"]:
        """Keep the pre-activations above their concept's threshold."""
        return keep_above(pre, self.threshold.astype(pre.dtype))

    def activate_one(
        self, pre: Float[np.ndarray, "rows concepts"], concept: int
    ) -> Float[np.ndarray, " rows"]:
        """Compute the activation of a single concept; equals ``activate(pre)[:, concept]``."""
        return keep_above(pre[:, concept], float(self.threshold.astype(pre.dtype)[concept]))

    def _selection(self, concept: int) -> tuple[float, int | None] | None:
        return float(self.threshold[concept]), None


@dataclass(frozen=True)
class JumpReLU(TrainingOptions[JumpReluDictionary]):
    """Options of a JumpReLU sparse autoencoder [Rajamanoharan24]; None = a default that depends on the data.

    The loss adds ``l0_weight * (L0 / k - 1)^2``, which aims at k active concepts per cell; both L0 and the
    thresholds get gradients from a rectangle kernel around the threshold.
    """

    k: int | None = None
    """Concepts that a cell is to activate on average. None = d_embed / 2, between 2 and 16."""
    l0_weight: float = 1.0
    """Weight of the penalty. With small weights a cell activates more than k concepts."""
    bandwidth: float | None = None
    """Width of the kernel, in the units of pre-activations. None = a twentieth of sqrt(d_embed)."""

    shared_epochs: int | None = None
    """First epochs (beyond 256 MiB: rounds), in which all concepts share the threshold that lets k per cell
    through. With thresholds of their own from the start, many concepts keep to single cells. None = a tenth
    of `max_epochs`, between 2 and 30."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_k(self.k)
        self._require_count("shared_epochs")
        self._require_positive("l0_weight", "bandwidth")

    def own_defaults(self, *, d_embed: int, n_train: int) -> dict[str, Any]:
        """Return the sizes and the family's own fields, filled in."""
        return {
            **sizes(self.n_concepts, self.k, d_embed=d_embed, n_train=n_train),
            "bandwidth": self.bandwidth or 0.05 * float(np.sqrt(d_embed)),
            "shared_epochs": self.shared_epochs or tenth(self.epochs(n_train)),
        }

    def rule(self) -> Rule:
        """Make the activation rule that is trained."""
        from conceptome.dictionaries.rules import JumpReluRule

        return JumpReluRule(
            resolved(self.n_concepts),
            k=resolved(self.k),
            bandwidth=resolved(self.bandwidth),
            shared_epochs=resolved(self.shared_epochs),
        )

    def penalty(self, model: Autoencoder, x: Tensor, outcome: Outcome) -> Tensor | float:  # noqa: ARG002
        """Compute the penalty on L0."""
        rule: Any = model.rule
        excess = rule.l0(outcome.pre) / resolved(self.k) - 1
        penalty: Tensor = self.l0_weight * excess.square()
        return penalty

    def dictionary(
        self, maps: dict[str, np.ndarray], *, mean: np.ndarray, scale: float, encoder_id: str
    ) -> JumpReluDictionary:
        """Make the dictionary of trained parameters."""
        del maps["rule.shared_left"]
        threshold = np.exp(maps.pop("rule.log_threshold"))
        weights = ThresholdedWeights(**maps, mean=mean, threshold=threshold)
        return JumpReluDictionary(weights, scale=scale, encoder_id=encoder_id)
