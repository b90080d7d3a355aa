"""Writing the report, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from conceptome.pipeline.report.contents import ReportContents
from conceptome.pipeline.report.page import render


def write_report(path: Path | str, contents: ReportContents, *, max_cards: int = 100) -> None:
    """Write the report as one self-contained HTML file.

    The same contents give the same bytes: nothing is taken from the clock or the machine.

    Parameters
    ----------
    path
        The file to write; it is replaced in one step once the new report is complete.
    contents
        What the report shows.
    max_cards
        Largest number of concept cards, attributable and frequent concepts first; the table lists all.
    """
    path = Path(path)
    page = render(contents, max_cards=max_cards)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    scratch = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(page)
        scratch.chmod(0o644)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
