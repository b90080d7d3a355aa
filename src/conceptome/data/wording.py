"""Words that error messages share: a few of many names, and the name that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

N_SHOWN = 5


def some(names: Iterable[object], *, shown: int = N_SHOWN) -> str:
    """List the first few names and say how many follow.

    Parameters
    ----------
    names
        Names to list, in their order.
    shown
        How many to spell out.

    Returns
    -------
    Text such as ``"CD3D, CD3E and 12 more"``; ``"none"`` for an empty list.
    """
    listed = [str(name) for name in names]
    if not listed:
        return "none"
    rest = len(listed) - shown
    text = ", ".join(listed[:shown])
    return f"{text} and {rest:,} more" if rest > 0 else text


def nearest(name: str, options: Sequence[str]) -> str:
    """Find the existing name that was probably meant.

    Parameters
    ----------
    name
        The name that was asked for.
    options
        The names that exist.

    Returns
    -------
    The closest of them, whatever the case of its letters; an empty text if none is near.
    """
    by_lower = {option.lower(): option for option in options}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else ""


def did_you_mean(name: str, options: Sequence[str]) -> str:
    """Suggest the closest of the existing names, as a sentence.

    Parameters
    ----------
    name
        The name that was asked for.
    options
        The names that exist.

    Returns
    -------
    ``" Did you mean 'cell_type'?"`` with a leading blank, or an empty text if none is near.
    """
    near = nearest(name, options)
    return f" Did you mean {near!r}?" if near else ""
