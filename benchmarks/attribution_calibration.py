"""Count the genes that attribution calls drivers where there is nothing to drive.

Run ``python benchmarks/attribution_calibration.py --data NAME=FILE.h5ad ...``. Null pairs are two cells that
both activate the concept, as far apart and as different in library size as real pairs. One half sets each
concept's floor, the other is tested against it: the share of its tested genes that are called drivers must be
at most 5% on average over concepts. Each data set gets its own TopK dictionary and, unless the
folder of one is given, its own scVI.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

import conceptome as cm

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"


def calibrate(path: str, folder: str, *, n_concepts: int, k: int, n_workers: int) -> dict[str, Any]:
    """Attribute every concept of one data set, and count drivers in real and in null pairs."""
    adata = cm.data.read(path)
    encoder = cm.encoders.load("scvi", folder) if folder else cm.encoders.fit("scvi", adata, seed=0)
    embeddings = encoder.embed(adata)
    options = cm.dictionaries.TopK(n_concepts=n_concepts, k=k)
    dictionary = cm.dictionaries.train(embeddings, options, seed=0)
    pairs = cm.counterfactuals.match(
        dictionary.encode(embeddings),
        embeddings,
        dictionary=dictionary,
        library_size=cm.data.library_size(adata),
        seed=0,
    )
    workers = cm.attribution.LocalWorkers(n_workers) if n_workers > 1 else None
    found = cm.attribution.attribute(adata, encoder, dictionary, pairs, workers=workers)
    measured = np.isfinite(found.null_driver_rate)
    rates = found.null_driver_rate[measured]
    tested = np.isfinite(found.p).sum(axis=1)
    return {
        "n_cells": adata.n_obs,
        "n_genes": adata.n_vars,
        "n_concepts": n_concepts,
        "n_attributable": int((found.n_pairs > 0).sum()),
        "n_calibrated": int(measured.sum()),
        "tested_genes": float(np.median(tested[found.n_pairs > 0])),
        "null_driver_rate": {
            "mean": float(rates.mean()),
            "se": float(rates.std(ddof=1) / len(rates) ** 0.5),
            "largest": float(rates.max()),
            "concepts_above_5_percent": int((rates > 0.05).sum()),
        },
        "with_drivers": float(found.drives[found.n_pairs > 0].any(axis=1).mean()),
        "drivers": float(np.median(found.drives[found.n_pairs > 0].sum(axis=1))),
        "driver_rate": float((found.drives.sum(axis=1)[measured] / tested[measured]).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, metavar="NAME=FILE[=SCVI]")
    parser.add_argument("--n-concepts", type=int, default=160)
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--n-workers", type=int, default=1)
    args = parser.parse_args()
    for given in args.data:
        name, path, folder = (*given.split("="), "", "")[:3]
        found = calibrate(path, folder, n_concepts=args.n_concepts, k=args.k, n_workers=args.n_workers)
        print(name, json.dumps(found, indent=1), flush=True)
        results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
        results.setdefault("attribution_calibration", {})[name] = found | {"n_cpus": os.cpu_count()}
        RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
