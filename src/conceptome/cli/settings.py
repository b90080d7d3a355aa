"""The settings of a run as options of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints


def add_input(parser: argparse.ArgumentParser) -> None:
    """Add the data and the file of settings."""
    from conceptome.pipeline.config import field_documentation

    parser.add_argument("data", nargs="?", metavar="DATA.h5ad", help=field_documentation()["data"])
    parser.add_argument(
        "--config", type=Path, metavar="FILE.toml", help="settings, named as below with underscores"
    )


def add_settings(
    parser: argparse.ArgumentParser, names: Sequence[str], *, show_defaults: bool = True
) -> None:
    """Add settings of a run as options, with the documentation and types of `RunConfig`.

    Parameters
    ----------
    parser
        Of the verb.
    names
        Fields of `RunConfig`; the data are not an option.
    show_defaults
        Whether the help names the defaults; not where an option left out keeps what a run has.
    """
    from conceptome.pipeline.config import RunConfig

    hints = get_type_hints(RunConfig)
    for field in fields(RunConfig):
        if field.name == "data" or field.name not in names:
            continue
        default = field.default if show_defaults else None
        settings: dict[str, Any] = {"help": _help(field.name, default), **_reader(hints[field.name])}
        parser.add_argument(f"--{field.name.replace('_', '-')}", dest=field.name, **settings)


def _help(name: str, default: object) -> str:
    from conceptome.pipeline.config import field_documentation

    text = field_documentation()[name].replace("%", "%%")
    if default is MISSING or default is None or default == ():
        return text
    shown = " ".join(default) if isinstance(default, tuple) else default
    return f"{text} (default: {shown})"


def _reader(hint: Any) -> dict[str, Any]:  # noqa: ANN401 - a type hint may be anything
    """Turn a field's type into argparse's words."""
    if get_origin(hint) is tuple:
        return {"nargs": "+", "action": "extend", "metavar": "TEXT"}
    kinds = get_args(hint) or (hint,)
    if isinstance(kinds[0], str):
        return {"choices": kinds}
    return {"type": kinds[0], "metavar": {int: "N", float: "X"}.get(kinds[0], "TEXT")}
