"""conceptome build and check: the atlas of a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from conceptome.cli.shared import EXIT_DONE, add_verb, tell


def add_verbs(verbs: Any) -> None:  # noqa: ANN401 - argparse does not name this type
    """Add the verbs that make atlases."""
    parser = add_verb(verbs, "build", "build the atlas of a finished run, for the browser", _build)
    parser.add_argument("run", metavar="RUN", help="run folder")
    parser.add_argument("--out", type=Path, metavar="ATLAS", help="folder to write (default: RUN.atlas)")
    parser.add_argument("--data", metavar="DATA.h5ad", help="the cells, if their file has moved")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an atlas; what people have annotated stays"
    )
    parser = add_verb(verbs, "check", "compare every byte of an atlas with its checksums", _check)
    parser.add_argument("atlas", metavar="ATLAS")


def _build(options: argparse.Namespace) -> int:
    from conceptome import pipeline

    out = options.out or Path(options.run).with_name(f"{Path(options.run).name}.atlas")
    place = pipeline.build_atlas(options.run, out, data=options.data, overwrite=options.overwrite)
    tell(f"Atlas: {place}\nNext: conceptome serve {place}")
    return EXIT_DONE


def _check(options: argparse.Namespace) -> int:
    from conceptome import atlas

    tell(atlas.check(options.atlas))
    return EXIT_DONE
