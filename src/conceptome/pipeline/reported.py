"""What the report of a finished run shows, read from its folder."""

from __future__ import annotations

import numpy as np

from conceptome import data
from conceptome.pipeline import storage
from conceptome.pipeline.context import Run
from conceptome.pipeline.report import ReportContents


def report_contents(run: Run) -> ReportContents:
    """Collect what a report of a finished run shows."""
    manifest = run.folder.manifest
    stages = manifest["stages"]
    layout_frame, _ = storage.read_table(run.path / "layout.parquet")
    concepts, _ = storage.read_table(run.path / "concepts.parquet")
    missing = {
        part: stages[stage]["missing"]
        for stage, parts in (
            ("attribute", ["attributions"]),
            ("enrich", ["enrichment", "enrichment_de", "completeness", "contrast"]),
            ("stability", ["stability"]),
        )
        for part in parts
        if "missing" in stages[stage]
    }
    symbols = dict(zip(run.adata.var_names, run.symbols, strict=True))
    return ReportContents(
        title=manifest["input"]["name"],
        facts=_facts(run),
        umap=layout_frame[["x", "y"]].to_numpy(),
        labels=run.labels,
        activations=run.activations,
        concepts=concepts,
        manifest={
            "command": manifest["command"],
            "created": manifest["created"],
            "versions": manifest["versions"],
            "seeds": {"run": run.config.seed},
            "settings": manifest["config"],
            "timings": {name: entry["seconds"] for name, entry in stages.items() if "seconds" in entry},
        },
        attributions=run.attributions,
        pairs=run.pairs,
        de=run.de,
        enrichment=run.enrichment("enrichment"),
        enrichment_de=run.enrichment("enrichment_de"),
        themes=run.themes,
        completeness=run.completeness,
        contrast=run.contrast,
        evaluation=run.evaluation,
        stability=run.stability,
        modules=run.modules,
        gene_sets=run.gene_sets,
        gene_names=None if run.symbols.equals(run.adata.var_names) else symbols,
        missing=missing,
    )


def _facts(run: Run) -> dict[str, str | int | float]:
    n_cells, n_genes = run.adata.shape
    library = data.library_size(run.adata)
    return {
        "Cells": n_cells,
        "Genes": n_genes,
        "Median counts per cell": float(np.median(library)),
        "Encoder": run.config.encoder,
        "Embedding coordinates": run.embeddings.d_embed,
        "Concepts": run.dictionary.n_concepts,
        "Dictionary": f"{run.dictionary.kind} {run.dictionary.dictionary_id}",
        "Gene sets": ", ".join(f"{sets.collection} ({len(sets.terms):,} terms)" for sets in run.gene_sets),
        "Genes of gene sets": _coverage(run),
    }


def _coverage(run: Run) -> str:
    """Say how many genes of the terms were measured, and how many of these the data call by another name."""
    genes = {gene for sets in run.gene_sets for members in sets.members for gene in members}
    known = f"{len(genes & set(run.symbols)):,} of {len(genes):,} measured"
    n_other = 0 if run.gene_matches is None else int((run.gene_matches["how"] != "not found").sum())
    return f"{known}, {n_other:,} under another name" if n_other else known
