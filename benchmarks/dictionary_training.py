"""Time the training of TopK dictionaries against SAELens and Overcomplete, and measure their memory.

Run ``python benchmarks/dictionary_training.py`` where both peers are installed (see `dictionary_peers.py`),
on a machine that does nothing else. Every library has a process of its own and the same cells, batches,
number of concepts, k and threads; they take turns, and the ratios are those of medians. A turn is so many
passes of a library's own loop; the peers' is fed with batches that are ready, ours shuffles the cells
itself. "dense" is ours without its sparse steps, "bfloat16" with the encoder's product in that precision,
which needs a processor that computes in it. No concept ever counts as dead. Memory is the highest that each
process held, less what it held before the cells were there. Beside the speed stands how far bfloat16 agrees
with the dense steps: R2 after the same passes from the same start, and in how many cells both select the
same concepts with the same weights.
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
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from conceptome.dictionaries.optimisation import Training
    from conceptome.dictionaries.options import Precision

os.environ["TQDM_DISABLE"] = "1"

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"
LEARNING_RATE = 1e-3
NEVER = 10**9


@dataclass(frozen=True)
class Work:
    """What is timed."""

    d_embed: int
    n_concepts: int
    k: int
    n_batches: int
    """In a pass over the cells."""
    n_passes: int
    """In a turn."""
    n_threads: int
    batch_size: int = 1024

    @property
    def n_cells(self) -> int:
        """Cells in a pass."""
        return self.batch_size * self.n_batches

    def cells(self) -> np.ndarray:
        """Draw cells, each a sum of k of n_concepts planted directions."""
        rng = np.random.default_rng(0)
        atoms = rng.standard_normal((self.n_concepts, self.d_embed)) / self.d_embed**0.5
        active = rng.integers(0, self.n_concepts, (self.n_cells, self.k))
        strength = rng.gamma(2.0, size=active.shape)
        cells = np.zeros((self.n_cells, self.d_embed))
        for place in range(self.k):
            cells += strength[:, place, None] * atoms[active[:, place]]
        return cells.astype(np.float32)


WORKS = {
    "d 512, 4,096 concepts, k 32": Work(512, 4096, 32, n_batches=8, n_passes=2, n_threads=2),
    "d 10, 160 concepts, k 8": Work(10, 160, 8, n_batches=64, n_passes=4, n_threads=1),
}


class Batches:
    """Endless batches of the cells that are learned from, scaled and in order."""

    def __init__(self, work: Work, cells: np.ndarray) -> None:
        import torch

        scaled = (cells - cells.mean(axis=0)) / cells.std()
        self.parts = torch.from_numpy(scaled).split(work.batch_size)

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
    config = SAETrainerConfig(
        0, work.batch_size, lr=LEARNING_RATE, lr_end=LEARNING_RATE / 10, dead_feature_window=NEVER
    )
    trainer = SAETrainer(cfg=config, sae=sae, data_provider=iter(Batches(work, cells)))

    def turn() -> float:
        config.total_training_samples += work.n_passes * work.n_cells
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


def ours(
    work: Work, cells: np.ndarray, *, dense: bool = False, precision: Precision = "float32"
) -> Callable[[], float]:
    """Return a turn of ours."""
    training = begun(work, cells, dense=dense, precision=precision)
    training.threads().__enter__()  # for as long as the process lives

    def turn() -> float:
        start = time.perf_counter()
        for _ in range(work.n_passes):
            training.round()
        return time.perf_counter() - start

    return turn


def begun(
    work: Work, cells: np.ndarray, *, dense: bool = False, precision: Precision = "float32"
) -> Training:
    """Begin a training of ours."""
    import torch

    from conceptome.dictionaries import TopK
    from conceptome.dictionaries.optimisation import Training
    from conceptome.dictionaries.rounds import Rounds
    from conceptome.dictionaries.scaling import Scaling
    from conceptome.dictionaries.sources import Source

    class DenseTopK(TopK):
        """A family that adds to the loss is differentiated by torch."""

        def penalty(self, *_: object) -> float:
            return 0.0

    source, learned = Source.of(cells), np.ones(len(cells), dtype=bool)
    survey = source.survey(learned)
    scaling = Scaling.of(survey.mean, survey.variance, n_cells=len(cells))
    family = DenseTopK if dense else TopK
    options = family(
        work.n_concepts, k=work.k, batch_size=work.batch_size, dead_after=NEVER, precision=precision
    )
    return Training(
        Rounds(source, learned, scaling, seed=0, device="cpu"),
        options.resolve(d_embed=work.d_embed, n_train=len(cells)),
        torch.Generator().manual_seed(0),
    )


def agreement(work: Work) -> dict[str, Any]:
    """Compare sparse steps with products in bfloat16 with dense ones in float32."""
    import torch

    torch.set_num_threads(work.n_threads)
    cells = work.cells()
    found = {"dense": begun(work, cells, dense=True), "bfloat16": begun(work, cells, precision="bfloat16")}
    r2 = {}
    for name, training in found.items():
        with training.threads():
            for _ in range(work.n_passes):
                training.round()
            x = training.rounds.shuffled(0)
            squares = float((x - x.mean(0)).square().sum())
            r2[name] = 1 - training.steps.measure(training.model, x).squared_error / squares
    model = found["bfloat16"].model
    with torch.no_grad():
        exact = torch.topk(model.preactivations(x), work.k, dim=1)
        batch, _ = found["bfloat16"].steps._encode(model, x)
    selected = torch.zeros_like(x[:, :1]).expand(-1, work.n_concepts).clone()
    selected.scatter_(1, torch.from_numpy(batch.indices).long(), torch.from_numpy(batch.values > 0).float())
    expected = torch.zeros_like(selected).scatter(1, exact.indices, (exact.values > 0).float())
    return {"r2": r2, "cells_with_the_same_concepts": float((selected == expected).all(dim=1).float().mean())}


def ours_dense(work: Work, cells: np.ndarray) -> Callable[[], float]:
    """Return a turn of ours without its sparse steps."""
    return ours(work, cells, dense=True)


def ours_bfloat16(work: Work, cells: np.ndarray) -> Callable[[], float]:
    """Return a turn of ours with products in bfloat16."""
    return ours(work, cells, precision="bfloat16")


LIBRARIES = {
    "conceptome": ours,
    "bfloat16": ours_bfloat16,
    "dense": ours_dense,
    "saelens": saelens,
    "overcomplete": overcomplete,
}


IMPORTS = ("conceptome.dictionaries.optimisation", "dictionary_peers", "sae_lens")


def highest_mib() -> float:
    """Return the highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def serve(connection: Connection, library: str, work: Work) -> None:
    """Take a turn whenever asked to; at the end tell the memory."""
    import torch

    torch.set_num_threads(work.n_threads)
    for module in IMPORTS:
        importlib.import_module(module)
    before = highest_mib()
    turn = LIBRARIES[library](work, work.cells())
    while connection.recv() == "go":
        connection.send(turn())
    connection.send(highest_mib() - before)


def run(work: Work, *, n_turns: int) -> dict[str, Any]:
    """Let all libraries take turns; the first warms up."""
    context = multiprocessing.get_context("spawn")
    seconds: dict[str, list[float]] = {library: [] for library in LIBRARIES}
    memory, ends = {}, {}
    for library in LIBRARIES:
        ends[library], theirs = context.Pipe()
        context.Process(target=serve, args=(theirs, library, work), daemon=True).start()
    for number in range(n_turns + 1):
        for library, end in ends.items():
            end.send("go")
            elapsed = end.recv()
            if number:
                seconds[library].append(elapsed)
    for library, end in ends.items():
        end.send("stop")
        memory[library] = end.recv()
    n_cells = work.n_passes * work.n_cells
    speed = {library: n_cells / median(times) for library, times in seconds.items()}
    return {
        **asdict(work),
        "cells_per_second": speed,
        "ratios": {
            own: {library: speed[own] / speed[library] for library in speed}
            for own in ("conceptome", "bfloat16")
        },
        "agreement": agreement(work),
        "peak_mib": memory,
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, help="default: two where there is more to compute, else one")
    args = parser.parse_args()
    table = {}
    for name, work in WORKS.items():
        own = replace(work, n_threads=args.threads or work.n_threads)
        table[name] = run(own, n_turns=args.turns)
        print(name, json.dumps(table[name], indent=2), flush=True)
    packages = ("conceptome", "torch", "numpy", "sae-lens", "overcomplete")
    versions = {name: importlib.metadata.version(name) for name in packages}
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    key = f"dictionary_training_{args.threads}_threads" if args.threads else "dictionary_training"
    results[key] = {"versions": versions, **table}
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
