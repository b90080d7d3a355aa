"""BatchTopK sparse autoencoder [Bussmann24]: k concepts per cell on average, more where a cell needs more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from conceptome.core import require_at_least
from conceptome.dictionaries.affine import AffineDictionary, Weights
from conceptome.dictionaries.options import TrainingOptions, resolved, sizes
from conceptome.dictionaries.selection import keep_above

if TYPE_CHECKING:
    from conceptome.dictionaries.autoencoder import Rule


class BatchTopKDictionary(AffineDictionary):
    """A dictionary in which concepts above one threshold are active.

    a = p where p > threshold, else 0. In training the k strongest per cell of a whole batch are kept; the
    threshold is the mean over batches of the smallest that was, so that a cell is encoded on its own.

    Parameters
    ----------
    weights
        Encoder, decoder, biases and mean.
    threshold
        In the units of pre-activations, 0 or above.
    scale, encoder_id, training
        As for `AffineDictionary`.

    Raises
    ------
    InputError
        If the threshold is negative or NaN.
    """

    kind = "batch_topk"

    def __init__(
        self,
        weights: Weights,
        threshold: float,
        *,
        scale: float = 1.0,
        encoder_id: str = "",
        training: Mapping[str, Any] | None = None,
    ) -> None:
        require_at_least("threshold", threshold, 0)
        self.threshold = float(threshold)
        super().__init__(weights, scale=scale, encoder_id=encoder_id, training=training)

    def settings(self) -> dict[str, Any]:
        """Return what besides the weights makes the dictionary what it is."""
        return {**super().settings(), "threshold": self.threshold}

    def activate(self, pre: Float[np.ndarray, "rows concepts"]) -> Float[np.ndarray, "rows concepts"]:
        """Keep the pre-activations above the threshold."""
        return keep_above(pre, self.threshold)

    def activate_one(
        self, pre: Float[np.ndarray, "rows concepts"], concept: int
    ) -> Float[np.ndarray, " rows"]:
        """Compute the activation of a single concept; equals ``activate(pre)[:, concept]``."""
        return keep_above(pre[:, concept], self.threshold)

    def _selection(self, concept: int) -> tuple[float, int | None] | None:  # noqa: ARG002
        return self.threshold, None


@dataclass(frozen=True)
class BatchTopK(TrainingOptions[BatchTopKDictionary]):
    """Options of a BatchTopK sparse autoencoder [Bussmann24]; None = a default that depends on the data."""

    k: int | None = None
    """Concepts that a cell activates on average. None = d_embed / 2, between 2 and 16."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_k(self.k)

    def own_defaults(self, *, d_embed: int, n_train: int) -> dict[str, Any]:
        """Return the sizes and the family's own fields, filled in."""
        return sizes(self.n_concepts, self.k, d_embed=d_embed, n_train=n_train)

    def rule(self) -> Rule:
        """Make the activation rule that is trained."""
        from conceptome.dictionaries.rules import BatchTopKRule

        return BatchTopKRule(resolved(self.k))

    def dictionary(
        self, maps: dict[str, np.ndarray], *, mean: np.ndarray, scale: float, encoder_id: str
    ) -> BatchTopKDictionary:
        """Make the dictionary of trained parameters."""
        threshold = float(maps.pop("rule.threshold"))
        weights = Weights(**maps, mean=mean)
        return BatchTopKDictionary(weights, threshold, scale=scale, encoder_id=encoder_id)
