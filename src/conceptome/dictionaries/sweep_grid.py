"""The settings of a sweep: sizes times active concepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import product
from typing import Any

from conceptome.core import InputError
from conceptome.dictionaries.options import TrainingOptions

N_SIZES, LEAST_CONCEPTS = 5, 8
N_KS, LEAST_K = 3, 2


def lay_out(
    family: TrainingOptions[Any],
    *,
    n_concepts: Sequence[int] | None,
    k: Sequence[int] | None,
    n_cells: int,
    d_embed: int,
) -> list[TrainingOptions[Any]]:
    """List the settings of a sweep, large to small.

    Parameters
    ----------
    family
        Options of all settings; a size or k that they name is the only one.
    n_concepts, k
        As asked for. None = the family's default and its halves.
    n_cells, d_embed
        Shape of the embedding, on which the defaults depend.

    Returns
    -------
    Options that differ in `n_concepts` and `k`.

    Raises
    ------
    InputError
        If nothing is left, an axis is given twice, or k for a family without.
    """
    n_train = round(n_cells * (1 - family.heldout_fraction) * (1 - family.validation_fraction))
    usual: Any = family.resolve(d_embed=d_embed, n_train=n_train)
    sizes = _axis("n_concepts", family, n_concepts, _halves(usual.n_concepts, N_SIZES, LEAST_CONCEPTS))
    if not has_k(family):
        if k is not None:
            msg = f"{type(family).__name__} has no k; its L0 follows from other options. Leave k out."
            raise InputError(msg)
        return [replace(family, n_concepts=size) for size in sizes]
    ks = _axis("k", family, k, _halves(usual.k, N_KS, LEAST_K))
    kept: list[dict[str, Any]] = [
        {"n_concepts": size, "k": active} for size, active in product(sizes, ks) if size >= 2 * active
    ]
    if not kept:
        msg = (
            f"No setting is left: every n_concepts of {sizes} is below twice every k of {ks}. Give larger "
            "n_concepts or smaller k."
        )
        raise InputError(msg)
    return [replace(family, **axes) for axes in kept]


def has_k(family: TrainingOptions[Any]) -> bool:
    """Tell whether a family is told how many concepts a cell activates."""
    return any(field.name == "k" for field in fields(family))


def setting_name(options: TrainingOptions[Any]) -> str:
    """Name a setting in a folder, such as ``n24_k4``."""
    k = f"_k{getattr(options, 'k', None)}" if has_k(options) else ""
    return f"n{options.n_concepts}{k}"


def _axis(
    name: str, family: TrainingOptions[Any], given: Sequence[int] | None, usual: list[int]
) -> list[int]:
    own: int | None = getattr(family, name)
    if own is None:
        chosen = usual if given is None else sorted(set(given), reverse=True)
        if not chosen:
            msg = f"{name} is an empty list. Give at least one number, or leave it out."
            raise InputError(msg)
        return chosen
    if given is not None:
        msg = f"{name} is {own} in the options and {list(given)} in the sweep. Give one of them."
        raise InputError(msg)
    return [own]


def _halves(largest: int, count: int, least: int) -> list[int]:
    halves = [-(-largest // 2**power) for power in range(count)]
    return [half for half in halves if half >= min(least, largest)]
