"""conceptome demo, run and embed."""

from __future__ import annotations

import argparse
import os
import webbrowser
from dataclasses import MISSING, fields
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from conceptome.cli.shared import EXIT_DONE, add_verb, tell

EMBED_SETTINGS = ("out", "encoder", "encoder_options", "gene_table", "batch_key", "layer", "seed", "device")


def add_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse does not name this type
    """Add the verbs that work through the stages of a run."""
    from conceptome.pipeline.config import RunConfig

    parser = add_verb(verbs, "demo", "do the whole job on 700 labelled immune cells, offline", _demo)
    parser.add_argument("--out", default="demo-run", help="run folder (default: %(default)s)")
    parser.add_argument("--encoder", default="scvi", choices=("scvi", "linear"), help="default: %(default)s")
    parser.add_argument("--no-serve", action="store_true", help="name the report, do not open it")
    text = "do the whole job on your own cells; continues an interrupted run"
    parser = add_verb(verbs, "run", text, _run)
    _add_settings(parser, [field.name for field in fields(RunConfig)])
    text = "do only the first stage of a run: embed the cells; conceptome run goes on from there"
    parser = add_verb(verbs, "embed", text, partial(_run, until="embed"))
    _add_settings(parser, list(EMBED_SETTINGS))


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
    tell(f"Report: {report}")
    if not (options.no_serve or os.environ.get("CI")) and not webbrowser.open(report.resolve().as_uri()):
        tell("No browser could be opened here; open the report by hand.")
    return EXIT_DONE


def _run(options: argparse.Namespace, *, until: str | None = None) -> int:
    from conceptome.pipeline import RunConfig, build_config, run

    names = [field.name for field in fields(RunConfig)]
    given = {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}
    folder = run(build_config(given, toml=options.config), until=until)
    tell(f"Embeddings: {folder / 'embeddings.zarr'}" if until else f"Report: {folder / 'report.html'}")
    return EXIT_DONE
