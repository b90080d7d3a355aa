"""The file of an evaluation: a stable schema with a version, checked when it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from conceptome.core import BundleError, Evaluation
from conceptome.evaluation.battery import UNIT_COLUMNS
from conceptome.evaluation.rows import COLUMNS, KEYS

SCHEMA, VERSION = "conceptome.evaluation", 1
TABLES = {"measures": COLUMNS, "units": UNIT_COLUMNS}
_FIELDS: dict[str, type] = {
    "dictionary_id": str,
    "seeds": list,
    "missing": dict,
    "measures": list,
    "units": list,
}


def write_evaluation(evaluation: Evaluation, path: Path | str) -> None:
    """Write an evaluation as JSON; a number that could not be measured is null.

    Parameters
    ----------
    evaluation
        The record.
    path
        The file.
    """
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "schema_version": VERSION,
        "dictionary_id": evaluation.dictionary_id,
        "seeds": list(evaluation.seeds),
        "spread": "seeds" if len(evaluation.seeds) > 1 else "splits",
        "missing": dict(evaluation.missing),
    }
    for name, columns in TABLES.items():
        table: pd.DataFrame = getattr(evaluation, name)[columns]
        content[name] = json.loads(table.to_json(orient="records", double_precision=15))
    Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_evaluation(path: Path | str) -> Evaluation:
    """Read what `write_evaluation` wrote.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    The record.

    Raises
    ------
    BundleError
        If the file is missing, is no evaluation, has another schema version, or lacks something.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(_refusal(path, f"it cannot be read ({error})")) from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise BundleError(_refusal(path, f"it has no schema {SCHEMA!r}"))
    if content.get("schema_version") != VERSION:
        found = f"it has schema version {content.get('schema_version')}, this Conceptome reads {VERSION}"
        raise BundleError(_refusal(path, found))
    for name, kind in _FIELDS.items():
        if not isinstance(content.get(name), kind):
            found = type(content.get(name)).__name__
            raise BundleError(_refusal(path, f"{name!r} is of type {found}, expected {kind.__name__}"))
    tables = {name: _table(path, name, content[name]) for name in TABLES}
    seeds = tuple(int(seed) for seed in content["seeds"])
    return Evaluation(
        **tables, dictionary_id=content["dictionary_id"], seeds=seeds, missing=content["missing"]
    )


def _table(path: Path | str, name: str, rows: list[Any]) -> pd.DataFrame:
    columns = TABLES[name]
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or set(row) != set(columns):
            found = sorted(row) if isinstance(row, dict) else type(row).__name__
            raise BundleError(
                _refusal(path, f"row {number} of {name!r} has {found}, expected {sorted(columns)}")
            )
        if name == "measures" and not all(isinstance(row[key], str) for key in KEYS):
            raise BundleError(_refusal(path, f"row {number} of {name!r} is not named by texts"))
    table = pd.DataFrame(rows, columns=columns)
    for column in table.columns.difference(KEYS):
        try:
            table[column] = table[column].astype(float)  # null, a number that could not be measured, is NaN
        except (TypeError, ValueError):
            raise BundleError(_refusal(path, f"{column!r} of {name!r} holds what is no number")) from None
    return table


def _refusal(path: Path | str, why: str) -> str:
    return f"{path} is no evaluation: {why}. Make it anew with: conceptome evaluate RUN"
