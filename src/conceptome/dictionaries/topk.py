"""TopK sparse autoencoder [Gao24]: of each cell's concepts the k strongest are active."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from conceptome.dictionaries.affine import AffineDictionary, Weights
from conceptome.dictionaries.options import TrainingOptions, require_k, resolved, sizes
from conceptome.dictionaries.selection import keep_strongest, keep_strongest_one

if TYPE_CHECKING:
    from conceptome.dictionaries.autoencoder import Rule

LR_OF_WIDTH = 0.01  # the more coordinates, the smaller those of a unit direction
LR_OF_SIZE = 1 / 16  # the more concepts, the smaller the steps that each can take [Gao24]


class TopKDictionary(AffineDictionary):
    """A dictionary in which at most k concepts are active per cell.

    a = TopK_k(ReLU(p)). Equal pre-activations at the k-th place are decided by the lower concept index, so
    that encoding is a function.

    Parameters
    ----------
    weights
        Encoder, decoder, biases and mean.
    k
        Most concepts that a cell may activate.
    scale, encoder_id, training
        As for `AffineDictionary`.

    Raises
    ------
    InputError
        If k is not between 1 and the number of concepts.
    """

    kind = "topk"

    def __init__(
        self,
        weights: Weights,
        k: int,
        *,
        scale: float = 1.0,
        encoder_id: str = "",
        training: Mapping[str, Any] | None = None,
    ) -> None:
        require_k(k, len(weights.directions))
        self.k = int(k)
        super().__init__(weights, scale=scale, encoder_id=encoder_id, training=training)

    def settings(self) -> dict[str, Any]:
        """Return what besides the weights makes the dictionary what it is."""
        return {**super().settings(), "k": self.k}

    def activate(self, pre: Float[np.ndarray, "rows concepts"]) -> Float[np.ndarray, "rows concepts"]:
        """Keep the k largest positive pre-activations of each row.

        Parameters
        ----------
        pre
            Pre-activations, ``(n_rows, n_concepts)``, finite.

        Returns
        -------
        Activations of the same shape and type, with at most k non-zeros per row.
        """
        return keep_strongest(pre, self.k)

    def activate_one(
        self, pre: Float[np.ndarray, "rows concepts"], concept: int
    ) -> Float[np.ndarray, " rows"]:
        """Compute the activation of one concept by counting its rivals instead of sorting.

        Parameters
        ----------
        pre
            Pre-activations, ``(n_rows, n_concepts)``, finite.
        concept
            Index of the concept.

        Returns
        -------
        ``activate(pre)[:, concept]``, exactly.
        """
        return keep_strongest_one(pre, concept, k=self.k)

    def _selection(self, concept: int) -> tuple[float, int | None] | None:  # noqa: ARG002
        return 0.0, self.k


@dataclass(frozen=True)
class TopK(TrainingOptions[TopKDictionary]):
    """Options of a TopK sparse autoencoder [Gao24]; None = a default that depends on the data."""

    k: int | None = None
    """Most concepts that a cell may activate. None = d_embed / 2, between 2 and 16."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_k(self.k)

    def own_defaults(self, *, d_embed: int, n_train: int) -> dict[str, Any]:
        """Return the sizes and the family's own fields, filled in."""
        own = sizes(self.n_concepts, self.k, d_embed=d_embed, n_train=n_train)
        lr = min(LR_OF_WIDTH / d_embed**0.25, LR_OF_SIZE / own["n_concepts"] ** 0.5)
        return {**own, "batch_size": min(1024, max(64, n_train // 128)), "lr": lr}

    def rule(self) -> Rule:
        """Make the activation rule that is trained."""
        from conceptome.dictionaries.rules import TopKRule

        return TopKRule(resolved(self.k))

    def dictionary(
        self, maps: dict[str, np.ndarray], *, mean: np.ndarray, scale: float, encoder_id: str
    ) -> TopKDictionary:
        """Make the dictionary of trained parameters."""
        weights = Weights(**maps, mean=mean)
        return TopKDictionary(weights, resolved(self.k), scale=scale, encoder_id=encoder_id)
