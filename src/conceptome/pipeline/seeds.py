"""The stage that trains the dictionary again with other seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conceptome import dictionaries, evaluation
from conceptome.pipeline import storage
from conceptome.pipeline.context import Run


def train_dictionary(run: Run, *, seed: int) -> dictionaries.TopKDictionary:
    """Train a dictionary with the settings of a run.

    Parameters
    ----------
    run
        The run.
    seed
        Seed of this dictionary.

    Returns
    -------
    The dictionary.
    """
    return dictionaries.train(
        run.embeddings,
        dictionaries.TopK(n_concepts=run.config.n_concepts, k=run.config.k),
        seed=seed,
        groups=None if run.donors is None else run.donors.astype(str).tolist(),
        device=run.config.device,
    )


def stability(run: Run, folder: Path) -> dict[str, Any]:
    """Train further seeds and compare; an interrupted stage keeps the seeds that were finished."""
    config = run.config
    if config.n_seeds == 1:
        reason = "Stability over seeds was not measured. Run again with --n-seeds 5."
        return {"missing": reason, "message": "left out (--n-seeds 1)"}
    trained = [run.dictionary]
    for seed in range(config.seed + 1, config.seed + config.n_seeds):
        place = folder / "seeds" / str(seed)
        if not (place / "config.json").is_file():
            train_dictionary(run, seed=seed).save(place)
        trained.append(dictionaries.load(place))
    record = evaluation.measure_seeds(trained, run.embeddings, seed=config.seed)
    storage.save_stability(record, folder / "stability.parquet")
    by = record.summary.set_index("by").loc["directions"]
    words = f"directions {by['mean']:.2f}, chance {by['null']:.2f}, over {config.n_seeds} seeds"
    return {"message": words}
