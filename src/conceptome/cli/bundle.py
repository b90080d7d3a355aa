"""conceptome build, check, serve, export and annotations: the atlas of a run."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from conceptome.cli.shared import EXIT_DONE, add_verb, tell


def add_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse does not name this type
    """Add the verbs that make atlases."""
    parser = add_verb(verbs, "build", "build the atlas of a finished run, for the browser", _build)
    parser.add_argument("run", metavar="RUN", help="run folder")
    parser.add_argument("--out", type=Path, metavar="ATLAS", help="folder to write (default: RUN/atlas)")
    parser.add_argument("--data", metavar="DATA.h5ad", help="the cells, if their file has moved")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an atlas; what people have annotated stays"
    )
    parser = add_verb(verbs, "check", "compare every byte of an atlas with its checksums", _check)
    parser.add_argument("atlas", metavar="ATLAS")
    parser = add_verb(
        verbs, "serve", "show an atlas in the browser, on this machine only, until Ctrl-C", _serve
    )
    parser.add_argument("atlas", metavar="ATLAS")
    parser.add_argument("--port", type=int, default=8000, help="0 = any free one (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default: %(default)s)")
    parser.add_argument("--no-open", action="store_true", help="name the address, do not open it")
    _add_export(verbs)
    _add_annotations(verbs)


def _add_export(verbs: Any) -> None:  # noqa: ANN401 - argparse does not name this type
    text = "copy an atlas into one HTML file, or a folder for any web server, to be read without Conceptome"
    parser = add_verb(verbs, "export", text, _export)
    parser.add_argument("atlas", metavar="ATLAS")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument(
        "--html", type=Path, metavar="FILE", help="one file; a large atlas is thinned, and the page says how"
    )
    group.add_argument("--folder", type=Path, metavar="DIR", help="a new folder with everything")
    parser.add_argument("--concepts", type=int, metavar="N", help="keep the N of highest score (--html: 300)")
    parser.add_argument("--cells", type=int, metavar="N", help="show about N cells (--html: 20,000)")


def _add_annotations(verbs: Any) -> None:  # noqa: ANN401 - argparse does not name this type
    text = "write what people have said about the concepts of an atlas into a file"
    group = verbs.add_parser("annotations", help=text, description=f"{text.capitalize()}.")
    actions = group.add_subparsers(required=True, metavar="ACTION")
    parser = add_verb(actions, "export", "write every revision, the newest first", _annotations)
    parser.add_argument("atlas", metavar="ATLAS")
    parser.add_argument(
        "--out", type=Path, default=Path("annotations.csv"), help=".csv or .json (default: %(default)s)"
    )


def _build(options: argparse.Namespace) -> int:
    from conceptome import pipeline

    out = options.out or Path(options.run) / "atlas"
    place = pipeline.build_atlas(options.run, out, data=options.data, overwrite=options.overwrite)
    tell(f"Atlas: {place}\nNext: conceptome serve {shlex.quote(str(place))}")
    return EXIT_DONE


def _check(options: argparse.Namespace) -> int:
    from conceptome import atlas

    tell(atlas.check(options.atlas))
    return EXIT_DONE


def _serve(options: argparse.Namespace) -> int:
    from conceptome import web

    web.serve(options.atlas, host=options.host, port=options.port, open_browser=not options.no_open)
    tell("Stopped.")
    return EXIT_DONE


def _export(options: argparse.Namespace) -> int:
    from conceptome import web

    form = web.ONE_FILE if options.html else web.WHOLE
    for name, given in (("n_concepts", options.concepts), ("n_cells", options.cells)):
        if given is not None:
            form = replace(form, **{name: given})
    if options.html:
        place = web.export_html(options.atlas, options.html, form=form)
        tell(f"Copy: {place} ({place.stat().st_size / 1e6:,.1f} MB). Open it in a browser, or send it on.")
    else:
        place = web.export_folder(options.atlas, options.folder, form=form)
        quoted = shlex.quote(str(place))
        tell(f"Copy: {place}. Put it on a web server, or try: python -m http.server --directory {quoted}")
    return EXIT_DONE


def _annotations(options: argparse.Namespace) -> int:
    from conceptome import atlas

    with atlas.Atlas.open(options.atlas) as opened:
        dictionary_id = opened.dictionary_id
    with atlas.Annotations.beside(options.atlas, dictionary_id) as annotations:
        n_revisions = annotations.export(options.out)
    tell(f"{n_revisions:,} revisions: {options.out}")
    return EXIT_DONE
