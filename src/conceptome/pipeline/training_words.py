"""What a training or a sweep has found, in lines for a terminal, and the command that goes on with it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from conceptome.dictionaries import Sweep, TopK
from conceptome.dictionaries.affine import AffineDictionary
from conceptome.dictionaries.sweep_grid import setting_name
from conceptome.pipeline.config import RunConfig
from conceptome.pipeline.seeds import describe_training
from conceptome.pipeline.trainees import Trainees

COLUMNS = {
    "n_concepts": "concepts",
    "l0": "L0",
    "r2": "R2",
    "recurring_activations": "recurring",
    "r2_recurring": "their R2",
    "activations": "similarity",
    "activations_null": "chance",
    "activations_random": "random enc.",
}


def describe_trained(dictionary: AffineDictionary, out: Path | str, cells: Trainees) -> str:
    """Tell what a trained dictionary is worth, and how to go on.

    Parameters
    ----------
    dictionary
        The dictionary.
    out
        Its folder.
    cells
        What it was trained on.

    Returns
    -------
    Several lines of text.
    """
    lines = [f"Dictionary: {out} ({dictionary.kind}; {describe_training(dictionary)})"]
    lines.append(_next(dictionary, cells, load=str(out)))
    return "\n".join(lines)


def describe_sweep(found: Sweep, out: Path | str, cells: Trainees) -> str:
    """Show the table of a sweep, its recommendation and how to go on.

    Parameters
    ----------
    found
        The sweep.
    out
        Its folder.
    cells
        What it was trained on.

    Returns
    -------
    Several lines of text.
    """
    chosen, dictionary = found.recommended, found.dictionary
    place = Path(out) / "dictionaries" / f"{setting_name(chosen)}_seed{dictionary.training['seed']}"
    return "\n".join(
        [
            _table(found.settings),
            "Means over seeds; * on the front of R2, L0 and stability, > recommended. Recurring: concepts "
            "that come back with every seed.",
            f"Recommended: {found.reason}",
            f"Files: {out} (settings.csv, trained.csv, sweep.png, recommendation.json, dictionaries/)",
            _next(dictionary, cells, load=str(place)),
        ]
    )


def _table(settings: pd.DataFrame) -> str:
    shown = settings[list(COLUMNS)].rename(columns=COLUMNS)
    marks = {(False, False): "", (True, False): "*", (True, True): "> *", (False, True): ">"}
    flags = zip(settings["on_front"], settings["recommended"], strict=True)
    shown.insert(0, "", [marks[bool(front), bool(chosen)] for front, chosen in flags])
    digits = {"L0": "{:.1f}".format, "recurring": "{:.1f}".format}
    return shown.to_string(index=False, float_format="{:.3f}".format, formatters=digits)


def _next(dictionary: AffineDictionary, cells: Trainees, *, load: str) -> str:
    """Give the command of a run with such a dictionary, and say in what its training differs."""
    training, options = dictionary.training, dictionary.training["options"]
    if dictionary.kind != "topk" or not cells.run_command:
        why = "conceptome run trains TopK" if cells.run_command else "in Python"
        return f"Next ({why}): dictionary = cm.dictionaries.load({load!r})"
    command = f"{cells.run_command} --n-concepts {options['n_concepts']} --k {options['k']}"
    seed, differs = training["seed"], []
    if cells.run_seed is None and seed != RunConfig.seed:
        command += f" --seed {seed}"
    if cells.run_seed not in (None, seed):
        differs.append(f"with the seed of its embedding, {cells.run_seed} instead of {seed}")
    n_epochs = TopK().epochs(training["n_cells"]["learned"])
    if options["max_epochs"] != n_epochs:
        differs.append(f"for up to {n_epochs:,} epochs instead of {options['max_epochs']:,}")
    trains = f"\nIt trains {' and '.join(differs)}." if differs else ""
    return f"Next: {command}{trains}"
