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
    parser.add_argument(
        "--perturbation-key",
        metavar="COLUMN",
        help="column of obs with what was done to each cell (guide or stimulus): does it move concepts, and "
        "do gene scores foretell it?",
    )
    parser.add_argument("--control", metavar="VALUE", help="its value in control cells")
    parser.add_argument(
        "--perturbation-action",
        default="loss",
        choices=("loss", "gain"),
        help="whether a gene that is aimed at loses or gains expression (default: %(default)s)",
    )


def _evaluate(options: argparse.Namespace) -> int:
    from conceptome.core import InputError
    from conceptome.evaluation import read_evaluation
    from conceptome.pipeline import config_of, describe_evaluation, run

    if (options.perturbation_key is None) != (options.control is None):
        msg = "--perturbation-key and --control go together: the column, and its value in control cells."
        raise InputError(msg)
    names = (*SETTINGS, "data")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    config = config_of(options.run, {**given, "evaluation": "full"})
    folder = run(config)
    sides = [key for key in (config.batch_key, config.donor_key) if key]
    tell(describe_evaluation(read_evaluation(folder / "evaluation.json"), sides=sides))
    tell(f"Measures: {folder / 'evaluation.json'}\nReport: {folder / 'report.html'}")
    if options.perturbation_key is not None:
        _check_perturbations(options)
    return EXIT_DONE


def _check_perturbations(options: argparse.Namespace) -> None:
    from conceptome import pipeline

    found = pipeline.check_run(
        options.run,
        key=options.perturbation_key,
        control=options.control,
        action=options.perturbation_action,
        data=options.data,
    )
    folder = pipeline.write_perturbations(found, options.run)
    tell(f"{pipeline.describe_perturbations(found)}\nPerturbations: {folder}")
