"""What the enrichment of a run found in words, for the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from conceptome.evaluation.naming import UNEXPLAINED
from conceptome.pipeline import enrichment_files
from conceptome.pipeline.folder import RunFolder
from conceptome.pipeline.storage import read_table

SHOWN = 10
ALPHA = 0.05


def describe_enrichment(path: Path) -> str:
    """Say how much was found, how often the test calls what is null, and what the concepts are called.

    Parameters
    ----------
    path
        Folder of a finished run.

    Returns
    -------
    A few lines.
    """
    lines = [f"Enrichment: {RunFolder.existing(path).manifest['stages']['enrich']['message']}"]
    if (path / "enrichment.parquet").exists():
        lines += _rates(enrichment_files.load_enrichment(path / "enrichment.parquet").calibration)
    concepts, _ = read_table(path / "concepts.parquet")
    named = concepts[concepts["auto_name"] != UNEXPLAINED]
    lines.append(f"{len(named)} of {len(concepts)} concepts have a name; the most certain:")
    most = named.sort_values("confidence", ascending=False, kind="stable").head(SHOWN)
    lines += [
        f"  {row['concept']}: {row['auto_name']} (confidence {row['confidence']:.2f})"
        for row in most.to_dict("records")
    ]
    return "\n".join(lines)


def _rates(calibration: pd.DataFrame) -> list[str]:
    whole = calibration[(calibration["flag"] == "") & np.isclose(calibration["alpha"], ALPHA)]
    return [
        f"  p <= {ALPHA} under {row['control']}: {row['rate']:.1%} of {row['n_tests']:,} tests"
        for row in whole.to_dict("records")
    ]
