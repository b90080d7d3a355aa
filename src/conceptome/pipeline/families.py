"""Families of dictionaries by the names that a command line gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from conceptome import dictionaries
from conceptome.core import InputError, require_choice

if TYPE_CHECKING:
    from conceptome.dictionaries import TrainingOptions

Family = Literal["topk", "batch_topk", "jumprelu", "matryoshka", "relu_l1"]


def family_options(family: str, given: Mapping[str, int | None]) -> TrainingOptions[Any]:
    """Make the options of a family.

    Parameters
    ----------
    family
        Its name, as in saved dictionaries.
    given
        Options by name; those that are None stay at their default.

    Returns
    -------
    The options.

    Raises
    ------
    InputError
        If there is no such family, it has no such option, or a value is out of range.
    """
    require_choice("family", family, get_args(Family))
    cls: Any = {
        "topk": dictionaries.TopK,
        "batch_topk": dictionaries.BatchTopK,
        "jumprelu": dictionaries.JumpReLU,
        "matryoshka": dictionaries.Matryoshka,
        "relu_l1": dictionaries.ReluL1,
    }[family]
    values = {name: value for name, value in given.items() if value is not None}
    unknown = sorted(set(values) - {field.name for field in fields(cls)})
    if unknown:
        msg = (
            f"The family {family} has no {' and no '.join(unknown)}. Leave it out, or choose another family."
        )
        raise InputError(msg)
    options: TrainingOptions[Any] = cls(**values)
    return options
