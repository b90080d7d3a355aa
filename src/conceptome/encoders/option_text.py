"""Options written as FIELD=VALUE, read by the types of a dataclass's fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from conceptome.core import InputError
from conceptome.data.wording import did_you_mean

T = TypeVar("T")

_YES_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def read_options(kind: Callable[..., T], texts: Sequence[str]) -> T:
    """Build a dataclass of options.

    Parameters
    ----------
    kind
        The dataclass; its fields are numbers, texts, choices or switches, or None.
    texts
        ``FIELD=VALUE`` each; ``none`` stands for None.

    Returns
    -------
    The options; fields that are not named keep their default.

    Raises
    ------
    InputError
        If a text is malformed, names no field or one twice, or its value is of the wrong kind.
    """
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            msg = f"The encoder option {text!r} has no value. Write NAME=VALUE, such as {names[0]}=..."
            raise InputError(msg)
        if name not in names:
            near = did_you_mean(name, names)
            msg = f"The encoder has no option {name!r}; it has {', '.join(names)}.{near}"
            raise InputError(msg)
        if name in values:
            msg = f"The encoder option {name!r} is given twice. Give it once."
            raise InputError(msg)
        values[name] = _read(name, value, hints[name])
    return kind(**values)


def _read(name: str, text: str, hint: Any) -> Any:  # noqa: ANN401 (a type hint, and what it says)
    kinds = get_args(hint) if get_origin(hint) is not Literal else (hint,)
    kinds = kinds or (hint,)
    if NoneType in kinds and text.lower() == "none":
        return None
    kind = next(found for found in kinds if found is not NoneType)
    if kind is bool and text.lower() in _YES_NO:
        return _YES_NO[text.lower()]
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    elif kind is not bool:
        return text
    expected = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
    msg = f"The encoder option {name} is {text!r}, expected {expected}."
    raise InputError(msg)
