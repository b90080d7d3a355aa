"""conceptome demo, run and embed."""

from __future__ import annotations

import argparse
import os
import shlex
import webbrowser
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from conceptome.cli.settings import add_input, add_settings
from conceptome.cli.shared import EXIT_DONE, add_verb, tell

EMBED_SETTINGS = ("out", "encoder", "encoder_options", "gene_table", "batch_key", "layer", "seed", "device")


def add_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse does not name this type
    """Add the verbs that work through the stages of a run."""
    from conceptome.pipeline.config import RunConfig

    parser = add_verb(verbs, "demo", "do the whole job on 700 labelled immune cells, offline", _demo)
    parser.add_argument("--out", default="demo-run", help="run folder (default: %(default)s)")
    parser.add_argument("--encoder", default="scvi", choices=("scvi", "linear"), help="default: %(default)s")
    parser.add_argument("--no-serve", action="store_true", help="do not open the atlas, tell how to")
    text = "do the whole job on your own cells; continues an interrupted run"
    parser = add_verb(verbs, "run", text, _run)
    add_input(parser)
    add_settings(parser, [field.name for field in fields(RunConfig)])
    text = "do only the first stage of a run: embed the cells; conceptome run goes on from there"
    parser = add_verb(verbs, "embed", text, partial(_run, until="embed"))
    add_input(parser)
    add_settings(parser, EMBED_SETTINGS)


def _demo(options: argparse.Namespace) -> int:
    from conceptome.pipeline import RunConfig, build_atlas, run

    config = RunConfig(
        data="demo",
        out=options.out,
        encoder=options.encoder,
        label_key=("cell_type",),
        min_size=5,
    )
    folder = run(config)
    place = build_atlas(folder, folder / "atlas", overwrite=True)
    tell(f"Report: {folder / 'report.html'}\nAtlas: {place}")
    if options.no_serve or os.environ.get("CI"):
        tell(f"Next: conceptome serve {shlex.quote(str(place))} shows it in the browser")
    else:
        _show(place, folder / "report.html")
    return EXIT_DONE


def _show(place: Path, report: Path) -> None:
    """Open an atlas in the browser until Ctrl-C; without what that needs, open the report."""
    from conceptome import web
    from conceptome.core import MissingExtraError

    try:
        web.serve(place, port=0)
        tell(f"Stopped. Open it again with: conceptome serve {shlex.quote(str(place))}")
    except MissingExtraError as error:
        tell(f"The atlas is not opened. {error}\nThen: conceptome serve {shlex.quote(str(place))}")
        if not webbrowser.open(report.resolve().as_uri()):
            tell("No browser could be opened here; open the report by hand.")


def _run(options: argparse.Namespace, *, until: str | None = None) -> int:
    from conceptome.pipeline import RunConfig, build_config, run

    names = [field.name for field in fields(RunConfig)]
    given = {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}
    folder = run(build_config(given, toml=options.config), until=until)
    if until:
        tell(f"Embeddings: {folder / 'embeddings.zarr'}")
    else:
        place = shlex.quote(str(folder))
        tell(f"Report: {folder / 'report.html'}\nNext: conceptome build {place} makes its atlas")
    return EXIT_DONE
