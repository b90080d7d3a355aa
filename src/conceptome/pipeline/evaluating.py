"""The stage that measures: one seed beside baselines, or several and a random encoder."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from conceptome import dictionaries, evaluation
from conceptome.core import InputError
from conceptome.data.columns import label_problem
from conceptome.dictionaries.storage import moved_into
from conceptome.evaluation import EvaluatedCells, GeneTests, SeedMeasures
from conceptome.evaluation.gene_measures import GENES
from conceptome.evaluation.phase import PHASE
from conceptome.pipeline.context import Run
from conceptome.pipeline.seeds import seed_dictionary
from conceptome.pipeline.storage import (
    FAITHFULNESS,
    load_faithfulness,
    read_table,
    save_faithfulness,
    write_table,
)

if TYPE_CHECKING:
    from anndata import AnnData

PARTS = ".parts"
"""Folder beside the results, with what is measured of each seed, until all is done."""
LAST = "units.parquet"
"""Written last: where it is, a seed is measured."""
DEEP = ("scgpt", "geneformer")
"""Encoders in which every edit is a pass through a deep network."""

logger = logging.getLogger(__name__)


def evaluate(run: Run, folder: Path) -> dict[str, Any]:
    """Measure dictionaries side by side; seeds measured before an interruption are kept."""
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
    tests, untested = _gene_tests(run, cells)
    missing |= untested
    parts = []
    for number in range(n_seeds):
        place = folder / PARTS / f"measures_{number}"
        if not (place / LAST).is_file():
            _measure(run, cells, folder, place, tests=tests, number=number)
            logger.info("seed %d of %d measured", number + 1, n_seeds)
        parts.append(_load(place, seed=config.seed + number))
    record = evaluation.combine(parts, cells, run.dictionary, missing=missing)
    evaluation.write_evaluation(record, folder / "evaluation.json")
    if parts[0].faithfulness is not None:
        save_faithfulness(parts[0].faithfulness, folder)
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


def _gene_tests(run: Run, cells: EvaluatedCells) -> tuple[GeneTests | None, dict[str, str]]:
    """Say how genes and gene sets are tested, or why they are not."""
    config = run.config
    if config.evaluation == "quick":
        return None, {GENES: "Measured by: conceptome evaluate RUN."}
    slow = config.evaluation_genes == "auto" and run.encoder.name in DEEP
    if slow or config.evaluation_genes == "no":
        why = f"every edit is a pass through {run.encoder.name}" if slow else "--evaluation-genes is no"
        return None, {
            GENES: f"Left out, as {why}. Measured with: conceptome evaluate RUN --evaluation-genes yes"
        }
    tests = GeneTests(
        gene_sets=tuple(run.gene_sets),
        ontology=run.ontology,
        gene_names=pd.Series(np.asarray(run.symbols), index=run.adata.var_names),
        n_pairs=config.n_pairs,
        n_counterfactuals=config.n_counterfactuals,
        match_on=config.match_on,
        caliper=config.caliper,
        sampling=config.sampling,
        pairing=config.pairing,
        contrast=config.contrast,
        min_pairs=config.min_pairs,
        method=config.enrichment_method,
        rank_by=config.rank_by,
        min_size=config.min_size,
        max_size=config.max_size,
        n_permutations=config.n_permutations,
        batch_size=config.batch_size,
        device=config.device,
    )
    missing = evaluation.why_no_genes(cells, run.encoder, tests)
    return None if GENES in missing else tests, missing


def _measure(
    run: Run, cells: EvaluatedCells, folder: Path, place: Path, *, tests: GeneTests | None, number: int
) -> None:
    """Measure one seed and write it down."""
    seed = run.config.seed + number
    dictionary, random = run.dictionary, None
    if number:
        dictionary = seed_dictionary(run, folder / PARTS / "dictionaries" / str(seed), seed=seed)
    if run.config.evaluation == "full":
        device = run.config.device
        random = evaluation.scrambled(run.adata, run.encoder, dictionary, seed=seed, device=device)
    found = evaluation.measure_seed(
        cells,
        dictionary,
        encoder=run.encoder,
        random=random,
        tests=tests,
        seed=run.config.seed,
        number=number,
    )
    with moved_into(place, last=LAST) as scratch:
        write_table(found.measures, scratch / "measures.parquet")
        for name, each in found.dictionaries.items():
            each.save(scratch / "dictionaries" / name)
        if found.faithfulness is not None and not number:
            save_faithfulness(found.faithfulness, scratch)
        write_table(found.units, scratch / LAST)


def _load(place: Path, *, seed: int) -> SeedMeasures:
    """Read what `_measure` wrote."""
    measures, units = (read_table(place / f"{name}.parquet")[0] for name in ("measures", "units"))
    known = {path.name: dictionaries.load(path) for path in sorted((place / "dictionaries").iterdir())}
    tested = load_faithfulness(place) if (place / FAITHFULNESS[0]).exists() else None
    return SeedMeasures(seed, measures, units, known, tested)
