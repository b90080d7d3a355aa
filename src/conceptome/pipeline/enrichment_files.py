"""Enrichment and its comparisons to files and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from conceptome.core import ENRICHMENT_COLUMNS, Enrichment
from conceptome.enrichment import Contrast
from conceptome.enrichment.calibration import COLUMNS
from conceptome.pipeline.storage import read_table, write_table

_OVERALL = ("jaccard", "expected", "p")


def save_enrichment(record: Enrichment, path: Path) -> None:
    """Write ``enrichment.parquet`` with its calibration beside the rows."""
    write_table(
        record.table,
        path,
        dictionary_id=record.dictionary_id,
        rank_by=record.rank_by,
        method=record.method,
        calibration=_records(record.calibration),
    )


def load_enrichment(path: Path) -> Enrichment:
    """Read what `save_enrichment` wrote; run folders of old have one method and no flags."""
    table, meta = read_table(path)
    if "flag" not in table:
        table = table.assign(flag="")
    calibration = pd.DataFrame(meta["calibration"])
    if "flag" not in calibration:
        calibration = calibration.assign(flag="")
    return Enrichment(
        table[list(ENRICHMENT_COLUMNS)],
        meta["dictionary_id"],
        calibration.reindex(columns=list(COLUMNS)),
        meta["rank_by"],
        meta.get("method", "gsea"),
    )


def save_contrast(record: Contrast, path: Path) -> None:
    """Write ``contrast.parquet``, a row per finding; agreement of each concept and of all beside the rows."""
    overall = {name: _or_none(getattr(record, name)) for name in _OVERALL}
    write_table(record.findings, path, concepts=_records(record.concepts), **overall)


def load_contrast(path: Path) -> Contrast:
    """Read what `save_contrast` wrote."""
    findings, meta = read_table(path)
    concepts = pd.DataFrame(meta["concepts"])
    numbers = ["jaccard", "expected", "p"]
    concepts[numbers] = concepts[numbers].astype(float)
    overall = {name: np.nan if meta[name] is None else float(meta[name]) for name in _OVERALL}
    return Contrast(findings, concepts, **overall)


def _records(frame: pd.DataFrame) -> object:
    return json.loads(frame.to_json(orient="records", double_precision=15))


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
