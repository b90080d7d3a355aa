"""Dictionaries of several sizes and seeds side by side, and the one to take."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from conceptome.core import require_at_least
from conceptome.dictionaries.affine import AffineDictionary
from conceptome.dictionaries.claim import held
from conceptome.dictionaries.comparison import MATCHED_CELLS
from conceptome.dictionaries.options import TrainingOptions
from conceptome.dictionaries.recommendation import pareto_front, recommend
from conceptome.dictionaries.sources import EmbeddingSource, Source
from conceptome.dictionaries.sweep_grid import lay_out
from conceptome.dictionaries.sweep_measures import measure_setting
from conceptome.dictionaries.sweep_training import Trainings
from conceptome.dictionaries.topk import TopK


@dataclass(frozen=True, eq=False)
class Sweep:
    """Dictionaries of one family over sizes, active concepts and seeds, and the setting to take."""

    settings: pd.DataFrame
    """One row per setting: ``family, n_concepts, expansion`` (n_concepts / d_embed), ``k`` (missing for a
    family without), ``n_seeds``; ``r2`` (held-out cells), ``l0, dead, inactive_heldout``,
    ``recurring_directions`` and ``recurring_activations`` (concepts that come back with every seed),
    ``r2_recurring`` (R2 with all other concepts set to 0), each a mean over seeds with its standard deviation
    in ``_sd``; ``directions`` and ``activations`` (similarity to the matched concept of another seed, mean
    over pairs), each with ``_sd``, ``_null`` (chance) and ``_random`` (frozen random encoder); ``excess`` of
    activations above the higher of those two; ``on_front``, ``recommended``."""
    trained: pd.DataFrame
    """One row per dictionary, in the order of `dictionaries`: ``family, n_concepts, k, seed, dictionary_id,
    n_epochs`` and the measures that `settings` averages."""
    recommended: TrainingOptions[Any]
    """The setting to take, as options for `train`."""
    reason: str
    """Why: what is gained, what comes next, what is given up."""
    dictionaries: tuple[AffineDictionary, ...]
    """Of all settings, in order, seed by seed."""

    @property
    def dictionary(self) -> AffineDictionary:
        """The dictionary of the recommended setting with the first seed."""
        ids = self.trained["dictionary_id"].to_numpy().reshape(len(self.settings), -1)
        wanted = ids[self.settings["recommended"].to_numpy().argmax(), 0]
        return next(each for each in self.dictionaries if each.dictionary_id == wanted)

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table of settings."""
        return self.settings.copy()


def sweep(  # noqa: PLR0913 - the public face: every axis of the grid is named here
    embeddings: EmbeddingSource,
    family: TrainingOptions[Any] | None = None,
    *,
    n_concepts: Sequence[int] | None = None,
    k: Sequence[int] | None = None,
    n_seeds: int = 3,
    seed: int = 0,
    groups: Sequence[str] | None = None,
    n_workers: int | None = None,
    device: str = "cpu",
    progress: bool = True,
    folder: Path | str | None = None,
) -> Sweep:
    """Train dictionaries over a grid of sizes, active concepts and seeds, and recommend a setting.

    The recommended setting lies on the front of held-out R2, L0 and stability; of these it is the one whose
    concepts that come back with every seed keep most of the variance of held-out cells.

    Parameters
    ----------
    embeddings
        A record, an array ``(n_cells, d_embed)`` or a path, as for `train`.
    family
        Options of the family, such as `BatchTopK`, for everything that is not swept; None = `TopK`. A size or
        a k that they name is not swept.
    n_concepts
        Sizes. None = the family's default, its half, quarter, eighth and sixteenth, not below 8.
    k
        Active concepts per cell. None = the family's default, its half and quarter, not below 2. Settings
        with fewer than 2 k concepts are left out.
    n_seeds
        Dictionaries per setting, 2 or more.
    seed
        The first seed; the others follow.
    groups
        Donor of each cell. Given, whole donors are held out; otherwise cells are.
    n_workers
        Dictionaries trained at once, each in a process of its own and on one thread; changes no result.
        None = one per processor, on a GPU 1.
    device
        Where torch computes.
    progress
        Whether to show progress bars (never shown where the output is not a terminal or notebook).
    folder
        Where finished dictionaries are kept, and unfinished ones written down while they are trained. Called
        again with the same data and options, a sweep continues; settings and seeds may be added. None = a
        temporary folder, which is removed.

    Returns
    -------
    `Sweep`.

    Raises
    ------
    InputError
        If no setting is left, k is given for a family without, or there are fewer than two seeds; and as for
        `train`.
    CheckpointError
        If the folder belongs to other data or options, is damaged, or another process works in it.
    """
    from tqdm.auto import tqdm

    require_at_least("n_seeds", n_seeds, 2)
    source = Source.of(embeddings)
    family = TopK() if family is None else family
    settings = lay_out(family, n_concepts=n_concepts, k=k, n_cells=source.n_cells, d_embed=source.d_embed)
    donors = None if groups is None else [str(group) for group in groups]
    jobs = list(product(settings, range(seed, seed + n_seeds)))
    with nullcontext(folder) if folder else TemporaryDirectory() as place, held(place) as kept:
        trainings = Trainings(embeddings, donors, device, kept)
        trainings.claim_folder(family)
        trained = trainings.run(jobs, n_workers=n_workers, progress=progress)
    z, names = _drawn(source, donors, seed=seed)
    measured = [
        measure_setting(trained[at : at + n_seeds], z, names=names, seed=seed)
        for at in tqdm(range(0, len(jobs), n_seeds), "Measures", disable=None if progress else True)
    ]
    return _judge(settings, measured, trained)


def _drawn(source: Source, groups: list[str] | None, *, seed: int) -> tuple[np.ndarray, list[str]]:
    """Draw the cells to measure on, with the names that held-out splits go by."""
    drawn = np.zeros(source.n_cells, dtype=bool)
    drawn[np.random.default_rng(seed).permutation(source.n_cells)[:MATCHED_CELLS]] = True
    names = source.names.astype(str).tolist() if groups is None else groups
    return source.take(drawn), [names[row] for row in np.flatnonzero(drawn)]


def _judge(
    settings: list[TrainingOptions[Any]],
    measured: list[tuple[dict[str, float], list[dict[str, Any]]]],
    dictionaries: list[AffineDictionary],
) -> Sweep:
    """Put the measures into tables, and choose."""
    axes = [
        {"family": type(each).__name__, "n_concepts": each.n_concepts, "k": getattr(each, "k", None)}
        for each in settings
    ]
    rows = [{**own, **row} for own, (_, rows) in zip(axes, measured, strict=True) for row in rows]
    table = pd.DataFrame([{**own, **means} for own, (means, _) in zip(axes, measured, strict=True)])
    trained = pd.DataFrame(rows)
    for frame in (table, trained):
        frame["k"] = frame["k"].astype("Int64")
    table.insert(2, "expansion", table["n_concepts"] / dictionaries[0].d_embed)
    table.insert(4, "n_seeds", len(rows) // len(settings))
    r2, l0, excess = (table[name].to_numpy() for name in ("r2", "l0", "excess"))
    table["on_front"] = pareto_front(r2=r2, l0=l0, excess=excess)
    chosen, reason = recommend(table, trained)
    table["recommended"] = table.index == chosen
    return Sweep(table, trained, settings[chosen], reason, tuple(dictionaries))
