"""Time the training of TopK dictionaries against SAELens and Overcomplete, and measure their memory.

Run ``OMP_NUM_THREADS=2 python benchmarks/dictionary_training.py`` where both peers are installed (see
`dictionary_peers.py`). Every library has a process of its own and the same cells, batches, number of
concepts and k; they take turns, and the ratios are those of medians. A peer's turn is so many steps of its
own loop, fed with batches that are ready. Ours is what a longer call of `train` takes beyond a shorter one,
validation after each pass included. "dense" is ours without its sparse steps. Memory is the highest that
each process held, less what it held before the cells were there. All of it is before any concept counts as
dead.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

os.environ["TQDM_DISABLE"] = "1"

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"
SHARE_LEARNED = 0.81  # of the cells that `train` is given
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Work:
    """What is timed."""

    d_embed: int
    n_concepts: int
    k: int
    n_batches: int
    """In a pass over the cells."""
    n_passes: int
    """In a turn; one more than that and concepts could count as dead."""
    batch_size: int = 1024

    @property
    def n_learned(self) -> int:
        """Cells in a pass."""
        return self.batch_size * self.n_batches

    def cells(self) -> np.ndarray:
        """Draw cells, each a sum of k of n_concepts planted directions; a share of them is learned from."""
        rng = np.random.default_rng(0)
        n_cells = round(self.n_learned / SHARE_LEARNED)
        atoms = rng.standard_normal((self.n_concepts, self.d_embed)) / self.d_embed**0.5
        active = rng.integers(0, self.n_concepts, (n_cells, self.k))
        strength = rng.gamma(2.0, size=active.shape)
        cells = np.zeros((n_cells, self.d_embed))
        for place in range(self.k):
            cells += strength[:, place, None] * atoms[active[:, place]]
        return cells.astype(np.float32)


WORKS = {
    "d 512, 4,096 concepts, k 32": Work(512, 4096, 32, n_batches=4, n_passes=3),
    "d 10, 160 concepts, k 8": Work(10, 160, 8, n_batches=64, n_passes=4),
}


class Batches:
    """Endless batches of the cells that are learned from, scaled and in order."""

    def __init__(self, work: Work, cells: np.ndarray) -> None:
        import torch

        scaled = (cells - cells.mean(axis=0)) / cells.std()
        self.parts = torch.from_numpy(scaled[: work.n_learned].copy()).split(work.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            yield from self.parts

    def turn(self, work: Work) -> Iterator[Tensor]:
        """Yield those of a turn."""
        for _ in range(work.n_passes):
            yield from self.parts


def saelens(work: Work, cells: np.ndarray) -> Callable[[], float]:
    """Return a turn of SAELens."""
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=work.d_embed, d_sae=work.n_concepts, k=work.k))
    config = SAETrainerConfig(0, work.batch_size, lr=LEARNING_RATE, lr_end=LEARNING_RATE / 10)
    trainer = SAETrainer(cfg=config, sae=sae, data_provider=iter(Batches(work, cells)))

    def turn() -> float:
        config.total_training_samples += work.n_passes * work.n_learned
        start = time.perf_counter()
        trainer.fit()
        return time.perf_counter() - start

    return turn


def overcomplete(work: Work, cells: np.ndarray) -> Callable[[], float]:
    """Return a turn of Overcomplete, without the monitoring that its loop does by default."""
    import torch

    from dictionary_peers import overcomplete_sae, reanimating

    sae, batches = overcomplete_sae(), Batches(work, cells)
    model = sae.TopKSAE(work.d_embed, nb_concepts=work.n_concepts, top_k=work.k)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

    def turn() -> float:
        start = time.perf_counter()
        sae.train_sae(model, batches.turn(work), reanimating, optimizer, nb_epochs=1, monitoring=0)
        return time.perf_counter() - start

    return turn


def ours(work: Work, cells: np.ndarray, *, dense: bool = False) -> Callable[[], float]:
    """Return a turn of ours."""
    from conceptome.dictionaries import TopK, train

    class DenseTopK(TopK):
        """What adds to the loss is differentiated by torch, and with it the rest."""

        def penalty(self, *_: object) -> float:
            return 0.0

    def seconds(n_passes: int) -> float:
        options = (DenseTopK if dense else TopK)(
            work.n_concepts, k=work.k, max_epochs=n_passes, batch_size=work.batch_size, patience=10**6
        )
        start = time.perf_counter()
        train(cells, options, progress=False)
        return time.perf_counter() - start

    return lambda: seconds(1 + work.n_passes) - seconds(1)


def ours_dense(work: Work, cells: np.ndarray) -> Callable[[], float]:
    """Return a turn of ours without its sparse steps."""
    return ours(work, cells, dense=True)


LIBRARIES = {
    "conceptome": ours,
    "dense": ours_dense,
    "saelens": saelens,
    "overcomplete": overcomplete,
}


IMPORTS = ("conceptome.dictionaries.optimisation", "dictionary_peers", "sae_lens")


def highest_mib() -> float:
    """Return the highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def serve(connection: Connection, library: str, work: Work, n_threads: int) -> None:
    """Take a turn whenever asked to; at the end tell the memory."""
    import torch

    torch.set_num_threads(n_threads)
    for module in IMPORTS:
        importlib.import_module(module)
    before = highest_mib()
    turn = LIBRARIES[library](work, work.cells())
    while connection.recv() == "go":
        connection.send(turn())
    connection.send(highest_mib() - before)


def run(work: Work, *, n_turns: int, n_threads: int) -> dict[str, Any]:
    """Let all libraries take turns; the first warms up."""
    context = multiprocessing.get_context("spawn")
    seconds: dict[str, list[float]] = {library: [] for library in LIBRARIES}
    memory, ends = {}, {}
    for library in LIBRARIES:
        ends[library], theirs = context.Pipe()
        context.Process(target=serve, args=(theirs, library, work, n_threads), daemon=True).start()
    for number in range(n_turns + 1):
        for library, end in ends.items():
            end.send("go")
            elapsed = end.recv()
            if number:
                seconds[library].append(elapsed)
    for library, end in ends.items():
        end.send("stop")
        memory[library] = end.recv()
    n_cells = work.n_passes * work.n_learned
    speed = {library: n_cells / median(times) for library, times in seconds.items()}
    return {
        **asdict(work),
        "cells_per_second": speed,
        "ratios": {library: speed["conceptome"] / speed[library] for library in speed},
        "peak_mib": memory,
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    table = {}
    for name, work in WORKS.items():
        table[name] = run(work, n_turns=args.turns, n_threads=args.threads)
        print(name, json.dumps(table[name], indent=2), flush=True)
    packages = ("conceptome", "torch", "numpy", "sae-lens", "overcomplete")
    versions = {name: importlib.metadata.version(name) for name in packages}
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["dictionary_training"] = {"threads": args.threads, "versions": versions, **table}
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
