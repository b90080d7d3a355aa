"""From a run folder to an atlas: what lies in the run's own formats is collected here."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from conceptome import atlas, data
from conceptome.core import BundleError, Enrichment, Evaluation, InputError
from conceptome.data.gene_table import current_symbols
from conceptome.evaluation import judge, readable_term
from conceptome.pipeline.config import config_of
from conceptome.pipeline.context import Run
from conceptome.pipeline.details import pair_changes, term_curves
from conceptome.pipeline.folder import RunFolder
from conceptome.pipeline.reported import report_contents
from conceptome.pipeline.stages import STAGES

DEPTH = "library_size"

logger = logging.getLogger(__name__)


def build_atlas(
    path: Path | str, out: Path | str, *, data: str | None = None, overwrite: bool = False
) -> Path:
    """Build the atlas of a finished run.

    Parameters
    ----------
    path
        The run folder.
    out
        The folder of the atlas.
    data
        The cells, if their file has moved.
    overwrite
        Replace an atlas that is already there; what people have annotated stays.

    Returns
    -------
    The folder of the atlas.

    Raises
    ------
    BundleError
        If it is no run folder, the run is not finished, or something else lies at `out`.
    """
    folder = RunFolder.existing(path)
    undone = [stage.name for stage in STAGES if stage.name not in folder.manifest["stages"]]
    if undone:
        msg = (
            f"{path} is not finished: {', '.join(undone)}. Finish it first with: {folder.manifest['command']}"
        )
        raise BundleError(msg)
    run = Run(config_of(path, {} if data is None else {"data": data}), folder)
    if run.input_digest != folder.manifest["input"]["digest"]:
        msg = f"{run.config.data} is not the file that {path} was made from. Name that one with --data."
        raise BundleError(msg)
    return atlas.write(out, atlas_contents(run), overwrite=overwrite)


def atlas_contents(run: Run) -> atlas.Contents:
    """Collect what the atlas of a finished run shows."""
    report = report_contents(run)
    genes = _genes(run)
    found = None if report.enrichment is None else _readable(report.enrichment)
    return atlas.Contents(
        activations=run.activations,
        obs=run.adata.obs.assign(**{DEPTH: data.library_size(run.adata)}),
        layout=np.asarray(report.umap, dtype=np.float64),
        genes=genes,
        concepts=report.concepts,
        directions=run.dictionary.directions,
        pairs=run.pairs,
        changes=pair_changes(run),
        attributions=report.attributions,
        de=report.de,
        enrichment=found,
        enrichment_de=report.enrichment_de,
        curves=None if found is None else term_curves(run, found),
        themes=_themes(run),
        modules=run.modules.modules,
        evaluation=report.evaluation,
        verdicts=None
        if report.evaluation is None
        else judge(report.evaluation, sides=list(run.sides.columns)),
        expression=sp.csr_array(run.adata.X),
        roles=_roles(run),
        title=report.title,
        facts=report.facts,
        provenance=_provenance(run),
        missing={**report.missing, **_unmeasured(report.evaluation)},
    )


def _unmeasured(evaluation: Evaluation | None) -> dict[str, str]:
    """Say of each measure that could not be taken why."""
    found = {} if evaluation is None else evaluation.missing
    return {f"evaluation/{name}": reason for name, reason in found.items()}


def _roles(run: Run) -> dict[str, str]:
    config = run.config
    roles = dict.fromkeys(config.label_key, "label")
    if config.batch_key:
        roles[config.batch_key] = "batch"
    if config.donor_key:
        roles[config.donor_key] = "donor"
    return roles | {DEPTH: "depth"}


def _provenance(run: Run) -> dict[str, Any]:
    manifest = run.folder.manifest
    stages = manifest["stages"]
    return {
        **{name: manifest[name] for name in ("created", "command", "config", "input", "versions")},
        "encoder_id": stages["embed"]["encoder_id"],
        "stages": {name: entry["message"] for name, entry in stages.items()},
    }


def _genes(run: Run) -> pd.DataFrame:
    names = run.adata.var_names
    frame = pd.DataFrame({"name": names, "symbol": run.symbols, "ensembl": "", "aliases": ""})
    try:
        frame["ensembl"] = data.ensembl_ids(run.adata).to_numpy()
    except InputError:
        logger.info("No Ensembl ids are known; genes will be found by symbol only.")
    if run.config.gene_table:
        frame["aliases"] = frame["symbol"].map(_aliases(run.config.gene_table)).fillna("")
    return frame


def _aliases(table: str) -> Mapping[str, str]:
    """Join the former symbols and aliases of each symbol of today."""
    current = current_symbols(table)
    called = pd.Series(current.index, index=current.to_numpy())
    return {str(symbol): " ".join(names) for symbol, names in called.groupby(level=0)}


def _readable(enrichment: Enrichment) -> Enrichment:
    """Write the names of terms as words."""
    names = {name: readable_term(str(name)) for name in enrichment.table["name"].unique()}
    table = enrichment.table.assign(name=enrichment.table["name"].map(names))
    return Enrichment(
        table, enrichment.dictionary_id, enrichment.calibration, enrichment.rank_by, enrichment.method
    )


def _themes(run: Run) -> pd.DataFrame | None:
    if run.themes is None:
        return None
    themes, named = run.themes, ("name", "theme_name")
    return themes.assign(**{name: [readable_term(str(text)) for text in themes[name]] for name in named})
