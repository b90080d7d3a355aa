"""Build an atlas of a million made-up cells, serve it, and measure the server.

Run ``python benchmarks/atlas_server.py --out FOLDER``, where nothing else serves that atlas. Cells lie in
clusters on the map and a concept is active in some of them, so that files compress as those of real cells do.
Times are seen by a client on the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1")

import numpy as np
import pandas as pd
import scipy.sparse as sp

import atlas_saving
from conceptome import atlas
from conceptome.core import ENRICHMENT_COLUMNS, Activations, Attributions, Enrichment

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"
PORT = 8765
ADDRESS = f"http://127.0.0.1:{PORT}/api/v1/"
N_GENES, N_TERMS = 300, 5000
N_CLUSTERS = 60


def activations(n_cells: int, n_concepts: int, k: int, cluster: np.ndarray, seed: int) -> sp.csr_array:
    """Draw k active concepts per cell, most of them from those of its cluster."""
    rng = np.random.default_rng(seed)
    favoured = rng.integers(n_concepts, size=(N_CLUSTERS, 4 * k))
    chosen = favoured[cluster[:, None], rng.integers(4 * k, size=(n_cells, k))]
    anywhere = rng.random((n_cells, k)) < 0.25
    chosen[anywhere] = rng.integers(n_concepts, size=int(anywhere.sum()))
    values = rng.exponential(size=n_cells * k).astype(np.float32) + np.float32(0.01)
    rows = np.repeat(np.arange(n_cells), k)
    matrix = sp.coo_array((values, (rows, chosen.ravel())), shape=(n_cells, n_concepts)).tocsr()
    return sp.csr_array(matrix)


def contents(n_cells: int, n_concepts: int, k: int, seed: int) -> atlas.Contents:
    """Put an atlas together; gene scores and terms are drawn too."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(N_CLUSTERS, size=n_cells)
    centre = rng.uniform(0, 100, (N_CLUSTERS, 2))
    genes = pd.Index([f"GENE{number}" for number in range(N_GENES)])
    score = rng.standard_t(3, (n_concepts, N_GENES))
    same = dict.fromkeys(("effect_act", "effect_pre", "sign_consistency", "null_attribution"), score)
    record = Attributions(
        attribution=score,
        ci_low=score - 1,
        ci_high=score + 1,
        n_differing=np.full(score.shape, 64),
        drives=np.abs(score) > 4,
        **dict.fromkeys(("se", "p", "q", "null_se"), np.abs(score)),
        **same,
        floor=np.full(n_concepts, 4.0),
        null_driver_rate=np.zeros(n_concepts),
        n_pairs=np.full(n_concepts, 64),
        status=np.array(["ok"] * n_concepts, dtype=object),
        concepts=np.arange(n_concepts),
        genes=genes,
        dictionary_id="made-up",
        encoder_id="made-up",
    )
    return atlas.Contents(
        activations=Activations(
            activations(n_cells, n_concepts, k, cluster, seed), pd.RangeIndex(n_cells).astype(str), "made-up"
        ),
        obs=pd.DataFrame(
            {"cell_type": cluster.astype(str), "donor": rng.integers(20, size=n_cells).astype(str)}
        ),
        layout=centre[cluster] + rng.normal(size=(n_cells, 2)) * 3,
        genes=pd.DataFrame({"name": genes}),
        concepts=pd.DataFrame(
            {
                "concept": range(n_concepts),
                "auto_name": [f"programme {n} of T cells" for n in range(n_concepts)],
            }
        ),
        directions=rng.normal(size=(n_concepts, 64)),
        attributions=record,
        enrichment=terms(n_concepts, genes, rng),
    )


def terms(n_concepts: int, genes: pd.Index[str], rng: np.random.Generator) -> Enrichment:
    """Draw 50 terms for each concept."""
    n_rows = n_concepts * 50
    term = rng.integers(N_TERMS, size=n_rows)
    edges = [";".join(genes[rng.integers(len(genes), size=30)]) for _ in range(500)]
    table = pd.DataFrame(0.5, index=range(n_rows), columns=list(ENRICHMENT_COLUMNS))
    table = table.assign(
        concept=np.repeat(np.arange(n_concepts), 50), collection="GO", size=100, no_signal=False
    )
    table = table.assign(
        term=[f"GO:{t:07d}" for t in term], name=[f"process {t} of cells" for t in term], flag=""
    )
    table = table.assign(nes=rng.normal(size=n_rows), q_global=rng.random(n_rows))
    table["leading_edge"] = [edges[at] for at in rng.integers(500, size=n_rows)]
    return Enrichment(table.drop_duplicates(["concept", "term"]), "made-up")


def ask(path: str, body: Any = None) -> tuple[float, int]:  # noqa: ANN401 - any JSON value
    """Ask once: seconds and bytes."""
    headers = {"X-Conceptome": "1", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    start = time.perf_counter()
    with urllib.request.urlopen(urllib.request.Request(ADDRESS + path, data, headers)) as answer:
        size = len(answer.read())
    return time.perf_counter() - start, size


def processor_seconds(pid: int) -> float:
    """Read how much processor time a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(
    pid: int, paths: Callable[[np.random.Generator], tuple[str, Any]], n: int, seed: int
) -> dict[str, float]:
    """Ask n times; milliseconds on the clock and of the server's processor, and kilobytes."""
    rng = np.random.default_rng(seed)
    before = processor_seconds(pid)
    found = np.array([ask(*paths(rng)) for _ in range(n)])
    busy = (processor_seconds(pid) - before) / n
    times = found[:, 0] * 1e3
    return {
        "processor_ms": round(busy * 1e3, 1),
        "p50_ms": round(float(np.median(times)), 2),
        "p95_ms": round(float(np.quantile(times, 0.95)), 2),
        "median_kb": round(float(np.median(found[:, 1])) / 1e3, 1),
    }


def measure_all(pid: int, n_cells: int, n_concepts: int) -> dict[str, Any]:
    """Ask for every kind of page."""
    measured = partial(measure, pid)

    def some(n: int) -> Callable[[np.random.Generator], tuple[str, Any]]:
        return lambda rng: ("selection", {"cells": rng.choice(n_cells, n, replace=False).tolist()})

    def near(n: int) -> Callable[[np.random.Generator], tuple[str, Any]]:
        def paths(rng: np.random.Generator) -> tuple[str, Any]:
            start = int(rng.integers(n_cells - n))
            return "selection", {"ranges": [[start, start + n]]}

        return paths

    n_some = min(50_000, n_cells // 2)
    return {
        "meta": measured(lambda _: ("meta", None), 20, 0),
        "all concepts": measured(lambda _: ("concepts", None), 10, 0),
        "activations of a concept": measured(
            lambda r: (f"concepts/{r.integers(n_concepts)}/activations", None), 200, 1
        ),
        "genes of a concept": measured(lambda r: (f"concepts/{r.integers(n_concepts)}/genes", None), 100, 2),
        "gene": measured(lambda r: (f"genes/{r.integers(N_GENES)}", None), 50, 3),
        "term": measured(lambda r: (f"terms/{r.integers(N_TERMS // 2)}", None), 100, 4),
        "cell": measured(lambda r: (f"cells/{r.integers(n_cells)}", None), 100, 5),
        "search": measured(lambda r: (f"search?q=pro%20{r.integers(9)}", None), 50, 6),
        f"selection of {n_some} near cells": measured(near(n_some), 20, 7),
        f"selection of {n_some} scattered cells": measured(some(n_some), 10, 8),
    }


def readers(n_readers: int, n_concepts: int) -> dict[str, float]:
    """Let many read at once; how many answers came, and errors."""
    failed: list[str] = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(20):
            try:
                ask(f"concepts/{rng.integers(n_concepts)}/genes")
                ask(f"concepts/{rng.integers(n_concepts)}/activations")
            except OSError as error:
                failed.append(str(error))

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(n_readers)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    return {
        "readers": n_readers,
        "answers_per_second": round(n_readers * 40 / seconds, 1),
        "errors": len(failed),
    }


def resident_mb(pid: int) -> float:
    """Read the largest resident memory that a process had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)


def main() -> None:
    """Build, serve, measure, and write the figures beside the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the atlas, kept if it is there")
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--concepts", type=int, default=8192)
    parser.add_argument("--k", type=int, default=32)
    options = parser.parse_args()
    place, start = options.out / "million.atlas", time.perf_counter()
    if not place.exists():
        atlas.write(place, contents(options.cells, options.concepts, options.k, 0))
    seconds = round(time.perf_counter() - start, 1)
    with atlas.Atlas.open(place) as opened:
        nonzeros = opened.manifest["arrays"]["csr_index.uint"]["shape"][0]
        index = opened.array("activations_index.u64").astype(np.int64)
        files = {name: round(entry["bytes"] / 2**20, 1) for name, entry in opened.manifest["files"].items()}
    figures: dict[str, Any] = {
        "cells": options.cells,
        "concepts": options.concepts,
        "nonzeros": nonzeros,
        "seconds_to_build": seconds,
        "activation_bytes_per_nonzero": round(float(index[-1]) / nonzeros, 2),
        "median_concept_kb": round(float(np.median(np.diff(index))) / 1e3, 2),
        "files_mb": {name: size for name, size in files.items() if size >= 1},
    }
    words = [sys.executable, "-m", "conceptome.cli", "serve", str(place), "--port", str(PORT), "--no-open"]
    saved = atlas.Annotations.beside(place, "").path
    for left in saved.parent.glob(f"{saved.name}*"):
        left.unlink()
    server = subprocess.Popen(words)
    try:
        figures["seconds_to_first_answer"] = wait()
        figures["resident_mb_at_start"] = resident_mb(server.pid)
        figures["answers"] = measure_all(server.pid, options.cells, options.concepts)
        figures["concurrent"] = readers(50, options.concepts)
        figures["saving"] = atlas_saving.writers(ADDRESS)
        figures["resident_mb_at_end"] = resident_mb(server.pid)
        figures["killed"] = atlas_saving.killed(server, ADDRESS, saved)
    finally:
        server.terminate()
        server.wait()
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    results["atlas_server"] = figures
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


def wait() -> float:
    """Wait for the first answer of the server."""
    start = time.perf_counter()
    while True:
        try:
            ask("meta")
            return round(time.perf_counter() - start, 2)
        except OSError:
            time.sleep(0.05)


if __name__ == "__main__":
    main()
