"""The command line: one thin command per verb."""

from __future__ import annotations

import argparse
import logging
import sys
import traceback

import conceptome
from conceptome.cli import attribute, bundle, download, enrich, evaluate, look, run, train
from conceptome.cli.shared import EXIT_ERROR, EXIT_INTERRUPTED, at_home
from conceptome.core.errors import ConceptomeError


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments
        The words after ``conceptome``; those of the process when left out.

    Returns
    -------
    0 done, 1 a mistake that the user can mend, 130 interrupted; argparse itself exits with 2 on wrong usage.
    """
    words = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args([at_home(word) for word in words])
    _set_up_logging()
    try:
        return int(options.command(options))
    except ConceptomeError as error:
        if options.debug:
            traceback.print_exc()
        else:
            sys.stderr.write(f"conceptome: {error}\n")
        return EXIT_ERROR
    except OSError as error:
        if options.debug:
            traceback.print_exc()
        else:
            sys.stderr.write(
                f"conceptome: {error}. Check the path, its permissions and the space on the disk.\n"
            )
        return EXIT_ERROR
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. What is finished is kept; the same command continues from there.\n")
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="conceptome",
        description="Find out what a single-cell model has learned: concepts, driving genes, names, trust.",
    )
    parser.add_argument("--version", action="version", version=f"conceptome {conceptome.__version__}")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (run, train, attribute, enrich, evaluate, bundle, look, download):
        module.add_verbs(verbs)
    return parser


def _set_up_logging() -> None:
    """Send this package's messages to stderr, as it is now; other packages keep theirs."""
    package = logging.getLogger("conceptome")
    for earlier in [each for each in package.handlers if each.name == __name__]:
        package.removeHandler(earlier)
    handler = logging.StreamHandler()
    handler.name = __name__
    handler.setFormatter(logging.Formatter("%(message)s"))
    package.addHandler(handler)
    package.setLevel(logging.INFO)
    package.propagate = False
