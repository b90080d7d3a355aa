"""Tables as CSV that a spreadsheet can be trusted with."""

from __future__ import annotations

import csv
import io
from typing import Any

from conceptome.atlas.reader import Table

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_text(table: Table) -> str:
    """Write a table as CSV; a text that a spreadsheet would run as a formula begins with an apostrophe.

    Parameters
    ----------
    table
        Columns of one length. Lists are joined by semicolons; what is missing is empty.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([_plain(name) for name in table])
    writer.writerows([_plain(value) for value in row] for row in zip(*table.values(), strict=True))
    return stream.getvalue()


def _plain(value: Any) -> Any:  # noqa: ANN401 - a value of a table
    if isinstance(value, list):
        return _plain(";".join(_entry(item) for item in value))
    if isinstance(value, str) and value.lstrip(" \n").startswith(_FORMULA):
        return f"'{value}"
    return value


def _entry(item: Any) -> str:  # noqa: ANN401 - a value of a list
    """Write an entry of a list; a gene that changed as its symbol and values."""
    if isinstance(item, dict):
        return f"{item['symbol']} {item['factual_value']:g}>{item['counterfactual_value']:g}"
    return str(item)
