"""conceptome inspect and compare."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from conceptome.cli.shared import EXIT_DONE, add_verb, tell


def add_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse does not name this type
    """Add the verbs that look at what exists."""
    text = "tell what a data file, a run folder or an atlas is, whether it is fit for use, what to do next"
    parser = add_verb(verbs, "inspect", text, _inspect)
    parser.add_argument("target", metavar="DATA.h5ad|RUN|ATLAS")
    parser.add_argument("--concept", type=int, metavar="N", help="show the genes of a concept of the run")
    parser.add_argument("--gene", metavar="GENE", help="show the concepts of a gene")
    parser.add_argument("--n", type=int, default=20, help="rows to show (default: %(default)s)")
    text = "match the concepts of two runs with the same encoder, beside chance"
    parser = add_verb(verbs, "compare", text, _compare)
    parser.add_argument("run_a", metavar="RUN_A")
    parser.add_argument("run_b", metavar="RUN_B")
    parser.add_argument(
        "--by",
        default="directions",
        choices=("directions", "activations"),
        help="cosine of decoder directions, or correlation of activations on RUN_A's cells "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("comparison.csv"), help="table to write (default: %(default)s)"
    )


def _inspect(options: argparse.Namespace) -> int:
    from conceptome import atlas, data, pipeline

    target = Path(options.target)
    if options.concept is not None or options.gene is not None:
        tell(pipeline.describe_drivers(target, concept=options.concept, gene=options.gene, n=options.n))
    elif atlas.is_atlas(target):
        tell(atlas.describe(target))
    elif target.is_dir():
        tell(pipeline.describe_run(target))
    else:
        tell(data.inspect(data.read(target, backed=True)).describe().replace("DATA.h5ad", str(target)))
    return EXIT_DONE


def _compare(options: argparse.Namespace) -> int:
    from conceptome import pipeline

    table, text = pipeline.compare_runs(options.run_a, options.run_b, by=options.by)
    table.to_csv(options.out, index=False)
    tell(f"{text}\nTable: {options.out}")
    return EXIT_DONE
