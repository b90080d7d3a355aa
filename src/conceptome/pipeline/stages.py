"""The stages of a run, in order; each writes its files into a scratch folder and returns facts about them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from conceptome import attribution, counterfactuals, data, encoders, evaluation
from conceptome.core import Encoder, NotEditableError
from conceptome.pipeline import storage
from conceptome.pipeline.context import Run
from conceptome.pipeline.embedding import embed_in_chunks
from conceptome.pipeline.enriching import enrich
from conceptome.pipeline.evaluating import evaluate
from conceptome.pipeline.layout import umap_layout
from conceptome.pipeline.pair_effects import save_pair_effects
from conceptome.pipeline.report import write_report
from conceptome.pipeline.reported import report_contents
from conceptome.pipeline.seeds import describe_training, stability, train_dictionary
from conceptome.pipeline.summary import list_themes, summarise_concepts, survival

Facts = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """One step of a run."""

    name: str
    needs: tuple[str, ...]
    """Stages whose files it reads."""
    settings: tuple[str, ...]
    """Fields of `RunConfig` on which its result depends."""
    work: Callable[[Run, Path], Facts]
    """Writes into the folder it is given; returns facts, of which ``message`` is told to the user."""
    when_full: tuple[str, ...] = ()
    """Further fields on which it depends where `RunConfig.evaluation` is full."""
    resumable: bool = False
    """Whether it continues from what it has written before it was interrupted."""


def embed(run: Run, folder: Path) -> Facts:
    """Fit or load the encoder, embed the cells; an interrupted embedding continues where it stopped."""
    config = run.config
    name = config.encoder.partition(":")[0]
    if not (folder / "encoder").is_dir():
        whole = folder / ".encoder"  # renamed when complete: an interrupted stage continues from this folder
        shutil.rmtree(whole, ignore_errors=True)
        _make_encoder(run).save(whole)
        whole.rename(folder / "encoder")
    encoder = encoders.load(name, folder / "encoder")
    start = time.perf_counter()
    n_embedded, d_embed = embed_in_chunks(run, encoder, folder / "embeddings.zarr", device=config.device)
    speed = n_embedded / (time.perf_counter() - start)
    return {
        "encoder": name,
        "encoder_id": encoder.encoder_id,
        "d_embed": d_embed,
        "cells_per_second": round(speed, 1),
        "message": f"{run.source.n_obs:,} cells, {d_embed} coordinates ({speed:,.0f} cells/s)",
    }


def _make_encoder(run: Run) -> Encoder:
    config = run.config
    if run.named_encoder:
        return run.named_encoder
    options = encoders.parse_options(config.encoder, config.encoder_options)
    return encoders.fit(
        config.encoder,
        run.adata,
        batch_key=config.batch_key,
        seed=config.seed,
        device=config.device,
        options=options,
    )


def train(run: Run, folder: Path) -> Facts:
    """Train the dictionary, encode the cells; an interrupted training continues where it stopped."""
    dictionary = train_dictionary(run, folder / "dictionary", seed=run.config.seed)
    storage.save_activations(dictionary.encode(run.embeddings), folder / "activations.zarr")
    return {"dictionary_id": dictionary.dictionary_id, "message": describe_training(dictionary)}


def match(run: Run, folder: Path) -> Facts:
    """Find counterfactual pairs and null pairs."""
    config = run.config
    pairs = counterfactuals.match(
        run.activations,
        run.embeddings,
        dictionary=run.dictionary if config.contrast == "absent" else None,
        obs=run.adata.obs,
        library_size=data.library_size(run.adata),
        n_pairs=config.n_pairs,
        n_counterfactuals=config.n_counterfactuals,
        match_on=config.match_on,
        describe=tuple(name for name in config.label_key if name not in config.match_on),
        caliper=config.caliper,
        sampling=config.sampling,
        pairing=config.pairing,
        min_pairs=config.min_pairs,
        seed=config.seed,
    )
    storage.save_pairs(pairs, folder)
    n_concepts = len(np.unique(pairs.concept))
    without = len(pairs.not_attributable)
    return {"message": f"{len(pairs):,} pairs of {n_concepts} concepts; {without} not attributable"}


def attribute(run: Run, folder: Path) -> Facts:
    """Measure the effect of every gene on every concept; goes on where it was interrupted."""
    config = run.config
    parts = folder / ".parts"
    try:
        record = attribution.attribute(
            run.adata,
            run.encoder,
            run.dictionary,
            run.pairs,
            intervention=config.intervention,
            activations=run.activations,
            aggregate=config.aggregate,
            batch_size=config.batch_size,
            device=config.device,
            workers=run.workers,
            checkpoint=parts,
            prescreen=config.prescreen,
            seed=config.seed,
        )
    except NotEditableError as error:
        return {"missing": str(error), "message": f"left out. {error}"}
    storage.save_attributions(record, folder)
    concepts = np.unique(run.pairs.concept).tolist()
    kept = attribution.kept_effects(parts, concepts, genes=record.genes)
    save_pair_effects(kept, folder / "effects.zarr", genes=record.genes)
    shutil.rmtree(parts)
    with_drivers = int(record.drives.any(axis=1).sum())
    message = f"{with_drivers} of {len(record.concepts)} concepts have genes that drive them"
    if record.recall is not None and np.isfinite(record.recall).any():
        let_through = np.nanmean(record.recall[:, 0])
        message += f"; the prescreen lets {let_through:.0%} of the 20 largest effects of a pair through"
    return {"message": message}


def compare(run: Run, folder: Path) -> Facts:
    """Compute differential expression, active against inactive cells."""
    record = attribution.differential_expression(run.adata, run.activations)
    storage.save_de(record, folder / "de.parquet")
    return {"message": f"{len(record.concepts)} concepts x {len(record.genes):,} genes"}


def summarise(run: Run, folder: Path) -> Facts:
    """Write one row per concept, and one per module."""
    table = summarise_concepts(
        run.activations,
        labels=run.labels,
        attributions=run.attributions,
        enrichment=run.enrichment("enrichment"),
        pairs=run.pairs,
        sides=run.sides,
        stability=run.stability,
        seed=run.config.seed,
    )
    names = evaluation.name_concepts(
        table["concept"].tolist(),
        labels=table,
        attributions=run.attributions,
        enrichment=run.enrichment("enrichment"),
        enrichment_de=run.enrichment("enrichment_de"),
        de=run.de,
    )
    table = table.merge(names, on="concept")
    for known in (list_themes(run.themes, run.suspect_flags), survival(run.completeness)):
        table = table.merge(known, on="concept", how="left")
    table["themes"] = table["themes"].fillna("")
    table = table.merge(_card_scores(run), on="concept")
    found = run.modules
    grouped = found.concepts.rename(columns={"strength": "module_strength"})
    storage.write_table(table.merge(grouped, on="concept"), folder / "concepts.parquet")
    storage.write_table(found.modules, folder / "modules.parquet")
    return {"message": f"{len(table)} concepts in {len(found.modules)} modules"}


def _card_scores(run: Run) -> pd.DataFrame:
    config = run.config
    cells, _ = evaluation.read_cells(
        run.adata,
        None,
        run.embeddings,
        label_keys=config.label_key,
        group_key=config.donor_key,
        batch_key=None,
        seed=config.seed,
    )
    return evaluation.card_scores(
        cells,
        run.dictionary,
        stability=run.stability,
        faithfulness=run.faithfulness,
        enrichment=run.enrichment("enrichment"),
        seed=config.seed,
    )


def layout(run: Run, folder: Path) -> Facts:
    """Lay the cells out in two dimensions, as the model sees them."""
    coordinates = umap_layout(run.embeddings, seed=run.config.seed)
    frame = pd.DataFrame(coordinates, columns=["x", "y"])
    frame.insert(0, "cell", run.embeddings.cell_ids)
    storage.write_table(frame, folder / "layout.parquet")
    return {"message": f"UMAP of {int(np.isfinite(coordinates[:, 0]).sum()):,} cells"}


def report(run: Run, folder: Path) -> Facts:
    """Write the report."""
    write_report(folder / "report.html", report_contents(run))
    return {"message": str(run.path / "report.html")}


MATCHING = (
    "n_pairs",
    "n_counterfactuals",
    "match_on",
    "caliper",
    "sampling",
    "contrast",
    "pairing",
    "min_pairs",
    "label_key",
    "seed",
)

ENRICHING = (
    "enrichment_method",
    "gene_sets",
    "ontology",
    "gene_table",
    "rank_by",
    "min_size",
    "max_size",
    "n_permutations",
    "seed",
)

TRAINING = ("n_concepts", "k", "donor_key", "seed", "device")

EVALUATING = ("label_key", "batch_key", "donor_key", "seed", "evaluation", "evaluation_seeds")

TESTING_GENES = ("evaluation_genes", *MATCHING, *ENRICHING)

STAGES = (
    Stage(
        "embed",
        (),
        ("encoder", "encoder_options", "gene_table", "batch_key", "layer", "seed", "device"),
        embed,
        resumable=True,
    ),
    Stage("train", ("embed",), TRAINING, train, resumable=True),
    Stage("match", ("train",), MATCHING, match),
    Stage(
        "attribute",
        ("match",),
        ("intervention", "aggregate", "prescreen", "seed", "device"),
        attribute,
        resumable=True,
    ),
    Stage("compare", ("train",), (), compare),
    Stage(
        "enrich",
        ("attribute", "compare"),
        ENRICHING,
        enrich,
    ),
    Stage("stability", ("train",), (*TRAINING, "n_seeds"), stability, resumable=True),
    Stage("evaluate", ("train",), EVALUATING, evaluate, when_full=TESTING_GENES, resumable=True),
    Stage(
        "summarise",
        ("match", "enrich", "stability", "evaluate"),
        ("label_key", "batch_key", "donor_key", "seed"),
        summarise,
    ),
    Stage("layout", ("embed",), ("seed",), layout),
    Stage("report", ("summarise", "layout"), (), report),
)
