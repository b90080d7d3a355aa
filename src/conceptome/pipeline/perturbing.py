"""A run held against what perturbations did to its cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from conceptome import evaluation
from conceptome.core import BundleError
from conceptome.evaluation import PerturbationCheck
from conceptome.pipeline.config import config_of
from conceptome.pipeline.context import Run
from conceptome.pipeline.folder import RunFolder

if TYPE_CHECKING:
    from conceptome.evaluation.direct_agreement import Action

FOLDER = "perturbations"
TABLES = ("shifts", "targets", "responses", "direct", "indirect")
ALPHA = 0.05
SHOWN = ("attribution", "wilcoxon", "level", "degree")


def check_run(
    path: Path | str, *, key: str, control: str, action: Action = "loss", data: Path | str | None = None
) -> PerturbationCheck:
    """Tell whether perturbations move the concepts of a run, and whether gene scores foretell it.

    Cells are compared within the run's batches, or donors where it names no batch. Genes are scored anew, in
    control cells alone, with the run's number of pairs and its ``match_on``.

    Parameters
    ----------
    path
        The run folder.
    key
        Column of obs with the perturbation of each cell.
    control
        Its value in control cells.
    action
        See `evaluation.check_perturbations`.
    data
        The cells, if their file has moved.

    Returns
    -------
    `PerturbationCheck`.

    Raises
    ------
    BundleError
        If the run has no finished dictionary.
    ConceptomeError
        See `evaluation.check_perturbations`.
    """
    config = config_of(path, {} if data is None else {"data": str(data)})
    run = Run(config, RunFolder.existing(path))
    stages = run.folder.manifest["stages"]
    if "train" not in stages or not run.folder.is_done("train", stages["train"]["digest"]):
        msg = f"{path}: the dictionary is not finished. Continue with: {run.folder.manifest['command']}"
        raise BundleError(msg)
    return evaluation.check_perturbations(
        run.adata,
        run.encoder,
        run.dictionary,
        key=key,
        control=control,
        action=action,
        block_key=config.batch_key or config.donor_key,
        match_on=config.match_on,
        n_pairs=config.n_pairs,
        batch_size=config.batch_size,
        device=config.device,
        seed=config.seed,
    )


def write_perturbations(found: PerturbationCheck, path: Path | str) -> Path:
    """Write the tables of a check into the folder ``perturbations`` of a run.

    Parameters
    ----------
    found
        The check.
    path
        The run folder.

    Returns
    -------
    The folder; files of the same names are replaced.
    """
    folder = Path(path) / FOLDER
    folder.mkdir(exist_ok=True)
    for name in TABLES:
        getattr(found, name).to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    (folder / "perturbations.txt").write_text(describe_perturbations(found) + "\n", encoding="utf-8")
    return folder


def describe_perturbations(found: PerturbationCheck) -> str:
    """Say in a few lines which perturbations move concepts, and what foretells it.

    Parameters
    ----------
    found
        The check.

    Returns
    -------
    Lines of text.
    """
    moving = found.shifts[found.shifts["q"] <= ALPHA]
    n_moving, n_all = moving["perturbation"].nunique(), found.shifts["perturbation"].nunique()
    lines = [
        f"{n_moving} of {n_all} perturbations move concepts, {len(moving)} pairs of perturbation and concept "
        f"in all (q <= {ALPHA}); {len(found.not_attributable)} concepts have no gene scores in control cells."
    ]
    by_gene = {"pooled": "tells which concepts move, AUROC", "agreement": "tells which way they go, share"}
    lines += _lines("The score of the perturbed gene", found.direct, by_gene)
    responding = {
        "matched": "are high in moving concepts, AUROC among genes of like expression",
        "push": "tell by their sum which concepts move, AUROC",
        "agreement": "tell which way they go, share",
    }
    return "\n".join(lines + _lines("The scores of responding genes", found.indirect, responding))


def _lines(subject: str, table: pd.DataFrame, columns: dict[str, str]) -> list[str]:
    """Write a line per measure: every score with its chance."""
    rows = table[table["score"].isin(SHOWN)].to_dict("records")
    lines = []
    for column, words in columns.items():
        said = [
            f"{row['score']} {row[column]:.2f} (chance {row[f'{column}_null']:.2f}, "
            f"p {row[f'{column}_p']:.2g})"
            for row in rows
            if np.isfinite(row[column])
        ]
        if said:
            lines.append(f"{subject} {words}: {'; '.join(said)}.")
    return lines
