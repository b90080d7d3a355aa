"""Comparison of finished runs: which concepts come back in another seed, dataset or model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from conceptome import dictionaries
from conceptome.core import BundleError, InputError, require_choice
from conceptome.evaluation import label_names
from conceptome.evaluation.concept_comparison import MEASURES, ConceptComparison, compare_concepts
from conceptome.evaluation.concept_similarities import ComparedConcepts, Measure
from conceptome.pipeline import enrichment_files, storage
from conceptome.pipeline.folder import RunFolder
from conceptome.pipeline.returning import consensus_concepts, describe_comparison, label_agreement

PairsOfRuns: TypeAlias = Literal["star", "all"]


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Concepts of several runs, matched run by run."""

    pairs: pd.DataFrame
    """``run_a, run_b`` before the columns of `ConceptComparison`; ``label_a, label_b, same_label`` after
    them, missing where a run knows no labels."""
    summary: pd.DataFrame
    """``run_a, run_b`` before the columns of `ConceptComparison`; the measure ``labels`` is the share of
    pairs with the same best label, beside that of labels permuted among the pairs."""
    consensus: pd.DataFrame
    """``run, concept, label, recurrence`` (share of the other runs in which the concept comes back, above
    chance by at least one measure), and what it is in each: ``in_<run>``. At least half of the runs."""
    refused: pd.DataFrame
    """``run_a, run_b, measure, reason``."""
    text: str
    """The same in a few lines."""


def compare_runs(
    runs: Sequence[Path | str],
    *,
    measures: Sequence[Measure] = MEASURES,
    pairs: PairsOfRuns = "star",
    labels: Path | str | None = None,
    gene_table: Path | str | None = None,
    n_null: int = 400,
    seed: int = 0,
) -> RunComparison:
    """Match the concepts of finished runs, by each measure and each beside its own chance.

    Parameters
    ----------
    runs
        Run folders, two or more; they may differ in seed, settings, cells or encoder.
    measures
        See `compare_concepts`; a measure that says nothing of two runs is left out with the reason.
    pairs
        Compare the first with each other run, or all with all.
    labels
        A table of labels that mean the same, see `read_label_map`; labels are else equal when they differ in
        case, blanks and plural only.
    gene_table
        See `share_genes`.
    n_null
        Draws of chance.
    seed
        Decides them.

    Returns
    -------
    `RunComparison`.

    Raises
    ------
    BundleError
        If a folder holds no run with a finished dictionary.
    InputError
        If there are fewer than two runs, two hold the same dictionary, or nothing compares.
    """
    require_choice("pairs", pairs, get_args(PairsOfRuns))
    mapping = label_names.read_label_map(labels) if labels is not None else {}
    read = [_read(Path(run)) for run in runs]
    _require_different(read)
    found: dict[tuple[str, str], ConceptComparison] = {}
    for a, b in combinations(read, 2):
        if pairs == "all" or a is read[0]:
            settings = {"n_null": n_null, "seed": seed}
            found[a.name, b.name] = compare_concepts(
                a, b, measures=measures, gene_table=gene_table, **settings
            )
    by_name = {each.name: each for each in read}
    known = label_names.common_labels(
        {each.name: each.labels for each in read if each.labels is not None}, mapping
    )
    table = _joined({key: each.pairs for key, each in found.items()})
    for side in "ab":
        keys = zip(table[f"run_{side}"], table[f"concept_{side}"], strict=True)
        table[f"label_{side}"] = [known[run].get(concept) if run in known else None for run, concept in keys]
    same = (table["label_a"] == table["label_b"]).astype(object)
    table["same_label"] = same.where(table["label_a"].notna() & table["label_b"].notna(), None)
    summary = _joined({key: each.summary for key, each in found.items()})
    summary = pd.concat([summary, label_agreement(table, n_null=n_null, seed=seed)], ignore_index=True)
    matching = summary.groupby(["run_a", "run_b", "matched_by"], sort=False).ngroup()
    summary = summary.iloc[np.argsort(matching, kind="stable")].reset_index(drop=True)
    rows = [
        (*key, measure, reason) for key, each in found.items() for measure, reason in each.refused.items()
    ]
    refused = pd.DataFrame(rows, columns=["run_a", "run_b", "measure", "reason"])
    notes = {key: each.notes for key, each in found.items()}
    consensus = consensus_concepts(table, {name: known.get(name) for name in by_name}, star=pairs == "star")
    text = describe_comparison(summary, refused, notes, known, consensus)
    return RunComparison(table, summary, consensus, refused, text)


def write_comparison(found: RunComparison, folder: Path) -> None:
    """Write the tables (``pairs.tsv`` and others), ``comparison.txt`` and ``comparison.png``.

    Parameters
    ----------
    found
        The comparison.
    folder
        Made if it is not there; files of these names are replaced.
    """
    from matplotlib.figure import Figure

    from conceptome import plotting

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("pairs", "summary", "consensus", "refused"):
        getattr(found, name).to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    (folder / "comparison.txt").write_text(found.text + "\n", encoding="utf-8")
    plotting.returning(found.pairs, figure=Figure()).savefig(folder / "comparison.png", dpi=150)


def _joined(tables: dict[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    frames = [
        table.assign(run_a=a, run_b=b)[["run_a", "run_b", *table.columns]] for (a, b), table in tables.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _read(path: Path) -> ComparedConcepts:
    folder = RunFolder.existing(path)
    stages = folder.manifest["stages"]
    for stage in ("embed", "train"):
        if not _finished(folder, stage):
            msg = (
                f"{folder.path}: the stage {stage!r} is not finished, or its files have changed. Continue "
                f"with: {folder.manifest['command']}"
            )
            raise BundleError(msg)
    attributed = _finished(folder, "attribute") and (path / "attributions.parquet").exists()
    enriched = _finished(folder, "enrich") and (path / "enrichment.parquet").exists()
    return ComparedConcepts(
        str(path),
        dictionaries.load(path / "dictionary"),
        storage.load_embeddings(path / "embeddings.zarr"),
        storage.load_activations(path / "activations.zarr"),
        storage.load_attributions(path) if attributed else None,
        enrichment_files.load_enrichment(path / "enrichment.parquet") if enriched else None,
        _labels(folder) if "summarise" in stages else None,
    )


def _finished(folder: RunFolder, stage: str) -> bool:
    stages = folder.manifest["stages"]
    return stage in stages and folder.is_done(stage, stages[stage]["digest"])


def _labels(folder: RunFolder) -> pd.Series | None:
    table, _ = storage.read_table(folder.path / "concepts.parquet")
    labels: pd.Series = table.set_index("concept")["best_label"]
    return labels if labels.notna().any() else None


def _require_different(runs: Sequence[ComparedConcepts]) -> None:
    if len(runs) < 2:
        msg = f"{len(runs)} run is given, expected at least two to compare."
        raise InputError(msg)
    for a, b in combinations(runs, 2):
        if a.dictionary.dictionary_id == b.dictionary.dictionary_id:
            msg = (
                f"{a.name} and {b.name} hold the same dictionary ({a.dictionary.dictionary_id}), which says "
                "nothing of stability. Compare runs that differ in seed, settings, cells or encoder."
            )
            raise InputError(msg)
