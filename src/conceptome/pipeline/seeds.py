"""Training of a run's dictionary, and of others that differ in their seed, in steps that survive a kill."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from conceptome import dictionaries, evaluation
from conceptome.dictionaries.storage import CONFIG, moved_into
from conceptome.pipeline import storage
from conceptome.pipeline.context import Run

UNFINISHED = "training"
"""Folder beside a dictionary that is being trained; the checkpoint lies in it."""

logger = logging.getLogger(__name__)


def train_dictionary(run: Run, folder: Path, *, seed: int) -> dictionaries.AffineDictionary:
    """Train a dictionary with the settings of a run; go on with what an earlier attempt has left.

    Parameters
    ----------
    run
        The run.
    folder
        Where the dictionary is saved, whole or not at all; where it is, nothing is trained. Training is
        written down beside it, in the folder `UNFINISHED`.
    seed
        Seed of this dictionary.

    Returns
    -------
    The dictionary; the same to the bit whether or not training was interrupted.
    """
    if not (folder / CONFIG).is_file():
        dictionary = dictionaries.train(
            run.embeddings,
            dictionaries.TopK(n_concepts=run.config.n_concepts, k=run.config.k),
            seed=seed,
            groups=None if run.donors is None else run.donors.astype(str).tolist(),
            device=run.config.device,
            checkpoint=folder.parent / UNFINISHED / f"{seed}.safetensors",
        )
        with moved_into(folder) as scratch:
            dictionary.save(scratch)
    shutil.rmtree(folder.parent / UNFINISHED, ignore_errors=True)
    return dictionaries.TopKDictionary.load(folder)


def describe_training(dictionary: dictionaries.AffineDictionary) -> str:
    """Say in a line what came out of a training.

    Parameters
    ----------
    dictionary
        As `train_dictionary` returns it.

    Returns
    -------
    Held-out R2, concepts per cell, dead concepts, the passes over the cells, and whether they began at
    principal axes, which hardly depend on the seed.
    """
    fidelity, n_epochs = dictionary.training["fidelity"], dictionary.training["progress"][-1]["epoch"]
    n_dead = round(fidelity["dead"] * dictionary.n_concepts)
    start = " from principal axes" if dictionary.training["options"]["axes"] else ""
    return (
        f"{dictionary.n_concepts} concepts, {fidelity['l0']:.1f} per cell, {n_dead} dead; held-out R2 "
        f"{fidelity['r2_heldout']:.3f} after {round(n_epochs, 2):g} epochs{start}"
    )


def stability(run: Run, folder: Path) -> dict[str, Any]:
    """Train further seeds and compare; seeds finished by an interrupted or an earlier stage are kept."""
    config = run.config
    if config.n_seeds == 1:
        reason = "Stability over seeds was not measured. Run again with --n-seeds 5."
        return {"missing": reason, "message": "left out (--n-seeds 1)"}
    trained = [run.dictionary]
    for seed in range(config.seed + 1, config.seed + config.n_seeds):
        dictionary = seed_dictionary(run, folder / "seeds" / str(seed), seed=seed)
        logger.info("seed %d: %s", seed, describe_training(dictionary))
        trained.append(dictionary)
    record = evaluation.measure_seeds(trained, run.embeddings, seed=config.seed)
    storage.save_stability(record, folder / "stability.parquet")
    by = record.summary.set_index("by").loc["directions"]
    words = f"directions {by['mean']:.2f}, chance {by['null']:.2f}, over {config.n_seeds} seeds"
    return {"trained_as": _training_digest(run), "message": words}


def seed_dictionary(run: Run, place: Path, *, seed: int) -> dictionaries.AffineDictionary:
    """Train the dictionary of another seed, or take it from the stage `stability` where that has it.

    Parameters
    ----------
    run
        The run.
    place
        Where the dictionary is saved; the name of the folder is the seed.
    seed
        Seed of this dictionary.

    Returns
    -------
    The dictionary.
    """
    if not (place / CONFIG).is_file():
        _take_earlier(run, place)
    return train_dictionary(run, place, seed=seed)


def _take_earlier(run: Run, place: Path) -> None:
    """Copy a seed's dictionary from this stage as it was finished before with another number of seeds."""
    before = run.folder.manifest["stages"].get("stability", {})
    known = before.get("trained_as") == _training_digest(run)
    earlier = run.path / "seeds" / place.name
    if known and earlier.exists() and run.folder.is_done("stability", before["digest"]):
        with moved_into(place) as scratch:
            shutil.copytree(earlier, scratch, dirs_exist_ok=True)


def _training_digest(run: Run) -> str:
    """Return what a dictionary of this run depends on but for its own seed: data, embedding and settings."""
    return str(run.folder.manifest["stages"]["train"]["digest"])
