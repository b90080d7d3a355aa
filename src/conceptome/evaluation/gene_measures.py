"""What units say of genes and gene sets: drivers, faithfulness, findings; the same for every dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Int

from conceptome import enrichment
from conceptome.attribution import Trial, try_attribution
from conceptome.attribution.curves import RANDOM
from conceptome.attribution.trial import OURS
from conceptome.core import (
    Attributions,
    Dictionary,
    Embeddings,
    Encoder,
    Enrichment,
    EnrichmentMethod,
    Faithfulness,
    InputError,
    NotEditableError,
    Pairs,
    Ranking,
    require_at_least,
)
from conceptome.counterfactuals import match
from conceptome.counterfactuals.matching import Pairing
from conceptome.counterfactuals.sampling import Sampling
from conceptome.data import library_size
from conceptome.enrichment import GeneSets, Ontology
from conceptome.evaluation.cells import EvaluatedCells
from conceptome.evaluation.rows import Row, measured

ALPHA = 0.05
GENES, TERMS = "genes", "gene_sets"
"""What `missing` calls them."""


@dataclass(frozen=True)
class GeneTests:
    """How genes and gene sets are tested, alike for the units of every dictionary.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    gene_sets: tuple[GeneSets, ...] = ()
    """Collections that name units; none = gene sets are not tested."""
    ontology: Ontology | None = None
    """Groups findings by meaning."""
    gene_names: pd.Series | None = None
    """Symbol of each gene, where the cells carry other names than the gene sets."""
    n_units: int | None = 128
    """Units of a dictionary that are tested, drawn at random; None = all. Of the dictionary under study, with
    its first seed, all are."""
    n_pairs: int = 64
    """Pairs per unit; half of them score genes, the others test the order of the genes."""
    n_counterfactuals: int = 1
    match_on: tuple[str, ...] = ()
    caliper: float | None = None
    sampling: Sampling = "stratified"
    pairing: Pairing = "distinct"
    contrast: Literal["absent", "inactive"] = "absent"
    """Counterfactuals lack the concept in their pre-activation too, or are merely inactive."""
    min_pairs: int = 8
    n_genes: int = 100
    """Length of the curves of deletion and insertion."""
    every: int = 10
    """Beyond 20 genes the curves are measured after every so many."""
    method: EnrichmentMethod = "gsea"
    rank_by: Ranking = "z"
    min_size: int = 10
    max_size: int = 500
    n_permutations: int = 1000
    batch_size: int = 4096
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.n_units is not None:
            require_at_least("n_units", self.n_units, 2)
        for name in ("n_pairs", "n_genes", "every", "n_permutations"):
            require_at_least(name, getattr(self, name), 1)


@dataclass(frozen=True, eq=False)
class GeneMeasures:
    """What was measured of one dictionary."""

    rows: list[Row]
    faithfulness: Faithfulness | None
    """None where no unit has enough pairs."""


def why_no_genes(cells: EvaluatedCells, encoder: Encoder | None, tests: GeneTests | None) -> dict[str, str]:
    """Say why genes or gene sets cannot be tested; empty if they can.

    Parameters
    ----------
    cells
        The cells.
    encoder
        The encoder.
    tests
        What is asked for; None = nothing is.
    """
    if tests is None:
        return {
            GENES: "Genes and gene sets of the dictionaries were not asked for. Give gene_tests=GeneTests()."
        }
    if encoder is None or cells.adata is None:
        return {GENES: "Only embeddings are known, and no encoder that could embed edited cells."}
    try:
        encoder.expression(cells.adata[:1])
    except NotEditableError as error:
        return {GENES: str(error)}
    if not tests.gene_sets:
        return {TERMS: "No gene sets were given."}
    names = (
        cells.adata.var_names if tests.gene_names is None else tests.gene_names.reindex(cells.adata.var_names)
    )
    universe = set(names.astype(str))
    sizes = [len(universe & set(members)) for sets in tests.gene_sets for members in sets.members]
    if any(tests.min_size <= size <= tests.max_size for size in sizes):
        return {}
    return {TERMS: f"No gene set has {tests.min_size} to {tests.max_size} of the genes that were measured."}


def measure_genes(
    name: str,
    dictionary: Dictionary,
    cells: EvaluatedCells,
    encoder: Encoder,
    *,
    tests: GeneTests,
    seed: int,
    whole: bool = False,
) -> GeneMeasures:
    """Attribute the units of a dictionary, test their genes on pairs held out, and their gene sets.

    Parameters
    ----------
    name
        What the rows are filed under.
    dictionary
        The dictionary.
    cells
        The cells as the encoder embeds them.
    encoder
        The encoder.
    tests
        How.
    seed
        Decides all draws.
    whole
        Take all units, whatever `tests` says.

    Returns
    -------
    Shares are of the units that were drawn, so that a unit without pairs counts as one without a driver and
    without a finding.

    Raises
    ------
    InputError
        If the cells come without their genes, or an option does not fit them.
    """
    if cells.adata is None:
        msg = "The cells come without genes. Read them with read_cells and their encoder."
        raise InputError(msg)
    units = _draw(dictionary.n_concepts, None if whole else tests.n_units, seed)
    trial = try_attribution(
        cells.adata,
        encoder,
        dictionary,
        _pairs(cells.adata, dictionary, cells.embeddings, units, tests, seed=seed),
        n_genes=tests.n_genes,
        every=tests.every,
        batch_size=tests.batch_size,
        device=tests.device,
        seed=seed,
    )
    found = {**_drivers(trial.attributions, len(units)), **_faithful(trial.faithfulness)}
    if TERMS not in why_no_genes(cells, encoder, tests):
        found |= _annotated(trial, tests, n_units=len(units), seed=seed)
    return GeneMeasures(
        [measured(name, metric, [value]) for metric, value in found.items()], trial.faithfulness
    )


def _draw(n_concepts: int, n_units: int | None, seed: int) -> Int[np.ndarray, " units"]:
    if n_units is None or n_units >= n_concepts:
        return np.arange(n_concepts)
    return np.sort(np.random.default_rng(seed).choice(n_concepts, n_units, replace=False))


def _pairs(
    adata: AnnData,
    dictionary: Dictionary,
    embeddings: Embeddings,
    units: Int[np.ndarray, " units"],
    tests: GeneTests,
    *,
    seed: int,
) -> Pairs:
    return match(
        dictionary.encode(embeddings),
        embeddings,
        dictionary=dictionary if tests.contrast == "absent" else None,
        obs=adata.obs,
        library_size=library_size(adata),
        n_pairs=tests.n_pairs,
        n_counterfactuals=tests.n_counterfactuals,
        match_on=tests.match_on,
        caliper=tests.caliper,
        sampling=tests.sampling,
        pairing=tests.pairing,
        min_pairs=tests.min_pairs,
        concepts=units.tolist(),
        seed=seed,
    )


def _drivers(found: Attributions, n_units: int) -> dict[str, float]:
    attributable = found.n_pairs > 0
    n_drivers = found.drives[attributable].sum(axis=1)
    rates = found.null_driver_rate[attributable]
    return {
        "attributable": float(attributable.sum() / n_units),
        "with_drivers": float((n_drivers > 0).sum() / n_units),
        "drivers": float(np.median(n_drivers)) if len(n_drivers) else np.nan,
        "null_driver_rate": float(np.nanmean(rates)) if np.isfinite(rates).any() else np.nan,
    }


def _faithful(record: Faithfulness | None) -> dict[str, float]:
    names = ("deletion", "insertion")
    if record is None:
        return dict.fromkeys((*names, *(f"{name}_random" for name in names), "faithfulness"), np.nan)
    table = record.summary()
    own, chance = (
        {name: float(table.loc[table["method"] == method, name].to_numpy()[0]) for name in names}
        for method in (OURS, RANDOM)
    )
    gap = own["insertion"] - own["deletion"] - chance["insertion"] + chance["deletion"]
    return own | {f"{name}_random": chance[name] for name in names} | {"faithfulness": gap}


def _annotated(trial: Trial, tests: GeneTests, *, n_units: int, seed: int) -> dict[str, float]:
    """Test gene sets by the scores, and by scores from pairs of cells that both have the unit."""
    found = trial.attributions
    record = _enrich(found, tests, seed=seed)
    findings = record.table[record.table["q_global"] <= ALPHA]
    best = findings.drop_duplicates("concept")  # of the smallest p: rows are in this order within a unit
    with_best = findings.groupby(["collection", "term"])["concept"].nunique()
    n_with = with_best.reindex(pd.MultiIndex.from_frame(best[["collection", "term"]])).to_numpy()
    tested = max(record.table["concept"].nunique() - 1, 1)
    n_scored = np.isfinite(found.attribution).any(axis=0).sum()
    grouped = enrichment.themes(record, tests.ontology, gene_sets=tests.gene_sets)
    n_themes = enrichment.shared_themes(grouped)["theme_term"].nunique() if len(grouped) else 0
    chance = np.nan
    if tests.method != "ora":  # which selects drivers, and these are not called on null pairs
        null = _enrich(found.null_scores(tests.rank_by), tests, seed=seed).table
        chance = null.loc[null["q_global"] <= ALPHA, "concept"].nunique() / n_units
    annotated = len(best) / n_units
    return {
        "annotated": annotated,
        "annotated_null_pairs": chance,
        "annotated_excess": annotated - chance,
        "term_information": float(-np.log(best["size"] / n_scored).mean()) if len(best) else np.nan,
        "term_specificity": float(1 - ((n_with - 1) / tested).mean()) if len(best) else np.nan,
        "themes": float(n_themes),
    }


def _enrich(scores: Attributions | pd.DataFrame, tests: GeneTests, *, seed: int) -> Enrichment:
    return enrichment.enrich(
        scores,
        tests.gene_sets,
        method=tests.method,
        min_size=tests.min_size,
        max_size=tests.max_size,
        n_permutations=tests.n_permutations,
        rank_by=tests.rank_by,
        gene_names=tests.gene_names,
        calibrate=False,
        seed=seed,
    )
