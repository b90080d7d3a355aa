"""conceptome evaluate: the full evaluation of a run."""

from __future__ import annotations

import argparse
from typing import Any

from conceptome.cli.settings import add_settings
from conceptome.cli.shared import EXIT_DONE, add_verb, tell

SETTINGS = ("evaluation_seeds", "evaluation_genes")


def add_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse does not name this type
    """Add the verb ``evaluate``."""
    text = (
        "measure a run in full: dictionaries of several seeds beside baselines and a random-weight encoder; "
        "can be interrupted"
    )
    parser = add_verb(verbs, "evaluate", text, _evaluate)
    parser.add_argument("run", metavar="RUN", help="run folder")
    parser.add_argument("--data", metavar="DATA.h5ad", help="the cells, if their file has moved")
    add_settings(parser, SETTINGS, show_defaults=False)


def _evaluate(options: argparse.Namespace) -> int:
    from conceptome.evaluation import read_evaluation
    from conceptome.pipeline import config_of, describe_evaluation, run

    names = (*SETTINGS, "data")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    config = config_of(options.run, {**given, "evaluation": "full"})
    folder = run(config)
    sides = [key for key in (config.batch_key, config.donor_key) if key]
    tell(describe_evaluation(read_evaluation(folder / "evaluation.json"), sides=sides))
    tell(f"Measures: {folder / 'evaluation.json'}\nReport: {folder / 'report.html'}")
    return EXIT_DONE
