"""Writing an atlas, whole or not at all."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool, Int

from conceptome.atlas import maps, schema, tables
from conceptome.atlas.columns import code_columns
from conceptome.atlas.contents import Contents
from conceptome.atlas.database import write_database
from conceptome.atlas.groups import Column, association_table, column_tables, group_table
from conceptome.atlas.manifest import checksum, manifest_text
from conceptome.atlas.packing import concatenate, pack_column
from conceptome.atlas.related import related_table
from conceptome.core import BundleError, Csr

MAX_EXPRESSION_GENES = 2000

logger = logging.getLogger(__name__)


def write(path: Path | str, contents: Contents, *, overwrite: bool = False) -> Path:
    """Write an atlas: a folder with everything that the browser reads.

    It is written beside its place and moved there when it is whole. The same contents give the same bytes.

    Parameters
    ----------
    path
        The folder.
    contents
        The records.
    overwrite
        Replace an atlas that is already there.

    Returns
    -------
    The folder.

    Raises
    ------
    BundleError
        If something else is there, or an atlas and `overwrite` is not set.
    """
    path = Path(path)
    _require_free(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        scratch.chmod(0o755)
        _fill(scratch, contents)
        _settle(scratch)
        _move(scratch, path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return path


def _require_free(path: Path, *, overwrite: bool) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    is_atlas = path.is_dir() and (path / schema.MANIFEST).is_file() and (path / schema.DATABASE).is_file()
    if not is_atlas:
        msg = f"{path} exists and is no atlas. Choose another name for the atlas."
        raise BundleError(msg)
    if not overwrite:
        msg = f"{path} is already an atlas. Replace it with --overwrite, or choose another name."
        raise BundleError(msg)


def _fill(folder: Path, contents: Contents) -> None:
    places = maps.place_cells(contents.layout)
    order = maps.morton_order(places)
    values = sp.csr_array(contents.activations.values)[order]
    values.sum_duplicates()
    values.eliminate_zeros()
    by_concept = values.tocsc()
    columns = code_columns(contents.obs.iloc[order], contents.roles)
    arrays: dict[str, np.ndarray] = {"coords.u16": places[order]}
    arrays |= _cell_arrays(values)
    arrays |= {_column_file(column): column.values for column in columns}
    drivers = tables.driver_table(contents)
    mapped = _mapped_genes(contents, drivers)
    packs: dict[str, Iterable[bytes]] = {
        "activations": (pack_column(*_column(by_concept, at)) for at in range(values.shape[1])),
        "thumbs": maps.thumb_sheets(values, places[order]),
    }
    if contents.expression is not None:
        packs["expression"] = _expression_blobs(contents.expression, np.flatnonzero(mapped), order)
    for name, blobs in packs.items():
        data, index = concatenate(blobs)
        (folder / f"{name}.bin").write_bytes(data)
        arrays[f"{name}_index.u64"] = index
    (folder / schema.PICTURE).write_bytes(maps.draw_base(places))
    frames = _frames(contents, columns, drivers, mapped, order=order, values=values)
    described = write_database(folder / schema.DATABASE, frames)
    _write_manifest(folder, contents, arrays, described)


def _column_file(column: Column) -> str:
    return f"obs/{column.key}.{'f32' if column.categories is None else 'u16'}"


def _cell_arrays(values: Csr) -> dict[str, np.ndarray]:
    narrow = np.uint16 if values.shape[1] <= 2**16 else np.uint32
    return {
        "csr_indptr.u64": values.indptr.astype("<u8"),
        "csr_index.uint": values.indices.astype(np.dtype(narrow).newbyteorder("<")),
        "csr_value.f16": values.data.astype("<f2"),
    }


def _column(columns: Any, at: int) -> tuple[np.ndarray, np.ndarray]:  # noqa: ANN401 - a CSC array
    some = slice(columns.indptr[at], columns.indptr[at + 1])
    return columns.indices[some], columns.data[some]


def _mapped_genes(contents: Contents, drivers: pd.DataFrame) -> Bool[np.ndarray, " genes"]:
    """Choose the genes with a map: those that drive most concepts, 2,000 at most."""
    n_genes = len(contents.genes)
    if contents.expression is None:
        return np.zeros(n_genes, dtype=bool)
    driving = drivers.loc[drivers["drives"].fillna(0).astype(bool), "gene"].astype(np.int64)
    counts = np.bincount(driving, minlength=n_genes)
    best = np.argsort(-counts, kind="stable")[:MAX_EXPRESSION_GENES]
    mapped = np.zeros(n_genes, dtype=bool)
    mapped[best[counts[best] > 0]] = True
    return mapped


def _expression_blobs(
    counts: Csr, genes: Int[np.ndarray, " mapped"], order: Int[np.ndarray, " cells"]
) -> list[bytes]:
    """Pack log1p counts per 10,000 of some genes."""
    library = np.asarray(counts.sum(axis=1)).ravel().astype(np.float64)
    columns = sp.csr_array(counts)[order][:, genes].tocsc().astype(np.float64)
    columns.sort_indices()
    per_cell = 1e4 / np.maximum(library[order], 1)
    columns.data = np.log1p(columns.data * per_cell[columns.indices])
    columns.eliminate_zeros()
    return [pack_column(*_column(columns, at)) for at in range(len(genes))]


def _frames(
    contents: Contents,
    columns: list[Column],
    drivers: pd.DataFrame,
    mapped: Bool[np.ndarray, " genes"],
    *,
    order: Int[np.ndarray, " cells"],
    values: Csr,
) -> dict[str, pd.DataFrame]:
    terms, findings = tables.finding_table(contents.enrichment, contents.enrichment_de)
    named = {
        name: tables.numbered_terms(frame, terms)
        for name, frame in (("curves", contents.curves), ("themes", contents.themes))
        if frame is not None and len(frame)
    }
    categorical = [column for column in columns if column.categories is not None]
    calibration = pd.DataFrame() if contents.enrichment is None else contents.enrichment.calibration
    evaluation = contents.evaluation
    associations = pd.concat([association_table(values, column) for column in columns] or [pd.DataFrame()])
    frames = {
        "cells": pd.DataFrame(
            {"position": np.arange(len(order)), "id": contents.activations.cell_ids[order].astype(str)}
        ),
        **column_tables(columns),
        "concepts": tables.concept_traits(tables.concept_table(contents), drivers, associations, columns),
        "genes": tables.gene_table(contents, drivers, mapped),
        "drivers": drivers,
        "terms": terms,
        "findings": findings,
        **named,
        "pairs": tables.pair_table(contents, np.argsort(order)),
        "changes": contents.changes,
        "related": related_table(contents),
        "groups": pd.concat([group_table(values, column) for column in categorical] or [pd.DataFrame()]),
        "associations": associations,
        "modules": contents.modules,
        "measures": None if evaluation is None else _numbered(evaluation.measures),
        "units": None if evaluation is None else _numbered(evaluation.units),
        "verdicts": contents.verdicts,
        "calibration": _numbered(calibration),
        "facts": _numbered(
            pd.DataFrame(
                [(str(name), str(value)) for name, value in contents.facts.items()], columns=["name", "value"]
            )
        ),
        "missing": pd.DataFrame(sorted(contents.missing.items()), columns=["part", "reason"]),
    }
    known = {table.name: table for table in schema.TABLES}
    return {
        name: frame if known[name].open else frame.reindex(columns=list(known[name].columns))
        for name, frame in frames.items()
        if frame is not None and len(frame)
    }


def _numbered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(position=np.arange(len(frame)))


def _write_manifest(
    folder: Path, contents: Contents, arrays: dict[str, np.ndarray], described: dict[str, Any]
) -> None:
    (folder / "obs").mkdir()
    for name, array in arrays.items():
        (folder / name).write_bytes(np.ascontiguousarray(array).tobytes())
    n_cells, n_concepts = contents.activations.values.shape
    names = sorted(item.relative_to(folder).as_posix() for item in folder.rglob("*") if item.is_file())
    manifest = {
        "format": schema.FORMAT,
        "schema_version": schema.SCHEMA_VERSION,
        "title": contents.title,
        "dictionary_id": contents.activations.dictionary_id,
        "n_cells": n_cells,
        "n_concepts": n_concepts,
        "n_genes": len(contents.genes),
        "provenance": dict(contents.provenance),
        "files": {
            name: {"bytes": (folder / name).stat().st_size, "sha256": checksum(folder, name)}
            for name in names
        },
        "arrays": {
            name: {"dtype": np.dtype(array.dtype).newbyteorder("<").str, "shape": list(array.shape)}
            for name, array in arrays.items()
        },
        "tables": described,
    }
    (folder / schema.MANIFEST).write_text(manifest_text(manifest), encoding="utf-8")


def _settle(folder: Path) -> None:
    """Wait until everything is on the disk."""
    for item in (*folder.rglob("*"), folder):
        descriptor = os.open(item, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _move(scratch: Path, path: Path) -> None:
    """Put the new folder in place; an old one is removed after that."""
    old = scratch.with_name(f"{scratch.name}.old")
    if path.exists():
        path.replace(old)
    try:
        scratch.replace(path)
    except OSError:
        if old.exists():
            old.replace(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
