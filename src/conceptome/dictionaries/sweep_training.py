"""Many small trainings, several at once, and kept as soon as each is finished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

from filelock import FileLock

from conceptome.core import require_at_least
from conceptome.dictionaries.affine import AffineDictionary
from conceptome.dictionaries.claim import cells_digest, claim
from conceptome.dictionaries.options import TrainingOptions
from conceptome.dictionaries.sources import EmbeddingSource
from conceptome.dictionaries.storage import CONFIG, load, moved_into
from conceptome.dictionaries.sweep_grid import setting_name
from conceptome.dictionaries.training import train

Job: TypeAlias = tuple[TrainingOptions[Any], int]


@dataclass(frozen=True, eq=False)
class Trainings:
    """Trainings on the same cells that differ in setting and seed."""

    embeddings: EmbeddingSource
    groups: list[str] | None
    device: str
    folder: Path
    """Where finished dictionaries are kept."""

    def claim_folder(self, family: TrainingOptions[Any]) -> None:
        """Refuse a folder with dictionaries of other cells or options; it must be held."""
        options = {name: value for name, value in asdict(family).items() if name not in {"n_concepts", "k"}}
        task = {"task": "sweep", "family": type(family).__name__, **options, "device": self.device}
        claim(self.folder, {**task, "cells": cells_digest(self.embeddings, self.groups)})

    def run(self, jobs: Sequence[Job], *, n_workers: int | None, progress: bool) -> list[AffineDictionary]:
        """Train what is not finished yet.

        In processes, since threads would share the interpreter's lock and torch's number of threads. Each
        computes on one thread, so that the number of processes changes no result.

        Parameters
        ----------
        jobs
            Options and seed of each dictionary.
        n_workers
            Processes; 1 = none but this one. None = one per processor, on a GPU 1.
        progress
            Whether to show a progress bar.

        Returns
        -------
        The dictionaries, in the order of the jobs.
        """
        from joblib import Parallel, cpu_count, delayed
        from tqdm.auto import tqdm

        if n_workers is None:
            n_workers = cpu_count() if self.device == "cpu" else 1
        require_at_least("n_workers", n_workers, 1)
        with Parallel(n_jobs=min(n_workers, len(jobs)), return_as="generator", batch_size=1) as workers:
            places = workers(delayed(self.train)(*job) for job in jobs)
            bar = tqdm(places, "Dictionaries", len(jobs), disable=None if progress else True)
            return [cast("AffineDictionary", load(place)) for place in bar]

    def train(self, options: TrainingOptions[Any], seed: int) -> Path:
        """Train one dictionary, unless it is finished, and return its folder.

        The folder and not the dictionary: a worker whose sweep was killed could not hand over more than fits
        into a pipe, and would never end.
        """
        place = self.folder / "dictionaries" / f"{setting_name(options)}_seed{seed}"
        lock = place.parent / ".locks" / place.name
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):  # such a worker goes on until its dictionary is finished
            checkpoint = place.with_name(f"{place.name}.training")
            if not (place / CONFIG).is_file():
                self._train_into(place, checkpoint, options, seed)
            checkpoint.unlink(missing_ok=True)
        return place

    def _train_into(self, place: Path, checkpoint: Path, options: TrainingOptions[Any], seed: int) -> None:
        with _one_thread():
            trained: AffineDictionary = train(
                self.embeddings,
                options,
                seed=seed,
                groups=self.groups,
                device=self.device,
                progress=False,
                checkpoint=checkpoint,
            )
        with moved_into(place) as scratch:
            trained.save(scratch)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
