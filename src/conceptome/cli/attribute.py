"""conceptome attribute: the genes that drive the concepts of a run."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from conceptome.cli.settings import add_settings
from conceptome.cli.shared import EXIT_DONE, add_verb, tell

SETTINGS = (
    *("n_pairs", "n_counterfactuals", "match_on", "caliper", "sampling", "contrast", "pairing", "min_pairs"),
    *("intervention", "aggregate", "prescreen", "batch_size", "workers", "dask"),
)


def add_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse does not name this type
    """Add the verb ``attribute``."""
    text = (
        "find the genes that drive the concepts of a run, with other settings or workers; can be interrupted"
    )
    parser = add_verb(verbs, "attribute", text, _attribute)
    parser.add_argument("run", metavar="RUN", help="run folder; settings that are not given stay as they are")
    parser.add_argument("--data", metavar="DATA.h5ad", help="the cells, if their file has moved")
    add_settings(parser, SETTINGS, show_defaults=False)


def _attribute(options: argparse.Namespace) -> int:
    from conceptome.pipeline import config_of, run

    names = (*SETTINGS, "data")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    folder = run(config_of(options.run, given), until="attribute")
    tell(f"Attributions: {folder / 'attributions.parquet'}")
    place, settings = (shlex.quote(str(path)) for path in (folder, folder / "config.toml"))
    tell(f"Next: conceptome inspect {place} --concept 0, or conceptome run --config {settings}")
    return EXIT_DONE
