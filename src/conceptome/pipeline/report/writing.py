"""Writing the report, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from conceptome.core import writing_whole
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

    Raises
    ------
    InputError
        If `path` is a folder, or lies in none.
    """
    page = render(contents, max_cards=max_cards)
    with writing_whole(path) as stream:
        stream.write(page)
