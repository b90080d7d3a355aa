"""The stage that measures: one seed beside baselines, or several and a random encoder."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conceptome import evaluation
from conceptome.core import InputError
from conceptome.data.columns import label_problem
from conceptome.dictionaries.storage import moved_into
from conceptome.evaluation import EvaluatedCells, SeedMeasures
from conceptome.evaluation.phase import PHASE
from conceptome.pipeline.context import Run
from conceptome.pipeline.seeds import seed_dictionary
from conceptome.pipeline.storage import read_table, write_table

if TYPE_CHECKING:
    from anndata import AnnData

PARTS = ".parts"
"""Folder beside the results, with what is measured of each seed, until all is done."""
LAST = "units.parquet"
"""Written last: where it is, a seed is measured."""

logger = logging.getLogger(__name__)


def evaluate(run: Run, folder: Path) -> dict[str, Any]:
    """Measure fidelity, labels, probes and neighbours; seeds measured before an interruption are kept."""
    config = run.config
    n_seeds = config.evaluation_seeds if config.evaluation == "full" else 1
    adata, label_keys, missing = _with_phase(run)
    cells, unmeasured = evaluation.read_cells(
        adata,
        run.encoder,
        run.embeddings,
        label_keys=label_keys,
        group_key=config.donor_key,
        batch_key=config.batch_key,
        seed=config.seed,
    )
    missing |= unmeasured | evaluation.why_no_control(run.encoder, run.dictionary, n_seeds=n_seeds)
    parts = []
    for number in range(n_seeds):
        place = folder / PARTS / f"measures_{number}"
        if not (place / LAST).is_file():
            _measure(run, cells, folder, place, number=number)
            logger.info("seed %d of %d measured", number + 1, n_seeds)
        tables = [read_table(place / f"{name}.parquet")[0] for name in ("measures", "units")]
        parts.append(SeedMeasures(config.seed + number, *tables))
    record = evaluation.combine(parts, run.dictionary, missing=missing)
    evaluation.write_evaluation(record, folder / "evaluation.json")
    shutil.rmtree(folder / PARTS)
    measures = record.measures
    r2 = measures.loc[(measures["dictionary"] == run.dictionary.kind) & (measures["metric"] == "r2"), "value"]
    seeds = f", mean of {n_seeds} seeds" if n_seeds > 1 else ""
    return {"message": f"held-out R2 {r2.iloc[0]:.3f}{seeds}"}


def _with_phase(run: Run) -> tuple[AnnData, list[str], dict[str, str]]:
    """Add the cell-cycle phase to the run's labels; say why where it cannot be told."""
    from anndata import AnnData

    adata, keys = run.adata, list(run.config.label_key)
    if PHASE in keys:
        return adata, keys, {}
    if PHASE not in adata.obs:
        try:
            phase = evaluation.cell_cycle_phase(adata, seed=run.config.seed)
        except InputError as error:
            return adata, keys, {PHASE: str(error)}
        obs = adata.obs.assign(**{PHASE: phase})
        adata = AnnData(X=adata.X, obs=obs, var=adata.var, obsm=dict(adata.obsm))
    problem = label_problem(adata.obs, PHASE)
    return (adata, keys, {PHASE: problem}) if problem else (adata, [*keys, PHASE], {})


def _measure(run: Run, cells: EvaluatedCells, folder: Path, place: Path, *, number: int) -> None:
    """Measure one seed and write it down."""
    seed = run.config.seed + number
    dictionary, random = run.dictionary, None
    if number:
        dictionary = seed_dictionary(run, folder / PARTS / "dictionaries" / str(seed), seed=seed)
    if run.config.evaluation == "full":
        device = run.config.device
        random = evaluation.scrambled_embeddings(run.adata, run.encoder, dictionary, seed=seed, device=device)
    found = evaluation.measure_seed(cells, dictionary, random=random, seed=run.config.seed, number=number)
    with moved_into(place, last=LAST) as scratch:
        write_table(found.measures, scratch / "measures.parquet")
        write_table(found.units, scratch / LAST)
