"""Recover a planted dictionary from a million cells on disk, in bounded memory, beside the baselines.

Run ``python benchmarks/dictionary_million.py --folder DIR`` (2 GiB free). A cell is the sum of 16 of 2,048
random directions in 512 coordinates, with gamma strengths, and a little noise. Training reads an ``.npy``
file and has a process of its own, whose highest memory is reported. A direction counts as recovered when some
concept's direction has a cosine above 0.9 with it. Baselines learn from the first 30,000 cells, in
memory (ICA from 5,000). A folder in which training has finished is not trained again.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"
D_EMBED, N_ATOMS, N_ACTIVE, NOISE = 512, 2048, 16, 0.05
BLOCK, BASELINE_CELLS = 10_000, 30_000


def planted() -> np.ndarray:
    """Draw the directions."""
    atoms = np.random.default_rng(0).standard_normal((N_ATOMS, D_EMBED)).astype(np.float32)
    return atoms / np.linalg.norm(atoms, axis=1, keepdims=True)


def write_cells(path: Path, n_cells: int) -> None:
    """Write the cells block by block."""
    atoms = planted()
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n_cells, D_EMBED))
    for start in range(0, n_cells, BLOCK):
        rng = np.random.default_rng([1, start])
        n_rows = min(BLOCK, n_cells - start)
        strength = np.zeros((n_rows, N_ATOMS), dtype=np.float32)
        active = rng.random((n_rows, N_ATOMS), dtype=np.float32).argpartition(N_ACTIVE, axis=1)[:, :N_ACTIVE]
        np.put_along_axis(strength, active, rng.gamma(4.0, 0.5, active.shape).astype(np.float32), axis=1)
        noise = NOISE * rng.standard_normal((n_rows, D_EMBED), dtype=np.float32)
        out[start : start + n_rows] = strength @ atoms + noise
    out.flush()


def train(path: Path, folder: Path, max_epochs: int) -> None:
    """Train in this process; leave the dictionary, the seconds and the highest memory in the folder."""
    from conceptome.dictionaries import TopK
    from conceptome.dictionaries import train as train_dictionary

    start = time.perf_counter()
    options = TopK(N_ATOMS, N_ACTIVE, max_epochs=max_epochs)
    dictionary = train_dictionary(path, options, checkpoint=folder / "training.safetensors")
    seconds = time.perf_counter() - start
    dictionary.save(folder / "dictionary")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    (folder / "training.json").write_text(json.dumps({"seconds": seconds, "peak_gib": peak}))


def recovery(directions: np.ndarray) -> dict[str, float]:
    """Compare the directions of a dictionary with the planted ones."""
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    best = (planted() @ unit.T).max(axis=1)
    return {"mean_max_cosine": float(best.mean()), "recovered": float((best > 0.9).mean())}


def baselines(cells: np.ndarray) -> dict[str, dict[str, float]]:
    """Measure what other dictionaries recover."""
    from conceptome import dictionaries as d

    ways: dict[str, Callable[[], Any]] = {
        "neurons": lambda: d.NeuronDictionary.fit(cells),
        "PCA": lambda: d.PcaDictionary.fit(cells),
        "ICA": lambda: d.IcaDictionary.fit(cells[:5000]),
        "k-means": lambda: d.KMeansDictionary.fit(cells, n_clusters=N_ATOMS),
        "random encoder": lambda: d.RandomSaeDictionary.fit(cells, n_concepts=N_ATOMS, k=N_ACTIVE),
    }
    found = {}
    for name, way in ways.items():
        start = time.perf_counter()
        found[name] = recovery(way().directions) | {"seconds": time.perf_counter() - start}
        print(name, found[name], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--passes", type=int, default=4)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    path = args.folder / f"cells_{args.cells}.npy"
    if not path.exists():
        write_cells(path.with_suffix(".part"), args.cells)
        path.with_suffix(".part").rename(path)
    if not (args.folder / "training.json").exists():
        context = multiprocessing.get_context("spawn")
        worker = context.Process(target=train, args=(path, args.folder, args.passes), daemon=True)
        worker.start()
        worker.join()
        if worker.exitcode:
            raise SystemExit(worker.exitcode)
    from conceptome.dictionaries import load

    dictionary = load(args.folder / "dictionary")
    ours = recovery(dictionary.directions) | json.loads((args.folder / "training.json").read_text())
    print("ours", ours, dictionary.training["fidelity"], flush=True)
    result = {
        "ours": ours | dictionary.training["fidelity"],
        "baselines": baselines(np.load(path, mmap_mode="r")[:BASELINE_CELLS].copy()),
        "n_cells": args.cells,
        "passes": args.passes,
        "d_embed": D_EMBED,
        "n_atoms": N_ATOMS,
        "active_per_cell": N_ACTIVE,
        "versions": {name: importlib.metadata.version(name) for name in ("conceptome", "torch", "numpy")},
    }
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["dictionary_million"] = result
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
