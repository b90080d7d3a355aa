"""Cells to train a dictionary on, from whatever holds embeddings."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from conceptome import data, encoders
from conceptome.core import BundleError, InputError
from conceptome.data.wording import did_you_mean, some
from conceptome.dictionaries.sources import EmbeddingSource, Source
from conceptome.pipeline.config import build_config
from conceptome.pipeline.context import Run
from conceptome.pipeline.folder import CONFIG, MANIFEST, RunFolder


@dataclass(frozen=True, eq=False)
class Trainees:
    """Embedded cells, their donors, and how the same cells are run."""

    embeddings: EmbeddingSource
    groups: list[str] | None
    """Donor of each cell."""
    run_command: str | None = None
    """The command of a run on the same embeddings, without the size of the dictionary and the seed; None
    where only an array is known."""
    run_seed: int | None = None
    """The seed of an existing run, with which its cells were embedded."""


def read_trainees(path: Path | str, *, obsm: str | None = None, groups: str | None = None) -> Trainees:
    """Find embeddings in a run folder, an ``.h5ad`` file or an array on disk.

    Parameters
    ----------
    path
        A run folder after ``conceptome embed`` or ``conceptome run``, an ``.h5ad`` file, an ``.npy`` file or
        a zarr array.
    obsm
        Entry of `obsm` with the embedding, for an ``.h5ad`` file.
    groups
        Column of `obs` with the donor. None = a run's own ``--donor-key``, if it has one.

    Returns
    -------
    `Trainees`.

    Raises
    ------
    InputError
        If there is no such file, entry or column, or the options do not go with the input.
    BundleError
        If the run folder is damaged or has no embeddings yet.
    """
    path = Path(path)
    of_run, of_h5ad = (path / MANIFEST).is_file(), path.suffix == ".h5ad"
    for option, value, fits in (("--obsm", obsm, of_h5ad), ("--groups", groups, of_h5ad or of_run)):
        if value and not fits:
            kind = "a run folder" if of_run else "an array, not an .h5ad file"
            msg = f"{path} is {kind}, so that {option} has no meaning. Leave {option} out."
            raise InputError(msg)
    if of_run:
        return _of_run(path, groups)
    return _of_h5ad(path, obsm, groups) if of_h5ad else Trainees(path, None)


def _of_run(path: Path, groups: str | None) -> Trainees:
    folder = RunFolder.existing(path)
    stage = folder.manifest["stages"].get("embed")
    if stage is None or not folder.is_done("embed", stage["digest"]):
        msg = (
            f"{path}: the stage 'embed' is not finished, or its files have changed. Continue with: "
            f"{folder.manifest['command']}"
        )
        raise BundleError(msg)
    store = path / "embeddings.zarr"
    command = f"conceptome run --config {shlex.quote(str(path / CONFIG))}"
    config = build_config({}, toml=path / CONFIG)
    column = groups or config.donor_key
    if column is None:
        return Trainees(store, None, command, config.seed)
    donors = _column(Run(config, folder).source.obs, column).reindex(Source.of(store).names)
    if donors.isna().any():
        msg = (
            f"{config.data} has no {column!r} for {int(donors.isna().sum()):,} of the {len(donors):,} cells "
            f"of {path}. Give the data that the run was made from, or a column without gaps."
        )
        raise InputError(msg)
    chosen = f" --donor-key {shlex.quote(column)}" if column != config.donor_key else ""
    return Trainees(store, donors.astype(str).tolist(), command + chosen, config.seed)


def _of_h5ad(path: Path, obsm: str | None, groups: str | None) -> Trainees:
    adata = data.read(path, backed=True)
    if obsm is None:
        found = f"has {some(adata.obsm)} in obsm. Name one of them with --obsm."
        nothing = (
            f"has no embedding in obsm. Make one with: conceptome embed {shlex.quote(str(path))} --out RUN"
        )
        msg = f"{path} {found if len(adata.obsm) else nothing}"
        raise InputError(msg)
    donors = None if groups is None else _column(adata.obs, groups)
    if donors is not None and donors.isna().any():
        msg = (
            f"obs[{groups!r}] is empty in {int(donors.isna().sum()):,} of {len(donors):,} cells. Fill it in, "
            "or choose another column."
        )
        raise InputError(msg)
    embeddings = encoders.from_spec(f"obsm:{obsm}", adata).embed(adata)
    command = f"conceptome run {shlex.quote(str(path))} --out RUN --encoder {shlex.quote('obsm:' + obsm)}"
    if donors is None:
        return Trainees(embeddings, None, command)
    command = f"{command} --donor-key {shlex.quote(str(groups))}"
    return Trainees(embeddings, donors.astype(str).tolist(), command)


def _column(obs: pd.DataFrame, name: str) -> pd.Series:
    if name not in obs:
        near = did_you_mean(name, obs.columns.tolist())
        msg = f"obs has no column {name!r}; it has {some(obs.columns)}.{near}"
        raise InputError(msg)
    column: pd.Series = obs[name]
    return column
