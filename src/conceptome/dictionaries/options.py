"""What every family of dictionaries can be told about its training, and what it must say of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args

import numpy as np

from conceptome.core import InputError, require_at_least, require_choice

if TYPE_CHECKING:
    from torch import Tensor

    from conceptome.dictionaries.affine import AffineDictionary
    from conceptome.dictionaries.autoencoder import Autoencoder, Outcome, Rule

SEEN_CELLS = 20_000_000
LEAST_PATIENCE = 5
WIDE = 256
"""Coordinates from which on training tries out where to start."""

Decay = Literal["plateau", "linear"]
Precision = Literal["float32", "bfloat16"]

D = TypeVar("D", bound="AffineDictionary")
F = TypeVar("F", bound="TrainingOptions[Any]")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(ABC, Generic[D]):
    """Options that all families share; None = a default that depends on the data.

    A family adds its own fields and says which activation rule it trains, what it adds to the loss and which
    dictionary comes out. `conceptome.dictionaries.train` asks nothing else of it.
    """

    n_concepts: int | None = field(default=None, kw_only=False)
    """Concepts in the dictionary. None = min(512, 8 d_embed, n_train / 10), at least 2 k."""
    max_epochs: int | None = None
    """Passes over the training cells at most; fewer when validation cells stop improving.
    None = 20 million cells in all, between 20 and 1,000 passes."""
    batch_size: int | None = None
    """Cells per step. None = n_train / 8, between 64 and 1,024; `TopK`: n_train / 128, because its sparse
    steps are fast for few cells too."""
    lr: float | None = None
    """Adam's learning rate at its highest. None = 0.003; `TopK`: 0.01 / d_embed^(1/4), at most
    1 / (16 sqrt(n_concepts))."""
    warmup_epochs: int = 0
    """Epochs in which the learning rate rises from 0."""
    decay: Decay = "plateau"
    """How it falls: to 0 over the last fifth of `max_epochs`; with "plateau" also to a fifth when validation
    cells stop improving, twice, until training ends at the third time; with "linear" all take place."""
    ema: float = 0.0
    """Share of its past that a running average of the weights keeps per step, such as 0.99; the average is
    what is measured and kept. 0 = the weights themselves."""
    axes: float | None = None
    """Share of the concepts that start as principal axes of the cells and their opposites; the others start
    as cells. Axes keep more of an embedding without sparse structure, and recover less of one that has it.
    None = 0; from 256 coordinates on 0 or 1, whichever is ahead on validation cells after a round of each."""
    dead_after: int | None = None
    """A concept that has not fired for so many cells is dead. None = 5 epochs."""
    k_aux: int | None = None
    """Dead concepts that reconstruct the residual of a cell [Gao24]. None = d_embed / 2."""
    aux_weight: float = 1 / 32
    """Weight of that reconstruction in the loss; 0 turns it off."""
    resample: bool = True
    """Whether dead concepts are pointed at badly reconstructed cells after each round (see `Checkpoint`)."""
    patience: int | None = None
    """Epochs without improvement on validation cells that make a plateau. None = a tenth of
    `max_epochs`, between 5 and 30."""
    validation_fraction: float = 0.1
    """Share of the training cells, at most 20,000, that choose the round and are not learned from."""
    heldout_fraction: float = 0.1
    """Share of cells, or of groups, that training never sees and fidelity is reported on."""
    precision: Precision = "float32"
    """Of products: "bfloat16" is faster on a GPU that computes in it. TopK on a processor selects the same
    concepts either way, scored in float32: with "float32" a rounded product finds out which may be among the
    strongest where the processor has one and the batch is large, with "bfloat16" it always does."""

    def __post_init__(self) -> None:
        for name in ("n_concepts", "max_epochs", "batch_size", "dead_after", "k_aux", "patience"):
            self._require_count(name)
        if self.axes is not None and not 0 <= self.axes <= 1:
            msg = f"{self._family}: axes is {self.axes}, expected a share between 0 and 1."
            raise InputError(msg)
        for name in ("validation_fraction", "heldout_fraction"):
            value = getattr(self, name)
            if not 0 < value <= 0.5:
                msg = f"{self._family}: {name} is {value}, expected a share above 0 and at most 0.5."
                raise InputError(msg)
        require_at_least(f"{self._family}: warmup_epochs", self.warmup_epochs, 0)
        require_choice(f"{self._family}: decay", self.decay, get_args(Decay))
        require_choice(f"{self._family}: precision", self.precision, get_args(Precision))
        if not 0 <= self.ema < 1:
            msg = f"{self._family}: ema is {self.ema}, expected a share of at least 0 and below 1."
            raise InputError(msg)
        self._require_positive("lr")
        if not 0 <= self.aux_weight < np.inf:
            msg = f"{self._family}: aux_weight is {self.aux_weight}, expected a number of at least 0."
            raise InputError(msg)

    @property
    def _family(self) -> str:
        return type(self).__name__

    def _require_count(self, name: str) -> None:
        value = getattr(self, name)
        if value is not None and (not isinstance(value, Integral) or value < 1):
            msg = f"{self._family}: {name} is {value}, expected a positive whole number."
            raise InputError(msg)

    def _require_k(self, k: int | None) -> None:
        self._require_count("k")
        if self.n_concepts is not None and k is not None:
            require_k(k, self.n_concepts)

    def _require_positive(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                msg = f"{self._family}: {name} is {value}, expected a number above 0."
                raise InputError(msg)

    def resolve(self: F, *, d_embed: int, n_train: int) -> F:
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
            If the defaults do not fit what was asked for.
        """
        max_epochs = self.epochs(n_train)
        usual: dict[str, Any] = {
            "max_epochs": max_epochs,
            "batch_size": min(1024, max(64, n_train // 8)),
            "lr": 0.003,
            "axes": 0.0 if d_embed < WIDE else None,
            "dead_after": 5 * n_train,
            "k_aux": max(1, d_embed // 2),
            "patience": max(LEAST_PATIENCE, tenth(max_epochs)),
        }
        usual |= self.own_defaults(d_embed=d_embed, n_train=n_train)
        asked = {name: value for name in usual if (value := getattr(self, name)) is not None}
        return replace(self, **usual | asked)

    def epochs(self, n_train: int) -> int:
        """Return how often training passes over its cells at most."""
        return self.max_epochs or max(20, min(1000, SEEN_CELLS // n_train))

    @abstractmethod
    def own_defaults(self, *, d_embed: int, n_train: int) -> dict[str, Any]:
        """Return `n_concepts`, the family's own fields, and what it does otherwise than others, filled in.

        Parameters
        ----------
        d_embed
            Width of the embedding.
        n_train
            Cells to learn from.

        Returns
        -------
        Values by the name of the field.
        """

    @abstractmethod
    def rule(self) -> Rule:
        """Make the activation rule that is trained."""

    def penalty(self, model: Autoencoder, x: Tensor, outcome: Outcome) -> Tensor | float:  # noqa: ARG002
        """Compute what the family adds to the FVU in the loss.

        Parameters
        ----------
        model
            The autoencoder.
        x
            Scaled cells, ``(n_cells, d_embed)``; their mean squared norm is d_embed.
        outcome
            What the autoencoder makes of them.

        Returns
        -------
        A scalar.
        """
        return 0.0

    @abstractmethod
    def dictionary(
        self, maps: dict[str, np.ndarray], *, mean: np.ndarray, scale: float, encoder_id: str
    ) -> D:
        """Make the dictionary of trained parameters.

        Parameters
        ----------
        maps
            State of the trained autoencoder by name; the rule's own begins with ``rule.``.
        mean, scale
            Scaled embedding = (embedding - mean) * scale.
        encoder_id
            Encoder of the embeddings.

        Returns
        -------
        The dictionary.
        """


@dataclass(frozen=True)
class Recipe:
    """What the training loop reads of a family's resolved options."""

    n_concepts: int
    max_epochs: int
    batch_size: int
    lr: float
    axes: float | None
    dead_after: int
    k_aux: int
    aux_weight: float
    resample: bool
    warmup_epochs: int
    decay: Decay
    ema: float
    patience: int
    precision: Precision

    @classmethod
    def of(cls, options: TrainingOptions[Any]) -> Recipe:
        """Take the fields from resolved options."""
        return cls(**{part.name: getattr(options, part.name) for part in fields(cls)})


def tenth(max_epochs: int) -> int:
    """Return a tenth of the epochs, between 2 and 30."""
    return max(2, min(30, max_epochs // 10))


def sizes(n_concepts: int | None, k: int | None, *, d_embed: int, n_train: int) -> dict[str, int]:
    """Fill in how many concepts there are and how many a cell activates.

    Parameters
    ----------
    n_concepts, k
        As asked for. None = min(512, 8 d_embed, n_train / 10), at least 2 k; d_embed / 2, between 2 and 16.
    d_embed
        Width of the embedding.
    n_train
        Cells to learn from.

    Returns
    -------
    Both, by name.

    Raises
    ------
    InputError
        If the default k is larger than the `n_concepts` asked for.
    """
    k = k or max(2, min(16, d_embed // 2))
    n_concepts = n_concepts or max(2 * k, min(512, 8 * d_embed, n_train // 10))
    require_k(k, n_concepts)
    return {"n_concepts": n_concepts, "k": k}


def require_k(k: int, n_concepts: int) -> None:
    """Refuse a cell that activates more concepts than there are.

    Parameters
    ----------
    k
        Active concepts per cell.
    n_concepts
        Concepts in the dictionary.

    Raises
    ------
    InputError
        If k is not between 1 and `n_concepts`.
    """
    if not 1 <= k <= n_concepts:
        msg = f"k is {k}, expected 1 to n_concepts = {n_concepts}. Choose a smaller k or more concepts."
        raise InputError(msg)


def resolved(value: T | None) -> T:
    """Return an option that has been filled in.

    Parameters
    ----------
    value
        The option.

    Returns
    -------
    The same.

    Raises
    ------
    InputError
        If it is None still.
    """
    if value is None:
        msg = "These options still depend on the data. Fill them in by options.resolve first."
        raise InputError(msg)
    return value
