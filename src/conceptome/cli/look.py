"""conceptome inspect and compare."""

from __future__ import annotations

import argparse
import shlex
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
    text = "match the concepts of runs of other seeds, datasets or models, each measure beside its chance"
    parser = add_verb(verbs, "compare", text, _compare)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument(
        "--by",
        action="append",
        choices=("directions", "profiles", "activations", "terms"),
        help="a measure; may be repeated: cosine of decoder directions, correlation of gene scores, "
        "correlation of activations, shared terms (default: all that say something of two runs)",
    )
    parser.add_argument(
        "--pairs",
        default="star",
        choices=("star", "all"),
        help="compare the first with each other run, or all with all (default: %(default)s)",
    )
    parser.add_argument(
        "--labels", type=Path, metavar="TSV", help="a label and what to call it, one per line"
    )
    parser.add_argument("--gene-table", metavar="TABLE", help="symbols and Ensembl ids: a file, or hgnc")
    parser.add_argument("--seed", type=int, default=0, help="of chance (default: %(default)s)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("comparison"),
        metavar="DIR",
        help="tables, figure and text (default: %(default)s)",
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
        name = shlex.quote(str(target))
        tell(data.inspect(data.read(target, backed=True)).describe().replace("DATA.h5ad", name))
    return EXIT_DONE


def _compare(options: argparse.Namespace) -> int:
    from conceptome import pipeline
    from conceptome.evaluation.concept_comparison import MEASURES

    found = pipeline.compare_runs(
        options.runs,
        measures=options.by or MEASURES,
        pairs=options.pairs,
        labels=options.labels,
        gene_table=options.gene_table,
        seed=options.seed,
    )
    pipeline.write_comparison(found, options.out)
    tell(f"{found.text}\nTables, figure and text: {options.out}")
    return EXIT_DONE
