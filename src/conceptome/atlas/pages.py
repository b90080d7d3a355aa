"""What the other pages show: the atlas as a whole, genes, terms, cells, groups, search."""

from __future__ import annotations

import json
import re
from typing import Any

from conceptome.atlas.concept_pages import EVIDENCE, record, with_genes
from conceptome.atlas.reader import Atlas, Table
from conceptome.atlas.schema import MISSING_CODE, THUMB_SIDE, THUMBS_PER_SHEET
from conceptome.core import InputError

MAX_FOUND = 100
WHOLE: dict[str, str] = {
    "concepts": "concept",
    "genes": "gene",
    "terms": "term",
    "measures": "position",
    "units": "position",
    "verdicts": "metric, label_key",
    "calibration": "position",
    "modules": "module",
}
_PARTS = {
    **dict.fromkeys(("measures", "units", "verdicts"), "evaluation"),
    **dict.fromkeys(("terms", "calibration"), "enrichment"),
}


def about(atlas: Atlas) -> dict[str, Any]:
    """Tell what the atlas is: the answer to ``meta``, but for what only a server knows."""
    manifest = atlas.manifest
    names = (
        "schema_version",
        "digest",
        "dictionary_id",
        "title",
        "n_cells",
        "n_concepts",
        "n_genes",
        "provenance",
    )
    facts = atlas.rows("SELECT name, value FROM facts ORDER BY position")
    n_sheets = manifest["arrays"]["thumbs_index.u64"]["shape"][0] - 1
    return {
        **{name: manifest[name] for name in names},
        "facts": [{"name": name, "value": value} for name, value in facts],
        "obs": columns(atlas),
        "missing": dict(atlas.rows("SELECT part, reason FROM missing")),
        "tables": {name: entry["rows"] for name, entry in manifest["tables"].items()},
        "thumbs": {"side": THUMB_SIDE, "per_sheet": THUMBS_PER_SHEET, "n_sheets": n_sheets},
    }


def columns(atlas: Atlas) -> list[dict[str, Any]]:
    """Describe the columns of obs with their categories."""
    found = atlas.table(
        "SELECT key, name, kind, role, n_missing, minimum, maximum FROM obs_columns ORDER BY rank"
    )
    categories: dict[str, list[dict[str, Any]]] = {key: [] for key in found["key"]}
    query = "SELECT key, code, name, n_cells FROM obs_categories ORDER BY key, code"
    for key, code, name, n_cells in atlas.rows(query):
        categories[key].append({"code": code, "name": name, "n_cells": n_cells})
    rows = zip(*found.values(), strict=True)
    return [{**dict(zip(found, row, strict=True)), "categories": categories[row[0]]} for row in rows]


def whole_table(atlas: Atlas, name: str) -> Table:
    """Return a table with every row and column.

    Raises
    ------
    InputError
        If it is none of those that are given as a whole.
    """
    if name not in WHOLE:
        msg = f"There is nothing under {name!r}. Whole tables are {', '.join(WHOLE)}."
        raise InputError(msg)
    return atlas.table(f"SELECT * FROM {name} ORDER BY {WHOLE[name]}")


def as_table(columns: Table, missing: str | None = None) -> dict[str, Any]:
    """Put columns into the form that the API calls a table."""
    n_rows = len(next(iter(columns.values()), []))
    note = {"missing": missing} if missing and not n_rows else {}
    return {"n": n_rows, "columns": columns, **note}


def explained(atlas: Atlas, columns: Table, part: str) -> dict[str, Any]:
    """Put columns into the form of a table; one without rows says why its part, if any, is missing."""
    reason = None if any(columns.values()) or not part else why_missing(atlas, part)
    return as_table(columns, reason)


def json_bytes(content: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Write an answer as JSON."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def why_missing(atlas: Atlas, name: str) -> str | None:
    """Say why a table has no rows; None if nobody knows."""
    query = "SELECT reason FROM missing WHERE part = ?"
    rows = atlas.rows(query, [_PARTS.get(name, name)])
    return str(rows[0][0]) if rows else None


def gene(atlas: Atlas, name: str, *, limit: int | None = None) -> dict[str, Any]:
    """Return a gene, by number or symbol, and the concepts that list it.

    Parameters
    ----------
    atlas
        The atlas.
    name
        Number, symbol or name.
    limit
        Most concepts to list: those that it drives come first, then by the size of the attribution.

    Returns
    -------
    ``gene`` (a row of its table, ``n_listed``: how many concepts list it) and ``concepts`` (a table).

    Raises
    ------
    InputError
        If there is none.
    """
    number = int(name) if name.isdecimal() and len(name) < 10 else -1
    query = (
        "SELECT gene, name, symbol, ensembl, aliases, n_driven, expression, "
        "(SELECT count(*) FROM drivers d WHERE d.gene = g.gene) AS n_listed FROM genes g "
        "WHERE gene = ? OR symbol = ? OR name = ? ORDER BY gene = ? DESC, gene LIMIT 1"
    )
    found = record(atlas.table(query, [number, name, name, number]))
    if found is None:
        msg = f"The atlas has no gene {name!r}. Search for it; it may have another name."
        raise InputError(msg)
    query = (
        f"SELECT d.concept, c.auto_name, c.floor, d.rank, {EVIDENCE} FROM drivers d "
        "CROSS JOIN concepts c USING (concept) WHERE d.gene = ? "
        "ORDER BY d.drives DESC, abs(d.attribution) DESC, d.concept LIMIT ?"
    )
    return {"gene": found, "concepts": atlas.table(query, [found["gene"], -1 if limit is None else limit])}


def term(atlas: Atlas, number: int) -> dict[str, Any]:
    """Return a term and the concepts that list it.

    Raises
    ------
    InputError
        If there is none.
    """
    found = record(atlas.table("SELECT * FROM terms WHERE term = ?", [number]))
    if found is None:
        msg = f"The atlas has no term {number}."
        raise InputError(msg)
    query = (
        "SELECT f.concept, c.auto_name, f.rank, f.size, f.es, f.nes, f.q_concept, f.q_global, f.flag, "
        "f.nes_de, f.q_de, f.leading_edge, v.peak IS NOT NULL AS has_curve FROM findings f "
        "JOIN concepts c USING (concept) LEFT JOIN curves v USING (concept, term) "
        "WHERE f.term = ? ORDER BY f.nes DESC"
    )
    return {"term": found, "concepts": with_genes(atlas.table(query, [number]))}


def cell(atlas: Atlas, position: int) -> dict[str, Any]:
    """Return a cell: its columns, its concepts, its pairs.

    Raises
    ------
    InputError
        If there is none.
    """
    rows = atlas.rows("SELECT id FROM cells WHERE position = ?", [position])
    if not rows:
        msg = f"The atlas has {atlas.n_cells:,} cells, from 0 on, not number {position}."
        raise InputError(msg)
    x, y = atlas.array("coords.u16", position, position + 1)[0].tolist()
    place = (None, None) if x == MISSING_CODE else (x, y)
    start, stop = atlas.array("csr_indptr.u64", position, position + 2).astype(int).tolist()
    active = atlas.array("csr_index.uint", start, stop).tolist()
    values = atlas.array("csr_value.f16", start, stop).astype(float).tolist()
    ranked = sorted(zip(active, values, strict=True), key=lambda one: (-one[1], one[0]))
    names = dict(atlas.rows("SELECT concept, auto_name FROM concepts"))
    query = (
        "SELECT concept, number, 'factual' AS side FROM pairs WHERE factual = ?1 UNION ALL "
        "SELECT concept, number, 'counterfactual' FROM pairs WHERE counterfactual = ?1 ORDER BY 1, 2"
    )
    return {
        "cell": {"position": position, "id": rows[0][0], "x": place[0], "y": place[1]},
        "obs": [_value(atlas, column, position) for column in columns(atlas)],
        "concepts": {
            "concept": [concept for concept, _ in ranked],
            "auto_name": [names.get(concept) for concept, _ in ranked],
            "activation": [value for _, value in ranked],
        },
        "pairs": atlas.table(query, [position]),
    }


def cell_named(atlas: Atlas, name: str) -> int:
    """Find the position of a cell by its whole name.

    Raises
    ------
    InputError
        If there is none.
    """
    rows = atlas.rows("SELECT position FROM cells WHERE id = ? LIMIT 1", [name])
    if not rows:
        msg = f"The atlas has no cell {name!r}."
        raise InputError(msg)
    return int(rows[0][0])


def _value(atlas: Atlas, column: dict[str, Any], position: int) -> dict[str, Any]:
    is_number = column["kind"] == "numeric"
    path = f"obs/{column['key']}.{'f32' if is_number else 'u16'}"
    found = atlas.array(path, position, position + 1)[0].item()
    if is_number:
        value = None if found != found else found  # noqa: PLR0124 - NaN
    else:
        value = None if found == MISSING_CODE else column["categories"][found]["name"]
    return {name: column[name] for name in ("key", "name", "kind")} | {"value": value}


def search(atlas: Atlas, text: str, *, limit: int = 20, kind: str = "") -> Table:
    """Find concepts, genes, terms and categories by the beginnings of words, and a cell by its name.

    Parameters
    ----------
    atlas
        The atlas.
    text
        What a person typed.
    limit
        Most rows, at most 100.
    kind
        Keep one kind only.

    Returns
    -------
    ``kind, ref, name, other``, best first.
    """
    words = re.findall(r"\w+", text)[:8]
    wanted = " ".join(f'"{word}"*' for word in words)
    query = (
        "SELECT kind, CAST(ref AS TEXT) AS ref, name, substr(other, 1, 120) AS other FROM search WHERE "
        "search MATCH ?1 AND (?2 = '' OR kind = ?2) ORDER BY bm25(search, 0, 0, 8, 1), kind, ref LIMIT ?3"
    )
    limit = max(1, min(limit, MAX_FOUND))
    found = atlas.table(query, [wanted or '""', kind, limit])
    if kind in ("", "cell"):
        cells = atlas.rows(
            "SELECT 'cell', CAST(position AS TEXT), id, '' FROM cells WHERE id = ? LIMIT 1", [text]
        )
        for row in cells:
            for column, value in zip(found.values(), row, strict=True):
                column.insert(0, value)
    return found
