"""Compare the fidelity of TopK dictionaries by us, SAELens and Overcomplete after the same number of cells.

Run ``python benchmarks/dictionary_fidelity.py FILE.npy ...`` where both peers are installed (see
`dictionary_peers.py`) on embeddings such as `dictionary_embeddings.py` makes. All three get the same cells
to learn from, the same number of concepts, k and cells seen in all, and three seeds; the held-out tenth is
the one that our `train` draws. Ours runs with its defaults, told to stop at that number (where it tries out
two starts, the cells of the one that is given up count too), and with concepts that start as cells or as
principal axes. A peer's learning rate and batch size are chosen by validation
cells at seed 0, for every embedding and size: four rates at the smaller batch, then the larger batch at the
best rate and the next higher. Beside them stands what needs no training: the k largest coordinates of a
cell on the principal axes, which are two units each.

Every training is written down in `--runs` when it ends and is not repeated, unless the embedding, the
peer's version or our code for dictionaries is another.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", TQDM_DISABLE="1")

import argparse
import hashlib
import importlib.metadata
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import conceptome.dictionaries
from conceptome.dictionaries import HeldoutSplit, TopK, TopKDictionary, train
from conceptome.dictionaries.options import WIDE
from conceptome.evaluation import measure_fidelity
from dictionary_peers import Scaling, Setting, train_overcomplete, train_saelens

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results.json"
SIZES = {10: ((80, 5), (160, 8)), 512: ((512, 16), (1024, 32))}
"""Concepts and k by the width of the embedding."""
OURS = {"conceptome": None, "conceptome, axes=0": 0.0, "conceptome, axes=1": 1.0}
"""Share of the concepts that start as principal axes; None = the default."""
PEERS = {"sae-lens": train_saelens, "overcomplete": train_overcomplete}
LEARNING_RATES = (3e-4, 1e-3, 3e-3, 1e-2)
BATCH_SIZES = (256, 1024)


@dataclass(frozen=True)
class Cells:
    """An embedding, and what is held out, chosen by and learned from under one seed; masks of its cells."""

    values: np.ndarray
    heldout: np.ndarray
    validation: np.ndarray

    @classmethod
    def split(cls, values: np.ndarray, *, seed: int) -> Cells:
        """Hold out what `train` holds out, and set aside as many validation cells as it does."""
        names = [str(row) for row in range(len(values))]
        options = TopK()
        split = HeldoutSplit.draw(names, fraction=options.heldout_fraction, seed=seed, by="cell")
        heldout = split.mask(names)
        rows = np.random.default_rng(seed).permutation(np.flatnonzero(~heldout))
        validation = np.zeros_like(heldout)
        validation[rows[: round(options.validation_fraction * len(rows))]] = True
        return cls(values, heldout, validation)

    @property
    def learned(self) -> np.ndarray:
        """The other cells."""
        return self.values[~(self.heldout | self.validation)]

    def passes(self, n_samples: int) -> int:
        """Return how many whole passes over the learned cells fit into the number of samples."""
        return n_samples // len(self.learned)

    def measure(self, dictionary: TopKDictionary) -> dict[str, float]:
        """Measure a dictionary on held-out cells, and R2 on validation cells too."""
        activations = dictionary.encode(self.values)
        heldout, validation = (
            measure_fidelity(dictionary, self.values, activations=activations, heldout=mask)
            for mask in (self.heldout, self.validation)
        )
        found = {name: heldout[name] for name in ("l0", "dead")}
        return {"r2_heldout": heldout["r2"], "r2_validation": validation["r2"], **found}


class Runs:
    """Trainings done so far, a line of JSON for each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def find(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """Return the training of that description."""
        return next((row for row in self.rows if key.items() <= row.items()), None)

    def add(self, row: dict[str, Any]) -> None:
        """Write one down."""
        self.rows.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


@dataclass(frozen=True)
class Comparison:
    """One embedding with one number of concepts."""

    name: str
    values: np.ndarray
    n_concepts: int
    k: int
    n_samples: int
    runs: Runs

    def ours(self, *, axes: float | None, seed: int) -> dict[str, Any]:
        """Train ours by its defaults, or with a share of the concepts started as principal axes."""
        cells = Cells.split(self.values, seed=seed)
        tried = axes is None and self.values.shape[1] >= WIDE
        n_passes = cells.passes(self.n_samples) - tried
        options = TopK(self.n_concepts, k=self.k, max_epochs=n_passes, axes=axes)
        key = {"library": "conceptome", "version": our_version(), "axes": axes, "seed": seed, **self._key()}
        return self._run(key, cells, lambda: train(self.values, options, seed=seed, progress=False))

    def peer(self, library: str, *, lr: float, batch_size: int, seed: int) -> dict[str, Any]:
        """Train a peer."""
        cells = Cells.split(self.values, seed=seed)
        scaling = Scaling.of(self.values[~cells.heldout])
        setting = Setting(
            n_concepts=self.n_concepts,
            k=self.k,
            n_samples=cells.passes(self.n_samples) * len(cells.learned),
            lr=lr,
            batch_size=batch_size,
            seed=seed,
        )
        key = {
            "library": library,
            "version": importlib.metadata.version(library),
            "seed": seed,
            **self._key(),
        }
        learned = scaling(cells.learned)
        return self._run(
            {**key, "lr": lr, "batch_size": batch_size},
            cells,
            lambda: PEERS[library](learned, scaling, setting),
        )

    def choose(self, library: str) -> dict[str, Any]:
        """Choose a peer's learning rate and batch size by validation cells at seed 0."""
        small, large = BATCH_SIZES
        tried = [self.peer(library, lr=lr, batch_size=small, seed=0) for lr in LEARNING_RATES]
        at = LEARNING_RATES.index(best(tried)["lr"])
        tried += [self.peer(library, lr=lr, batch_size=large, seed=0) for lr in LEARNING_RATES[at : at + 2]]
        return {name: best(tried)[name] for name in ("lr", "batch_size")}

    def _key(self) -> dict[str, Any]:
        digest = hashlib.blake2b(self.values.tobytes(), digest_size=6).hexdigest()
        size = {"n_concepts": self.n_concepts, "k": self.k, "n_samples": self.n_samples}
        return {"embedding": self.name, "content": digest, **size}

    def _run(
        self, key: dict[str, Any], cells: Cells, training: Callable[[], TopKDictionary]
    ) -> dict[str, Any]:
        if (row := self.runs.find(key)) is None:
            start = time.process_time()
            dictionary = training()
            row = {**key, "cpu_seconds": time.process_time() - start, **cells.measure(dictionary)}
            self.runs.add(row)
            print(json.dumps(row), flush=True)
        return row


def best(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the training with the highest R2 on validation cells; a diverged one is none."""
    return max(rows, key=lambda row: np.nan_to_num(row["r2_validation"], nan=-np.inf))


def our_version() -> str:
    """Identify our code for dictionaries."""
    folder = Path(conceptome.dictionaries.__file__).parent
    content = b"".join(file.read_bytes() for file in sorted(folder.glob("*.py")))
    return hashlib.blake2b(content, digest_size=6).hexdigest()


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Summarise the seeds of one library."""
    r2 = [row["r2_heldout"] for row in rows]
    return {
        "r2_heldout": r2,
        "r2_heldout_mean": float(np.mean(r2)),
        "r2_heldout_sd": float(np.std(r2, ddof=1)),
        **{name: float(np.mean([row[name] for row in rows])) for name in ("l0", "dead", "cpu_seconds")},
    }


def largest_coordinates(values: np.ndarray, k: int, *, seed: int) -> float:
    """Compute the held-out R2 of keeping a cell's k largest coordinates on the principal axes."""
    cells = Cells.split(values, seed=seed)
    learned = values[~cells.heldout].astype(np.float64)
    mean = learned.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(learned, rowvar=False))
    squares = np.sort(((values[cells.heldout] - mean) @ axes) ** 2, axis=1)
    return float(squares[:, -k:].sum() / squares.sum())


def compare(comparison: Comparison, *, n_seeds: int) -> dict[str, Any]:
    """Run all that belongs to one line of the table."""
    result: dict[str, Any] = {
        "largest_coordinates": [
            largest_coordinates(comparison.values, comparison.k, seed=seed) for seed in range(n_seeds)
        ],
        **{
            name: summary([comparison.ours(axes=axes, seed=seed) for seed in range(n_seeds)])
            for name, axes in OURS.items()
        },
    }
    for library in PEERS:
        chosen = comparison.choose(library)
        rows = [comparison.peer(library, **chosen, seed=seed) for seed in range(n_seeds)]
        result[library] = {**summary(rows), **chosen}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("embeddings", type=Path, nargs="+")
    parser.add_argument("--samples", type=int, default=500_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--runs", type=Path, help="default: dictionary_fidelity.jsonl beside the first embedding"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    runs = Runs(args.runs or args.embeddings[0].with_name("dictionary_fidelity.jsonl"))
    table: dict[str, Any] = {}
    for file in args.embeddings:
        values = np.load(file)
        for n_concepts, k in SIZES[values.shape[1]]:
            comparison = Comparison(file.stem, values, n_concepts, k, args.samples, runs)
            result = compare(comparison, n_seeds=args.seeds)
            table[f"{file.stem}, {n_concepts} concepts, k {k}"] = {"n_cells": len(values), **result}
    versions = {name: importlib.metadata.version(name) for name in ("conceptome", "torch", *PEERS)}
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["dictionary_fidelity"] = {"n_samples": args.samples, "versions": versions, **table}
    RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    for name, line in table.items():
        for library in (*OURS, *PEERS):
            found = line[library]
            print(
                f"{name}: {library} R2 {found['r2_heldout_mean']:.4f} +- {found['r2_heldout_sd']:.4f}, "
                f"dead {found['dead']:.3f}, {found.get('lr', '')} {found.get('batch_size', '')}"
            )


if __name__ == "__main__":
    main()
