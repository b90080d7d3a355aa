"""Options of the dictionary families, and the defaults that depend on the data."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

from conceptome.core import InputError

SEEN_CELLS = 20_000_000


@dataclass(frozen=True)
class TopK:
    """Options of a TopK sparse autoencoder [Gao24]; None = a default that depends on the data."""

    n_concepts: int | None = None
    """Concepts in the dictionary. None = min(512, 8 d_embed, n_train / 10), at least 2 k."""
    k: int | None = None
    """Most concepts that a cell may activate. None = d_embed / 2, between 2 and 16."""
    max_epochs: int | None = None
    """Passes over the training cells at most; training ends earlier when validation cells stop improving.
    None = 20 million cells in all, between 20 and 1,000 passes."""
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
    patience: int | None = None
    """Epochs without improvement on validation cells before the learning rate falls. None = a tenth of
    `max_epochs`, between 2 and 30."""
    validation_fraction: float = 0.1
    """Share of the training cells, at most 20,000, that choose the epoch and are not learned from."""
    heldout_fraction: float = 0.1
    """Share of cells, or of groups, that training never sees and fidelity is reported on."""

    def __post_init__(self) -> None:
        counts = ("n_concepts", "k", "max_epochs", "batch_size", "dead_after", "k_aux", "patience")
        for name in counts:
            value = getattr(self, name)
            if value is not None and (not isinstance(value, Integral) or value < 1):
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
        if self.n_concepts is not None and self.k is not None:
            _require_k(self.k, self.n_concepts)

    def resolve(self, *, d_embed: int, n_train: int) -> TopKRecipe:
        """Fill in what depends on the data.

        Parameters
        ----------
        d_embed
            Width of the embedding.
        n_train
            Cells to learn from.

        Returns
        -------
        The options with every default in place.

        Raises
        ------
        InputError
            If the default k is larger than the `n_concepts` asked for.
        """
        k = self.k or max(2, min(16, d_embed // 2))
        n_concepts = self.n_concepts or max(2 * k, min(512, 8 * d_embed, n_train // 10))
        _require_k(k, n_concepts)
        max_epochs = self.max_epochs or max(20, min(1000, SEEN_CELLS // n_train))
        return TopKRecipe(
            n_concepts=n_concepts,
            k=k,
            max_epochs=max_epochs,
            batch_size=self.batch_size or min(1024, max(64, n_train // 8)),
            lr=self.lr,
            dead_after=self.dead_after or 5 * n_train,
            k_aux=self.k_aux or max(1, d_embed // 2),
            aux_weight=self.aux_weight,
            patience=self.patience or max(2, min(30, max_epochs // 10)),
        )


@dataclass(frozen=True)
class TopKRecipe:
    """The options of `TopK` that the optimisation reads, with every default in place."""

    n_concepts: int
    k: int
    max_epochs: int
    batch_size: int
    lr: float
    dead_after: int
    k_aux: int
    aux_weight: float
    patience: int


def _require_k(k: int, n_concepts: int) -> None:
    if k > n_concepts:
        msg = f"k is {k}, expected 1 to n_concepts = {n_concepts}. Choose a smaller k or more concepts."
        raise InputError(msg)
