"""More dictionaries by the recipe of one."""

from __future__ import annotations

from typing import Any

from conceptome.core import Dictionary, Embeddings, InputError
from conceptome.dictionaries import (
    AffineDictionary,
    BatchTopK,
    JumpReLU,
    Matryoshka,
    ReluL1,
    TopK,
    TrainingOptions,
    train,
)

RECIPES: dict[str, type[TrainingOptions[Any]]] = {
    "topk": TopK,
    "batch_topk": BatchTopK,
    "jumprelu": JumpReLU,
    "matryoshka": Matryoshka,
    "relu_l1": ReluL1,
}


def recipe_of(dictionary: Dictionary) -> TrainingOptions[Any] | None:
    """Return the options that a dictionary was trained with; None where it names none."""
    options = getattr(dictionary, "training", {}).get("options")
    family = RECIPES.get(dictionary.kind)
    return None if options is None or family is None else family(**options)


def train_like(
    dictionary: Dictionary, embeddings: Embeddings, *, seed: int, groups: list[str] | None
) -> AffineDictionary:
    """Train a dictionary by the recipe of another.

    Parameters
    ----------
    dictionary
        Whose family, size and training options are taken.
    embeddings
        Cells to train on.
    seed
        Of the new one.
    groups
        Donor of each cell, for holding out whole donors; used where the other one held out donors.

    Returns
    -------
    The dictionary.

    Raises
    ------
    InputError
        If the dictionary names no training options.
    """
    options = recipe_of(dictionary)
    if options is None:
        msg = (
            f"Dictionary {dictionary.dictionary_id} ({dictionary.kind}) names no training options, so that "
            "no other seed of it can be trained. Give dictionaries of several seeds, or n_seeds=1."
        )
        raise InputError(msg)
    split = getattr(dictionary, "training", {}).get("split") or {}
    by_donor = groups if split.get("by") == "group" else None
    trained: AffineDictionary = train(embeddings, options, seed=seed, groups=by_donor, progress=False)
    return trained
