"""The command line: one thin command per verb."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
import webbrowser
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import conceptome
from conceptome.core.errors import ConceptomeError

EMBED_SETTINGS = ("out", "encoder", "encoder_options", "gene_table", "batch_key", "layer", "seed", "device")

EXIT_DONE, EXIT_ERROR, EXIT_INTERRUPTED = 0, 1, 130


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
    options = _parser().parse_args(arguments)
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
    _add_demo(verbs)
    _add_run(verbs)
    _add_embed(verbs)
    _add_inspect(verbs)
    _add_compare(verbs)
    _add_data(verbs)
    return parser


def _add_demo(verbs: Any) -> None:  # noqa: ANN401 - argparse does not name this type
    text = "do the whole job on 700 labelled immune cells, offline"
    parser = verbs.add_parser("demo", help=text, description=text.capitalize() + ".")
    parser.add_argument("--out", default="demo-run", help="run folder (default: %(default)s)")
    parser.add_argument("--encoder", default="scvi", choices=("scvi", "linear"), help="default: %(default)s")
    parser.add_argument("--no-serve", action="store_true", help="name the report, do not open it")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(command=_demo)


def _add_run(verbs: Any) -> None:  # noqa: ANN401
    from conceptome.pipeline.config import RunConfig

    text = "do the whole job on your own cells; continues an interrupted run"
    parser = verbs.add_parser("run", help=text, description=text.capitalize() + ".")
    _add_settings(parser, [field.name for field in fields(RunConfig)])
    parser.set_defaults(command=_run, until=None)


def _add_embed(verbs: Any) -> None:  # noqa: ANN401
    text = "do only the first stage of a run: embed the cells; conceptome run goes on from there"
    parser = verbs.add_parser("embed", help=text, description=text.capitalize() + ".")
    _add_settings(parser, list(EMBED_SETTINGS))
    parser.set_defaults(command=_run, until="embed")


def _add_settings(parser: argparse.ArgumentParser, names: list[str]) -> None:
    """Add the input and some settings of a run, with the documentation and types of `RunConfig`."""
    from conceptome.pipeline.config import RunConfig, field_documentation

    parser.add_argument("data", nargs="?", metavar="DATA.h5ad", help=field_documentation()["data"])
    parser.add_argument(
        "--config", type=Path, metavar="FILE.toml", help="settings, named as below with underscores"
    )
    hints = get_type_hints(RunConfig)
    for field in fields(RunConfig):
        if field.name == "data" or field.name not in names:
            continue
        settings: dict[str, Any] = {"help": _help(field.name, field.default), **_reader(hints[field.name])}
        parser.add_argument(f"--{field.name.replace('_', '-')}", dest=field.name, **settings)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _add_inspect(verbs: Any) -> None:  # noqa: ANN401
    text = "tell what a data file or a run folder is, whether it is fit for use, what to do next"
    parser = verbs.add_parser("inspect", help=text, description=text.capitalize() + ".")
    parser.add_argument("target", metavar="DATA.h5ad|RUN")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(command=_inspect)


def _add_compare(verbs: Any) -> None:  # noqa: ANN401
    text = "match the concepts of two runs with the same encoder, beside chance"
    parser = verbs.add_parser("compare", help=text, description=text.capitalize() + ".")
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
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(command=_compare)


def _add_data(verbs: Any) -> None:  # noqa: ANN401
    text = "list or fetch pretrained models and gene tables"
    actions = verbs.add_parser("data", help=text, description=text.capitalize() + ".").add_subparsers(
        required=True, metavar="ACTION"
    )
    text = "list what can be fetched, and what is in the cache"
    parser = actions.add_parser("list", help=text, description=text.capitalize() + ".")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(command=_data_list)
    text = "fetch one of them; continues an interrupted download"
    parser = actions.add_parser("fetch", help=text, description=text.capitalize() + ".")
    parser.add_argument("name", metavar="NAME", help="one of those that conceptome data list shows")
    parser.add_argument("--to", metavar="DIR", help="folder for the files (default: one in the cache)")
    parser.add_argument("--verify", action="store_true", help="compare the checksums of files already there")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(command=_data_fetch)


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


def _demo(options: argparse.Namespace) -> int:
    from conceptome.pipeline import RunConfig, run

    config = RunConfig(
        data="demo",
        out=options.out,
        encoder=options.encoder,
        label_key=("cell_type",),
        min_size=5,
    )
    report = run(config) / "report.html"
    _tell(f"Report: {report}")
    if not (options.no_serve or os.environ.get("CI")) and not webbrowser.open(report.resolve().as_uri()):
        _tell("No browser could be opened here; open the report by hand.")
    return EXIT_DONE


def _run(options: argparse.Namespace) -> int:
    from conceptome.pipeline import RunConfig, build_config, run

    names = [field.name for field in fields(RunConfig)]
    given = {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}
    folder = run(build_config(given, toml=options.config), until=options.until)
    _tell(
        f"Embeddings: {folder / 'embeddings.zarr'}" if options.until else f"Report: {folder / 'report.html'}"
    )
    return EXIT_DONE


def _inspect(options: argparse.Namespace) -> int:
    from conceptome import data, pipeline

    target = Path(options.target)
    if target.is_dir():
        _tell(pipeline.describe_run(target))
    else:
        _tell(data.inspect(data.read(target, backed=True)).describe().replace("DATA.h5ad", str(target)))
    return EXIT_DONE


def _compare(options: argparse.Namespace) -> int:
    from conceptome import pipeline

    table, text = pipeline.compare_runs(options.run_a, options.run_b, by=options.by)
    table.to_csv(options.out, index=False)
    _tell(f"{text}\nTable: {options.out}")
    return EXIT_DONE


def _data_list(options: argparse.Namespace) -> int:  # noqa: ARG001 - every command takes its options
    from conceptome import data

    _tell(data.describe_downloads())
    return EXIT_DONE


def _data_fetch(options: argparse.Namespace) -> int:
    from conceptome import data

    folder = data.fetch(options.name, to=options.to, verify=options.verify)
    _tell(data.describe_fetched(options.name, folder))
    return EXIT_DONE


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")


def _set_up_logging() -> None:
    """Send this package's messages to stderr; other packages keep theirs."""
    package = logging.getLogger("conceptome")
    if not package.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        package.addHandler(handler)
    package.setLevel(logging.INFO)
    package.propagate = False


if __name__ == "__main__":
    sys.exit(main())
