"""Recover a planted dictionary from a million cells on disk, in bounded memory, beside the baselines.

Run ``python benchmarks/dictionary_million.py --folder DIR`` (2 GiB free). A cell is the sum of 16 of 2,048
random directions in 512 coordinates, with gamma strengths, and a little noise. Training reads an ``.npy``
file and has a process of its own, whose highest memory is reported. A direction counts as recovered when some
concept's direction has a cosine above 0.9 with it. k-means goes over all cells in small batches; the other
baselines hold their cells in memory and learn from as many of the first as one thread needs some minutes
for. A folder in which training has finished is not trained again; one in which it was interrupted is gone
on with, and no seconds are recorded then.
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

import numpy as np

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"
D_EMBED, N_ATOMS, N_ACTIVE, NOISE = 512, 2048, 16, 0.05
BLOCK = 10_000


def planted() -> np.ndarray:
    """Draw the directions."""
    atoms = np.random.default_rng(0).standard_normal((N_ATOMS, D_EMBED)).astype(np.float32)
    unit: np.ndarray = atoms / np.linalg.norm(atoms, axis=1, keepdims=True)
    return unit


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
    import torch

    from conceptome.dictionaries import TopK
    from conceptome.dictionaries import train as train_dictionary

    checkpoint = folder / "training.safetensors"
    resumed, start = checkpoint.exists(), time.perf_counter()
    options = TopK(N_ATOMS, N_ACTIVE, max_epochs=max_epochs)
    dictionary = train_dictionary(path, options, checkpoint=checkpoint)
    seconds = None if resumed else time.perf_counter() - start
    dictionary.save(folder / "dictionary")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    cost = {"seconds": seconds, "peak_gib": peak, "threads": torch.get_num_threads()}
    (folder / "training.json").write_text(json.dumps(cost))


def recovery(directions: np.ndarray) -> dict[str, float]:
    """Compare the directions of a dictionary with the planted ones."""
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    best = (planted() @ unit.T).max(axis=1)
    return {"mean_max_cosine": float(best.mean()), "recovered": float((best > 0.9).mean())}


def cluster(cells: np.ndarray) -> np.ndarray:
    """Return the directions from the mean to the centroids of k-means in small batches, after one pass."""
    from sklearn.cluster import MiniBatchKMeans

    model = MiniBatchKMeans(N_ATOMS, batch_size=BLOCK, init_size=BLOCK, n_init=1, random_state=0)
    for start in range(0, len(cells), BLOCK):
        model.partial_fit(cells[start : start + BLOCK])
    directions: np.ndarray = model.cluster_centers_ - cells[:BLOCK].mean(axis=0)
    return directions


def baselines(cells: np.ndarray) -> dict[str, dict[str, float]]:
    """Measure what other dictionaries recover."""
    from conceptome import dictionaries as d

    ways: dict[str, tuple[int, Callable[[np.ndarray], np.ndarray]]] = {
        "neurons": (100_000, lambda z: d.NeuronDictionary.fit(z).directions),
        "PCA": (100_000, lambda z: d.PcaDictionary.fit(z).directions),
        "random encoder": (
            100_000,  # seed 0 would draw the planted directions themselves
            lambda z: d.RandomSaeDictionary.fit(z, n_concepts=N_ATOMS, k=N_ACTIVE, seed=1).directions,
        ),
        "k-means": (len(cells), cluster),
        "NMF": (100_000, lambda z: d.NmfDictionary.fit(z).directions),
        "ICA": (5_000, lambda z: d.IcaDictionary.fit(z).directions),
    }
    found = {}
    for name, (n_cells, way) in ways.items():
        start = time.perf_counter()
        directions = way(cells[:n_cells])
        seconds = time.perf_counter() - start
        found[name] = recovery(directions) | {"n_cells": n_cells, "seconds": seconds}
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
    from conceptome.dictionaries import TopKDictionary

    dictionary = TopKDictionary.load(args.folder / "dictionary")
    ours = recovery(dictionary.directions) | json.loads((args.folder / "training.json").read_text())
    print("ours", ours, dictionary.training["fidelity"], flush=True)
    result = {
        "ours": ours | dictionary.training["fidelity"],
        "baselines": baselines(np.load(path, mmap_mode="r")),
        "n_cells": args.cells,
        "passes": args.passes,
        "d_embed": D_EMBED,
        "n_atoms": N_ATOMS,
        "active_per_cell": N_ACTIVE,
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("conceptome", "torch", "numpy", "scikit-learn")
        },
    }
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["dictionary_million"] = result
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
