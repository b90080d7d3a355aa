"""Time the pair search beside scikit-learn and a plain loop, and pair the cells of a million-cell file.

Run ``python benchmarks/pair_search.py --folder DIR`` (3 GiB free). Embeddings are synthetic: cells of 200
planted clusters in 512 coordinates, each cluster with 32 directions of its own in which its cells vary, and a
little noise in all. The dictionary has 512 concepts with random directions, 16 active in a cell; cells with a
pre-activation above 0 are inadmissible.

The peers search the first 200,000 cells for one concept at a time, a few concepts, and must find the same
cells: scikit-learn's brute force is fitted on a concept's admissible cells and asked for all its factuals or
for one after the other, the loop measures all cells for each factual. Ours searches for all concepts at once
and the time is divided by their number. A million cells are paired by ``match``, null pairs included, in a
process of its own whose highest memory is reported.
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
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_info

from conceptome.core import Activations
from conceptome.counterfactuals import match
from conceptome.counterfactuals.absence import barred_cells
from conceptome.counterfactuals.search import CellPool, nearest_admissible
from conceptome.dictionaries import RandomSaeDictionary

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"
D_EMBED, N_CLUSTERS, N_OWN = 512, 200, 32
N_CONCEPTS, N_ACTIVE, N_FACTUALS = 512, 16, 64
BLOCK = 10_000

Search = Callable[[CellPool, np.ndarray, int, int], np.ndarray]


def write_cells(path: Path, n_cells: int) -> None:
    """Write the cells block by block."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((N_CLUSTERS, D_EMBED), dtype=np.float32)
    own = rng.standard_normal((N_CLUSTERS, N_OWN, D_EMBED), dtype=np.float32) / N_OWN**0.5
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n_cells, D_EMBED))
    for start in range(0, n_cells, BLOCK):
        rng = np.random.default_rng([1, start])
        block = out[start : start + BLOCK]
        cluster = rng.integers(N_CLUSTERS, size=len(block))
        block[:] = centres[cluster] + 0.3 * rng.standard_normal(block.shape, dtype=np.float32)
        for k in range(N_CLUSTERS):
            inside = np.flatnonzero(cluster == k)
            block[inside] += rng.standard_normal((len(inside), N_OWN), dtype=np.float32) @ own[k]
    out.flush()


def encoded(values: np.ndarray) -> tuple[RandomSaeDictionary, Activations]:
    """Draw the dictionary and encode the cells."""
    dictionary = RandomSaeDictionary.fit(values[:BLOCK], n_concepts=N_CONCEPTS, k=N_ACTIVE)
    ids = pd.Index([f"cell{row}" for row in range(len(values))])
    return dictionary, Activations(dictionary.encode(values), ids, dictionary.dictionary_id)


def scikit_learn(pool: CellPool, factual: np.ndarray, concept: int, n_neighbours: int) -> np.ndarray:
    """Fit a brute-force index on the cells that are admissible for a concept, and ask it."""
    admissible = np.flatnonzero(~pool.barred[:, concept])
    index = NearestNeighbors(n_neighbors=n_neighbours, algorithm="brute").fit(pool.values[admissible])
    return admissible[index.kneighbors(pool.values[factual], return_distance=False)]


def one_by_one(pool: CellPool, factual: np.ndarray, concept: int, n_neighbours: int) -> np.ndarray:
    """Fit the same index once and ask it for one factual after the other."""
    admissible = np.flatnonzero(~pool.barred[:, concept])
    index = NearestNeighbors(n_neighbors=n_neighbours, algorithm="brute").fit(pool.values[admissible])
    found = [index.kneighbors(pool.values[[row]], return_distance=False)[0] for row in factual]
    return admissible[np.array(found)]


def plain_loop(pool: CellPool, factual: np.ndarray, concept: int, n_neighbours: int) -> np.ndarray:
    """Measure every admissible cell for one factual after the other."""
    admissible = np.flatnonzero(~pool.barred[:, concept])
    cells = pool.values[admissible]
    found = []
    for row in factual:
        distance = ((cells - pool.values[row]) ** 2).sum(axis=1)
        nearest = np.argpartition(distance, n_neighbours)[:n_neighbours]
        found.append(admissible[nearest[np.argsort(distance[nearest])]])
    return np.array(found)


def against_peers(values: np.ndarray, *, n_peer_concepts: int, n_neighbours: int) -> dict[str, Any]:
    """Search for all concepts at once, and for a few of them by the peers."""
    dictionary, activations = encoded(values)
    n_cells, rng = len(values), np.random.default_rng(2)
    barred = barred_cells(activations, values, dictionary)
    pool = CellPool(values, barred, np.zeros(n_cells, dtype=int), np.full(n_cells, np.nan), None)
    active = activations.values.tocsc()
    factual = np.concatenate(
        [
            rng.choice(active.indices[active.indptr[k] : active.indptr[k + 1]], N_FACTUALS)
            for k in range(N_CONCEPTS)
        ]
    ).astype(np.int64)
    concept = np.repeat(np.arange(N_CONCEPTS), N_FACTUALS)
    nearest_admissible(
        pool, factual[:N_FACTUALS], concept[:N_FACTUALS], n_neighbours=n_neighbours
    )  # compiles
    start = time.perf_counter()
    ours = nearest_admissible(pool, factual, concept, n_neighbours=n_neighbours)
    seconds = {"conceptome": [(time.perf_counter() - start) / N_CONCEPTS]}
    same = {}
    peers: dict[str, Search] = {
        "scikit-learn": scikit_learn,
        "scikit-learn, one by one": one_by_one,
        "loop": plain_loop,
    }
    for name, search in peers.items():
        seconds[name], agreement = [], []
        for k in range(n_peer_concepts):
            start = time.perf_counter()
            theirs = search(pool, factual[concept == k], k, n_neighbours)
            seconds[name].append(time.perf_counter() - start)
            agreement.append((theirs == ours[concept == k]).mean())
        same[name] = float(np.mean(agreement))
    ratios = {name: median(times) / seconds["conceptome"][0] for name, times in seconds.items()}
    return {
        "n_cells": n_cells,
        "n_neighbours": n_neighbours,
        "barred": float(barred[:BLOCK].mean()),
        "seconds_per_concept": seconds,
        "ratios": ratios,
        "same_cells": same,
    }


def pair(path: Path) -> dict[str, Any]:
    """Pair the cells of a file."""
    values = np.load(path, mmap_mode="r")
    dictionary, activations = encoded(values)
    start, start_cpu = time.perf_counter(), time.process_time()
    pairs = match(activations, values, dictionary=dictionary)
    return {
        "n_cells": len(values),
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - start_cpu,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "n_pairs": len(pairs),
        "n_null_pairs": len(pairs.null) if pairs.null is not None else 0,
        "n_concepts": len(np.unique(pairs.concept)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--peer-cells", type=int, default=200_000)
    parser.add_argument("--peer-concepts", type=int, default=3)
    args = parser.parse_args()
    path = args.folder / f"clusters_{args.cells}.npy"
    if not path.exists():
        write_cells(path, args.cells)
    with multiprocessing.get_context("spawn").Pool(1) as process:
        whole = process.apply(pair, (path,))
    print(json.dumps(whole, indent=2), flush=True)
    values = np.load(path, mmap_mode="r")[: args.peer_cells]
    peers = {}
    for n_neighbours in (1, N_FACTUALS):
        peers[f"{n_neighbours} nearest"] = against_peers(
            np.array(values), n_peer_concepts=args.peer_concepts, n_neighbours=n_neighbours
        )
        print(json.dumps(peers[f"{n_neighbours} nearest"], indent=2), flush=True)
    packages = ("conceptome", "numpy", "numba", "scikit-learn")
    sizes = {"d_embed": D_EMBED, "n_concepts": N_CONCEPTS, "n_factuals": N_FACTUALS}
    n_threads = max(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")
    results = json.loads(RESULTS.read_text())
    results["pair_search"] = {
        "versions": {name: importlib.metadata.version(name) for name in packages},
        **sizes,
        "n_threads": n_threads,
        "match": whole,
        **peers,
    }
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
