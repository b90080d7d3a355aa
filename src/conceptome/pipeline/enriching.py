"""The stage that names concepts by gene sets, with what tells how far to trust the names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from conceptome import enrichment
from conceptome.core import Attributions, DifferentialExpression, Enrichment
from conceptome.pipeline import enrichment_files, storage
from conceptome.pipeline.context import Run

ALPHA = 0.05


def enrich(run: Run, folder: Path) -> dict[str, Any]:
    """Name concepts by gene sets, from attributions and from differential expression.

    Parameters
    ----------
    run
        The run.
    folder
        Where to write.

    Returns
    -------
    Facts for the manifest.
    """
    reason = _untestable(run)
    if reason:
        return {"missing": reason, "message": f"left out. {reason}"}
    if run.gene_matches is not None:
        storage.write_table(run.gene_matches, folder / "gene_matches.parquet")
    by_expression = _tested(run, run.de, folder / "enrichment_de.parquet")
    if run.attributions is None:
        _thin(run, run.de, "expression", folder)
        return {"message": f"{_count(by_expression)} findings by expression (q <= {ALPHA})"}
    record = _tested(run, run.attributions, folder / "enrichment.parquet")
    grouped = enrichment.themes(record, run.ontology, gene_sets=run.gene_sets)
    storage.write_table(grouped, folder / "themes.parquet")
    _thin(run, run.attributions, "attribution", folder)
    _contrast(run, record, by_expression, folder)
    counts = f"{_count(record)} findings by attribution, {_count(by_expression)} findings by expression"
    return {"message": f"{counts} (q <= {ALPHA})"}


def _tested(run: Run, scores: Attributions | DifferentialExpression, path: Path) -> Enrichment:
    config, adata = run.config, run.adata
    record = enrichment.enrich(
        scores,
        run.gene_sets,
        method=config.enrichment_method,
        min_size=config.min_size,
        max_size=config.max_size,
        n_permutations=config.n_permutations,
        rank_by=config.rank_by,
        expression=pd.Series(np.asarray(adata.X.mean(axis=0)).ravel(), index=adata.var_names),
        gene_names=_names(run),
        seed=config.seed,
    )
    enrichment_files.save_enrichment(record, path)
    return record


def _thin(run: Run, scores: Attributions | DifferentialExpression, ranking: str, folder: Path) -> None:
    """Count the findings that survive with fewer annotations, and say what they were found by."""
    config = run.config
    table = enrichment.completeness(
        scores,
        run.gene_sets,
        method=config.enrichment_method,
        min_size=config.min_size,
        max_size=config.max_size,
        n_permutations=config.n_permutations,
        rank_by=config.rank_by,
        gene_names=_names(run),
        seed=config.seed,
    )
    storage.write_table(table, folder / "completeness.parquet", ranking=ranking)


def _contrast(run: Run, record: Enrichment, by_expression: Enrichment, folder: Path) -> None:
    if set(record.table["concept"]) & set(by_expression.table["concept"]):
        both = enrichment.contrast(record, by_expression, alpha=ALPHA, seed=run.config.seed)
        enrichment_files.save_contrast(both, folder / "contrast.parquet")


def _count(record: Enrichment) -> str:
    return f"{int((record.table['q_global'] <= ALPHA).sum()):,}"


def _names(run: Run) -> pd.Series:
    return pd.Series(run.symbols, index=run.adata.var_names)


def _untestable(run: Run) -> str:
    """Say why no term can be tested; empty if one can."""
    config, universe = run.config, set(run.symbols)
    sizes = [len(universe & set(members)) for sets in run.gene_sets for members in sets.members]
    if any(config.min_size <= size <= config.max_size for size in sizes):
        return ""
    examples = ", ".join(map(str, run.symbols[:3]))
    return (
        f"No term of {', '.join(config.gene_sets)} has {config.min_size} to {config.max_size} of the "
        f"measured genes (such as {examples}). Gene sets need symbols of the same species: put them into "
        "var['gene_symbols'], give other --gene-sets, or lower --min-size."
    )
