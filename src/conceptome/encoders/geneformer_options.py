"""How Geneformer reads cells, and what of it becomes the embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from conceptome.core import require_choice
from conceptome.encoders.geneformer_network import Pooling
from conceptome.encoders.geneformer_tokens import Edit
from conceptome.encoders.precision import Precision

CHOICES = {"pooling": Literal["auto", Pooling], "edit": Edit, "precision": Precision}


@dataclass(frozen=True)
class GeneformerOptions:
    """How Geneformer reads cells, and what of it becomes the embedding. The defaults are as published.

    Raises
    ------
    InputError
        If a value is not one of its choices.
    """

    pooling: Literal["auto", "cls", "mean"] = "auto"
    """Take ``<cls>``, or the mean over genes; auto: ``<cls>`` where the model has it (V2), else the mean."""
    layer: int = -2
    """Hidden state: 0 is the input of the first layer, -1 the output of the last. The original's emb_layer
    counts otherwise: its -1 (default) is -2 here, its 0 is -1."""
    edit: Edit = "values"
    """An edited count re-ranks the whole cell, and in a long cell the next gene may enter; or (delete, the
    original's in-silico perturbation) no gene takes the place of one that leaves."""
    gene_key: str | None = None
    """Column of var with Ensembl ids; found by itself when left out."""
    precision: Precision = "float32"
    """Of the products when whole cells are embedded: auto takes bfloat16 where the hardware gains by it.
    Edits are always float32, because bfloat16 rounds by more than one gene's effect."""

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            require_choice(name, getattr(self, name), get_args(choices))
