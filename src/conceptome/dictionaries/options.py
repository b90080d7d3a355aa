"""Options of the dictionary families, and the defaults that depend on the data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from conceptome.core import InputError


@dataclass(frozen=True)
class TopK:
    """Options of a TopK sparse autoencoder [Gao24]; None = a default that depends on the data."""

    n_concepts: int | None = None
    """Concepts in the dictionary. None = min(512, 8 d_embed, n_train / 10), at least 2 k."""
    k: int | None = None
    """Most concepts that a cell may activate. None = d_embed / 2, between 2 and 16."""
    max_epochs: int = 1000
    """Passes over the training cells at most; training ends earlier when validation cells stop improving."""
    batch_size: int | None = None
    """Cells per step. None = n_train / 8, between 64 and 1,024."""
    lr: float = 3e-3
    """Adam's learning rate; lowered on plateaus."""
    dead_after: int | None = None
    """A concept that has not fired for so many cells is dead. None = 5 epochs."""
    k_aux: int | None = None
    """Dead concepts that reconstruct the residual of a cell. None = d_embed / 2."""
    aux_weight: float = 1 / 32
    """Weight of that reconstruction in the loss; 0 turns it off."""
    patience: int = 30
    """Epochs without improvement on validation cells before the learning rate falls."""
    validation_fraction: float = 0.1
    """Share of the training cells that choose the epoch and are not learned from."""
    heldout_fraction: float = 0.1
    """Share of cells, or of groups, that training never sees and fidelity is reported on."""

    def __post_init__(self) -> None:
        counts = ("n_concepts", "k", "max_epochs", "batch_size", "dead_after", "k_aux", "patience")
        for name in counts:
            value = getattr(self, name)
            if value is not None and value < 1:
                msg = f"TopK: {name} is {value}, expected a positive whole number."
                raise InputError(msg)
        for name in ("validation_fraction", "heldout_fraction"):
            value = getattr(self, name)
            if not 0 < value <= 0.5:
                msg = f"TopK: {name} is {value}, expected a share above 0 and at most 0.5."
                raise InputError(msg)
        if self.lr <= 0 or self.aux_weight < 0:
            msg = (
                f"TopK: lr is {self.lr} and aux_weight {self.aux_weight}, "
                "expected lr > 0 and aux_weight >= 0."
            )
            raise InputError(msg)
        if self.n_concepts is not None and self.k is not None and self.k > self.n_concepts:
            msg = (
                f"k is {self.k}, expected 1 to n_concepts = {self.n_concepts}. "
                "Choose a smaller k or more concepts."
            )
            raise InputError(msg)

    def resolve(self, *, d_embed: int, n_train: int) -> TopK:
        """Fill in what depends on the data.

        Parameters
        ----------
        d_embed
            Width of the embedding.
        n_train
            Cells to learn from.

        Returns
        -------
        Options without None.

        Raises
        ------
        InputError
            If the k that results is larger than `n_concepts`.
        """
        k = self.k or max(2, min(16, d_embed // 2))
        return replace(
            self,
            k=k,
            n_concepts=self.n_concepts or max(2 * k, min(512, 8 * d_embed, n_train // 10)),
            batch_size=self.batch_size or min(1024, max(64, n_train // 8)),
            dead_after=self.dead_after or 5 * n_train,
            k_aux=self.k_aux or max(1, d_embed // 2),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain data."""
        return asdict(self)
