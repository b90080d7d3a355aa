"""conceptome enrich: other gene sets, or another test of them, for the concepts of a run."""

from __future__ import annotations

import argparse
from typing import Any

from conceptome.cli.settings import add_settings
from conceptome.cli.shared import EXIT_DONE, add_verb, tell

SETTINGS = (
    *("gene_sets", "ontology", "enrichment_method", "rank_by"),
    *("min_size", "max_size", "n_permutations"),
)


def add_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse does not name this type
    """Add the verb ``enrich``."""
    text = "name the concepts of a run by other gene sets or another test; attributions stay as they are"
    parser = add_verb(verbs, "enrich", text, _enrich)
    parser.add_argument("run", metavar="RUN", help="run folder; settings that are not given stay as they are")
    parser.add_argument("--data", metavar="DATA.h5ad", help="the cells, if their file has moved")
    add_settings(parser, SETTINGS, show_defaults=False)


def _enrich(options: argparse.Namespace) -> int:
    from conceptome.pipeline import config_of, describe_enrichment, run

    names = (*SETTINGS, "data")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    folder = run(config_of(options.run, given))
    tell(describe_enrichment(folder))
    tell(f"Concepts: {folder / 'concepts.parquet'}\nReport: {folder / 'report.html'}")
    return EXIT_DONE
