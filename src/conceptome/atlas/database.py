"""The tables and the search index of an atlas, written into SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from conceptome.atlas.schema import CREATE_SEARCH, SEARCH, TABLES, Kind, Table, create_indexes, create_table

_ROWS_AT_ONCE = 50_000


def write_database(path: Path, frames: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Write the tables of an atlas; the same tables give the same bytes.

    Parameters
    ----------
    path
        The file; it must not exist.
    frames
        Rows by table; a table without rows may be left out.

    Returns
    -------
    For each table its ``rows`` and its ``columns``.
    """
    described: dict[str, Any] = {}
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = OFF")  # a scratch file; it counts only once it is whole
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for table in TABLES:
            frame = frames.get(table.name, pd.DataFrame(columns=list(table.columns)))
            columns = _all_columns(table, frame)
            connection.execute(create_table(table, columns))
            _insert(connection, table, columns, frame)
            for index in create_indexes(table).values():
                connection.execute(index)
            described[table.name] = {"rows": len(frame), "columns": columns}
        _fill_search(connection)
        connection.execute("COMMIT")
        connection.execute("VACUUM")
    finally:
        connection.close()
    return described


def _all_columns(table: Table, frame: pd.DataFrame) -> dict[str, Kind]:
    """Add what the rows have beyond the schema, where the table is open to it."""
    columns = dict(table.columns)
    if table.open:
        further = sorted(str(name) for name in frame if name not in columns)  # the order of the manifest
        columns |= {name: _kind(frame[name]) for name in further}
    return columns


def _kind(series: pd.Series) -> Kind:
    if pd.api.types.is_bool_dtype(series) or pd.api.types.is_integer_dtype(series):
        return "INTEGER"
    return "REAL" if pd.api.types.is_float_dtype(series) else "TEXT"


def _insert(
    connection: sqlite3.Connection, table: Table, columns: Mapping[str, Kind], frame: pd.DataFrame
) -> None:
    marks = ", ".join("?" * len(columns))
    names = ", ".join(f'"{name}"' for name in columns)
    statement = f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})'
    ordered = frame.sort_values(list(table.key), kind="stable") if len(frame) else frame
    for start in range(0, len(ordered), _ROWS_AT_ONCE):
        part = ordered.iloc[start : start + _ROWS_AT_ONCE]
        values = [_plain(part[name], kind) for name, kind in columns.items()]
        connection.executemany(statement, zip(*values, strict=True))


def _plain(series: pd.Series, kind: Kind) -> list[Any]:
    """Turn a column into what SQLite stores; what is missing becomes NULL."""
    missing = series.isna().to_numpy()
    if kind in ("INTEGER", "REAL"):
        convert = int if kind == "INTEGER" else float
        return [None if gone else convert(value) for value, gone in zip(series, missing, strict=True)]
    if kind == "BLOB":
        return [np.ascontiguousarray(value).tobytes() for value in series]
    return [None if gone else str(value) for value, gone in zip(series, missing, strict=True)]


def _fill_search(connection: sqlite3.Connection) -> None:
    """Index what a person may type: names of concepts, genes, terms and categories."""
    connection.execute(CREATE_SEARCH)
    statements = (
        "SELECT 'concept', concept, coalesce(nullif(auto_name, ''), 'concept ' || concept), "
        "concept || ' ' || coalesce(best_label, '') || ' ' || replace(coalesce(top_genes, ''), ';', ' ') "
        "|| ' ' || replace(coalesce(themes, ''), ';', ' ') FROM concepts",
        "SELECT 'gene', gene, symbol, name || ' ' || ensembl || ' ' || aliases FROM genes",
        "SELECT 'term', term, name, identifier || ' ' || replace(identifier, '_', ' ') || ' ' || collection "
        "FROM terms",
        "SELECT 'category', key || '/' || code, name, key FROM obs_categories",
    )
    for statement in statements:
        connection.execute(f"INSERT INTO {SEARCH} (kind, ref, name, other) {statement}")
    connection.execute(f"INSERT INTO {SEARCH} ({SEARCH}) VALUES ('optimize')")
