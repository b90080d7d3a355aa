"""What the verbs share."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXIT_DONE, EXIT_ERROR, EXIT_INTERRUPTED = 0, 1, 130


def add_verb(
    verbs: Any,  # noqa: ANN401 - argparse does not name this type
    name: str,
    text: str,
    command: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    """Add a verb with its one line of help.

    Parameters
    ----------
    verbs
        What ``add_subparsers`` returned.
    name
        The verb.
    text
        What it does, beginning with a small letter.
    command
        Does it, and returns the exit status.

    Returns
    -------
    The parser of its options.
    """
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}."
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(command=command)
    return parser


def at_home(word: str) -> str:
    """Put the home folder in the place of a ``~`` that the shell has left, as in ``--out=~/run``.

    Parameters
    ----------
    word
        A word of the command: a path, ``--option=path`` or ``model:path``.

    Returns
    -------
    The word with the folder's name.
    """
    return re.sub(r"^((?:--[\w-]+=)?(?:\w+:)?)~(?=/|$)", lambda start: start[1] + str(Path.home()), word)


def tell(text: str) -> None:
    """Print a result."""
    sys.stdout.write(text + "\n")
