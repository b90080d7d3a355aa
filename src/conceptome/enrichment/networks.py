"""Signed or weighted networks of regulators and their targets, such as CollecTRI and DoRothEA."""

from __future__ import annotations

import csv
import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from conceptome.core import InputError
from conceptome.data.wording import some
from conceptome.enrichment.gene_sets import GeneSets

SOURCES = ("source", "tf", "regulator")
TARGETS = ("target", "gene")
WEIGHTS = ("weight", "mor")


def read_network(path: Path | str, *, levels: str | None = None) -> GeneSets:
    """Read regulators and their targets from a table.

    Parameters
    ----------
    path
        Table separated by commas or tabs, plain or compressed, with one row per edge: ``source`` (or ``tf``),
        ``target`` and, if edges have signs or strengths, ``weight`` (or ``mor``), as decoupler writes them.
    levels
        Levels of ``confidence`` to keep, such as ``"ABC"`` of DoRothEA; None keeps all.

    Returns
    -------
    One term per regulator, its targets weighted.

    Raises
    ------
    InputError
        If the file is missing or no such table, names an edge in part, gives it two weights or one that
        is no finite number, or
        has no level of confidence that was asked for.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"There is no network at {path}; expected a table with the columns source, target and weight."
        raise InputError(msg)
    try:
        frame = pd.read_csv(path, sep=None, engine="python", keep_default_na=False)
    except (ValueError, OSError, EOFError, csv.Error, zlib.error) as error:
        msg = f"{path} cannot be read as a table ({' '.join(str(error).split())}). Give a .csv or .tsv."
        raise InputError(msg) from error
    if not isinstance(frame.index, pd.RangeIndex):  # the reader takes unnamed columns for names of rows
        named = ", ".join(map(str, frame.columns))
        msg = f"{path} has more fields in its rows than names in its first line ({named}). Name every column."
        raise InputError(msg)
    if levels is not None:
        frame = _of_levels(frame, levels, path)
    source, target = _column(frame, SOURCES, path), _column(frame, TARGETS, path)
    weights = [name for name in WEIGHTS if name in frame]
    edges = pd.DataFrame({"source": frame[source].astype(str), "target": frame[target].astype(str)})
    edges["weight"] = pd.to_numeric(frame[weights[0]], errors="coerce") if weights else 1.0
    edges = edges.drop_duplicates()
    _check(edges, path)
    by_source = edges.groupby("source", sort=False)
    terms = tuple(str(name) for name in by_source.groups)
    return GeneSets(
        re.sub(r"\.(csv|tsv|txt)(\.gz)?$", "", path.name),
        terms,
        terms,
        tuple(tuple(by_source.get_group(term)["target"]) for term in terms),
        weights=tuple(tuple(by_source.get_group(term)["weight"].astype(float)) for term in terms),
    )


def _column(frame: pd.DataFrame, names: tuple[str, ...], path: Path) -> str:
    for name in names:
        if name in frame:
            return name
    msg = f"{path} has no column {' or '.join(names)}; it has {some(frame.columns)}. Rename one."
    raise InputError(msg)


def _of_levels(frame: pd.DataFrame, levels: str, path: Path) -> pd.DataFrame:
    kept = frame[frame[_column(frame, ("confidence",), path)].isin(list(levels))]
    if kept.empty:
        there = some(sorted(frame["confidence"].astype(str).unique()))
        msg = f"{path} has no edge of confidence {' or '.join(levels)}; it has {there}."
        raise InputError(msg)
    return kept


def _check(edges: pd.DataFrame, path: Path) -> None:
    nameless = (edges[["source", "target"]] == "").any(axis=1).sum()
    if nameless:
        msg = f"{path}: {nameless} edges have no source or no target. Leave them out."
        raise InputError(msg)
    unclear = (~np.isfinite(edges["weight"])).sum()
    if unclear:
        found = f"{unclear} edges have a weight that is no finite number"
        msg = f"{path}: {found}; expected such as 1, -1 or 0.5."
        raise InputError(msg)
    twice = edges[edges.duplicated(["source", "target"])]
    if len(twice):
        found = some(f"{edge.source} to {edge.target}" for edge in twice.itertuples())
        msg = f"{path} gives {len(twice)} edges two weights ({found}). Keep one for each."
        raise InputError(msg)
