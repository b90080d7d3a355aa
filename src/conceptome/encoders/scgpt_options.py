"""How scGPT reads cells, and what of it becomes the embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from conceptome.core import require_at_least, require_choice
from conceptome.encoders.precision import Precision
from conceptome.encoders.scgpt_network import Pooling
from conceptome.encoders.scgpt_tokens import Binning, Edit

Reads: TypeAlias = Literal["counts", "x"]

CHOICES = {"pooling": Pooling, "binning": Binning, "edit": Edit, "reads": Reads, "precision": Precision}


@dataclass(frozen=True)
class ScgptOptions:
    """How scGPT reads cells, and what of it becomes the embedding. The defaults are the published pipeline's.

    Raises
    ------
    InputError
        If a value is not one of its choices or too small.
    """

    pooling: Pooling = "cls"
    """Take the first position, the mean over genes, or the mean weighted by the genes' values."""
    layer: int = -1
    """Hidden state: 0 is the input of the first layer, -1 the output of the last."""
    binning: Binning = "deterministic"
    """Where a value may fall into several bins: the middle one, rounded half up; one drawn from a hash of
    seed, cell and gene, as the original draws it; or no bins, the values as they are."""
    edit: Edit = "values"
    """An edited count re-bins the whole cell, or (binned) that gene alone."""
    max_length: int = 1200
    """Longest sequence, with ``<cls>``; the highest genes are kept."""
    reads: Reads = "counts"
    """Raw counts, or X as it is (any rising transform of a cell's values gives the same bins)."""
    gene_key: str | None = None
    """Column of var with gene symbols; found by itself when left out."""
    precision: Precision = "float32"
    """Of the products when whole cells are embedded: auto takes bfloat16 where the hardware gains by it.
    Edits are always float32, because bfloat16 rounds by more than one gene's effect."""
    seed: int = 0
    """Of the draws under binning="stochastic"."""

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            require_choice(name, getattr(self, name), get_args(choices))
        require_at_least("max_length", self.max_length, 2)
        require_at_least("seed", self.seed, 0)
