"""conceptome data: what can be fetched."""

from __future__ import annotations

import argparse
from typing import Any

from conceptome.cli.shared import EXIT_DONE, add_verb, tell


def add_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse does not name this type
    """Add the verb ``data`` with its actions."""
    text = "list or fetch pretrained models and gene tables"
    group = verbs.add_parser("data", help=text, description=f"{text.capitalize()}.")
    actions = group.add_subparsers(required=True, metavar="ACTION")
    add_verb(actions, "list", "list what can be fetched, and what is in the cache", _list)
    parser = add_verb(actions, "fetch", "fetch one of them; continues an interrupted download", _fetch)
    parser.add_argument("name", metavar="NAME", help="one of those that conceptome data list shows")
    parser.add_argument("--to", metavar="DIR", help="folder for the files (default: one in the cache)")
    parser.add_argument("--verify", action="store_true", help="compare the checksums of files already there")


def _list(options: argparse.Namespace) -> int:  # noqa: ARG001 - every command takes its options
    from conceptome import data

    tell(data.describe_downloads())
    return EXIT_DONE


def _fetch(options: argparse.Namespace) -> int:
    from conceptome import data

    folder = data.fetch(options.name, to=options.to, verify=options.verify)
    tell(data.describe_fetched(options.name, folder))
    return EXIT_DONE
