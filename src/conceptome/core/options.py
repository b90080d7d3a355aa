"""Checks of what a caller chose: closed options and numbers with a lower bound."""

from __future__ import annotations

import math
from collections.abc import Sequence

from conceptome.core.errors import InputError


def require_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Refuse a value that is not one of the choices.

    Parameters
    ----------
    name
        Name of the option.
    value
        What was chosen.
    choices
        What may be chosen, such as ``get_args`` of a ``Literal``.

    Raises
    ------
    InputError
        If it is none of them.
    """
    if value not in choices:
        msg = f"{name} is {value!r}, expected one of {', '.join(map(str, choices))}."
        raise InputError(msg)


def require_at_least(name: str, value: int | float, least: int | float) -> None:
    """Refuse a number below the least one.

    Parameters
    ----------
    name
        Name of the option.
    value
        What was chosen.
    least
        The least admissible number.

    Raises
    ------
    InputError
        If it is below; NaN is.
    """
    if not value >= least:
        msg = f"{name} is {value}, expected at least {least}."
        raise InputError(msg)


def require_positive(name: str, value: int | float) -> None:
    """Refuse a number that is not above 0 and finite.

    Parameters
    ----------
    name
        Name of the option.
    value
        What was chosen.

    Raises
    ------
    InputError
        If it is not; NaN is not.
    """
    if not 0 < value < math.inf:
        msg = f"{name} is {value}, expected a number above 0."
        raise InputError(msg)
