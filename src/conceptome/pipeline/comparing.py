"""Comparison of the dictionaries of two runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from conceptome import dictionaries
from conceptome.core import BundleError, Dictionary, DictionaryMismatchError, InputError
from conceptome.dictionaries.comparison import By
from conceptome.dictionaries.recurrence import SAME
from conceptome.pipeline import storage
from conceptome.pipeline.folder import RunFolder

N_SHOWN = 10


def compare_runs(
    run_a: Path | str, run_b: Path | str, *, by: By = "directions", seed: int = 0
) -> tuple[pd.DataFrame, str]:
    """Match the concepts of two finished runs of one encoder.

    Parameters
    ----------
    run_a, run_b
        Run folders. The cells of the first are those on which activations, or the covariance that chance is
        given, are measured.
    by
        Compare decoder directions (cosine) or activations (correlation).
    seed
        Decides the random matchings.

    Returns
    -------
    table
        See `Matching.to_frame`, with ``best_label_a`` and ``best_label_b`` where the runs know them; the most
        similar pair first.
    text
        The same in a few lines.

    Raises
    ------
    BundleError
        If a folder holds no run with a finished dictionary.
    DictionaryMismatchError
        If the encoders differ.
    InputError
        If both hold the same dictionary.
    """
    folders = RunFolder.existing(run_a), RunFolder.existing(run_b)
    a, b = (_dictionary(folder) for folder in folders)
    _require_comparable(a, b, folders)
    embeddings = storage.load_embeddings(folders[0].path / "embeddings.zarr")
    matching = dictionaries.match_concepts(a, b, by=by, embeddings=embeddings, seed=seed)
    table = matching.to_frame()
    for side, folder in zip("ab", folders, strict=True):
        labels = _labels(folder)
        if labels is not None:
            table[f"best_label_{side}"] = table[f"concept_{side}"].map(labels)
    table = table.sort_values("similarity", ascending=False, kind="stable", ignore_index=True)
    sizes = f"{run_a} has {a.n_concepts} concepts, {run_b} {b.n_concepts}; compared by {by}."
    return table, f"{sizes}\n{_describe(table)}"


def _dictionary(folder: RunFolder) -> Dictionary:
    stages = folder.manifest["stages"]
    for stage in ("embed", "train"):
        if stage not in stages or not folder.is_done(stage, stages[stage]["digest"]):
            msg = (
                f"{folder.path}: the stage {stage!r} is not finished, or its files have changed. Continue "
                f"with: {folder.manifest['command']}"
            )
            raise BundleError(msg)
    return dictionaries.load(folder.path / "dictionary")


def _require_comparable(a: Dictionary, b: Dictionary, folders: tuple[RunFolder, RunFolder]) -> None:
    first, second = (folder.path for folder in folders)
    if a.encoder_id != b.encoder_id:
        encoder = folders[0].manifest["config"]["encoder"].partition(":")[0]
        msg = (
            f"{first} and {second} have different encoders ({a.encoder_id} and {b.encoder_id}), so their "
            "concepts lie in different embeddings. Run the second again with the encoder of the first: "
            f"--encoder {encoder}:{first / 'encoder'}"
        )
        raise DictionaryMismatchError(msg)
    if a.dictionary_id == b.dictionary_id:
        msg = (
            f"{first} and {second} hold the same dictionary ({a.dictionary_id}), which says nothing of "
            "stability. Compare runs that differ in seed, settings or cells."
        )
        raise InputError(msg)


def _labels(folder: RunFolder) -> pd.Series | None:
    if "summarise" not in folder.manifest["stages"]:
        return None
    table, _ = storage.read_table(folder.path / "concepts.parquet")
    labels: pd.Series = table.set_index("concept")["best_label"]
    return labels if labels.notna().any() else None


def _describe(table: pd.DataFrame) -> str:
    clear, same = int((table["p"] <= 0.05).sum()), int((table["similarity"] >= SAME).sum())
    lines = [
        f"{len(table)} matched pairs: mean similarity {table['similarity'].mean():.3f}, by chance "
        f"{table['null'].mean():.3f}; {clear} above chance (p <= 0.05), {same} of {SAME} or more.",
        "The most similar:",
    ]
    for row in table.head(N_SHOWN).to_dict("records"):
        labels = [row.get(f"best_label_{side}") for side in "ab"]
        named = " · ".join(str(label) for label in labels if isinstance(label, str))
        found = f"{row['concept_a']:>5} {row['concept_b']:>5}  {row['similarity']:.3f}"
        lines.append(f"{found} (chance {row['null']:.3f}, p {row['p']:.2g})  {named}".rstrip())
    return "\n".join(lines)
