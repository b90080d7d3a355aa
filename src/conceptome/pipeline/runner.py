"""Runs the stages that are not finished yet, and keeps the manifest."""

from __future__ import annotations

import datetime
import importlib.metadata
import logging
import os
import platform
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import conceptome
from conceptome.core import BundleError, InputError, content_id
from conceptome.pipeline.config import DEMO, RunConfig
from conceptome.pipeline.context import Run
from conceptome.pipeline.folder import CONFIG, LOG, RunFolder, write_text
from conceptome.pipeline.stages import STAGES, Stage

logger = logging.getLogger(__name__)

_RECORDED = (
    "numpy",
    "scipy",
    "pandas",
    "anndata",
    "scanpy",
    "torch",
    "scikit-learn",
    "umap-learn",
    "scvi-tools",
    "transformers",
)


def run(config: RunConfig, *, until: str | None = None) -> Path:
    """Do the whole job: embed, train, match, attribute, enrich, evaluate, report.

    Finished stages of an earlier run in the same folder are kept where neither their inputs nor the settings
    they depend on have changed.

    Parameters
    ----------
    config
        What to run on, how, and into which folder.
    until
        Stage to stop after; None runs all. A later call continues from there.

    Returns
    -------
    The run folder.

    Raises
    ------
    ConceptomeError
        If the input or a setting is unfit; stages finished before are kept.
    """
    folder = RunFolder(config.out)
    if until is not None:
        config = _with_later_settings(config, folder, until)
    work = Run(config, folder)
    n_cells, n_genes = work.report.n_cells, work.report.n_genes
    _refuse_other_data(work)
    _require_device(config)
    _require_several_donors(work)
    n_terms = sum(len(sets.terms) for sets in work.gene_sets)
    _ = work.ontology  # read now, so that a damaged file is told before hours of work
    with folder.locked(), _log_file(folder.path / LOG):
        sizes = f"{n_cells:,} cells x {n_genes:,} genes; {n_terms:,} terms"
        logger.info("%s: %s", config.data, sizes)
        _describe(work)
        done: dict[str, str] = {}
        for number, stage in enumerate(STAGES, start=1):
            done[stage.name] = _digest(stage, work, done)
            _run_stage(stage, work, done[stage.name], f"[{number}/{len(STAGES)}] {stage.name}")
            if stage.name == until:
                break
    return folder.path


def _with_later_settings(config: RunConfig, folder: RunFolder, until: str) -> RunConfig:
    """Keep what the folder says of the stages that are not run now, so that it stays true of them."""
    last = [stage.name for stage in STAGES].index(until)
    now, later = (
        {name for stage in stages for name in stage.settings}
        for stages in (STAGES[: last + 1], STAGES[last + 1 :])
    )
    kept: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in folder.manifest.get("config", {}).items()
        if name in later - now
    }
    return replace(config, **kept)


def _refuse_other_data(work: Run) -> None:
    before = work.folder.manifest.get("input", {})
    if work.folder.manifest["stages"] and before.get("digest") != work.input_digest:
        found = f"{before.get('name')}, {str(before.get('digest'))[:12]}"
        given = f"{_name(work.config)}, {work.input_digest[:12]}"
        msg = (
            f"{work.path} holds a run on other data ({found}); this is ({given}). "
            "Choose another --out, or remove the folder first."
        )
        raise BundleError(msg)


def _require_device(config: RunConfig) -> None:
    if config.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            msg = "device is 'cuda', but PyTorch finds no CUDA device here. Use --device cpu."
            raise InputError(msg)


def _require_several_donors(work: Run) -> None:
    """Refuse a donor that is one and the same now, not when the embedded cells are split."""
    key = work.config.donor_key
    if key and work.source.obs[key].nunique() < 2:
        msg = (
            f"donor_key is {key!r}, but obs[{key!r}] has the single value "
            f"{work.source.obs[key].iloc[0]!r}; holding out whole donors needs two or more. Leave donor_key "
            "out, and cells are held out."
        )
        raise InputError(msg)


def _run_stage(stage: Stage, work: Run, digest: str, heading: str) -> None:
    if work.folder.is_done(stage.name, digest):
        logger.info("%s: kept", heading)
        return
    logger.info("%s ...", heading)
    work.folder.forget(_built_on(stage.name))
    start = time.perf_counter()
    with work.folder.writing(stage.name, digest, resumable=stage.resumable) as (scratch, entry):
        entry.update(stage.work(work, scratch))
        entry["seconds"] = round(time.perf_counter() - start, 2)
    logger.info("%s: %s (%.1f s)", heading, entry["message"], entry["seconds"])


def _built_on(name: str) -> list[str]:
    """List the stages that read a stage's files, directly or not: its new files make them out of date."""
    found = {name}
    for stage in STAGES:
        if found & set(stage.needs):
            found.add(stage.name)
    return sorted(found - {name})


def _digest(stage: Stage, work: Run, done: dict[str, str]) -> str:
    """Hash everything that a stage's result depends on."""
    names = stage.settings + (stage.when_full if work.config.evaluation == "full" else ())
    inputs: dict[str, Any] = {name: getattr(work.config, name) for name in names}
    if "gene_sets" in inputs:
        inputs["gene_sets"] = work.gene_sets_digest
    if "ontology" in inputs:
        inputs["ontology"] = work.ontology_digest
    if "encoder" in inputs:
        inputs["model"] = work.model_digest
    if "gene_table" in inputs:
        inputs["gene_table"] = work.gene_names_digest
    parts = {
        "stage": stage.name,
        "version": conceptome.__version__,
        "data": work.input_digest,
        "settings": inputs,
        "needs": [done[name] for name in stage.needs],
    }
    return content_id(parts)


def _describe(work: Run) -> None:
    """Put into the manifest what this run is; the stages add themselves."""
    n_cells, n_genes = work.report.n_cells, work.report.n_genes
    config = asdict(work.config)
    work.folder.manifest.update(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=f"conceptome run --config {shlex.quote(str(work.path / CONFIG))}",
        config=config,
        input={
            "name": _name(work.config),
            "digest": work.input_digest,
            "n_cells": n_cells,
            "n_genes": n_genes,
        },
        versions={"conceptome": conceptome.__version__, "python": platform.python_version(), **_versions()},
        n_cpus=os.cpu_count(),
    )
    work.folder.save_manifest()
    write_text(work.path / CONFIG, work.config.to_toml())


def _name(config: RunConfig) -> str:
    return "pbmc68k_reduced (scanpy)" if config.data == DEMO else Path(config.data).name


def _versions() -> dict[str, str]:
    found = {}
    for name in _RECORDED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """Copy this package's log messages into the run folder while it is being worked on."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    package = logging.getLogger("conceptome")
    package.addHandler(handler)
    try:
        yield
    except BaseException as error:
        words = f"stopped by {type(error).__name__}: {error}"
        handler.handle(package.makeRecord(package.name, logging.ERROR, __file__, 0, words, (), None))
        raise
    finally:
        package.removeHandler(handler)
        handler.close()
