"""What the stages of a run share: its folder, its settings, and the records read back from the folder."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from conceptome import data, dictionaries, encoders, enrichment
from conceptome.attribution import DaskWorkers, LocalWorkers, Workers
from conceptome.core import (
    Activations,
    Attributions,
    Dictionary,
    DifferentialExpression,
    Embeddings,
    Encoder,
    Enrichment,
    Evaluation,
    Faithfulness,
    InputError,
    Pairs,
    content_id,
)
from conceptome.dictionaries import Modules
from conceptome.enrichment.flags import suspect_flags
from conceptome.evaluation import SeedStability, read_evaluation
from conceptome.pipeline import enrichment_files, storage
from conceptome.pipeline.collections import Matched, matched_collections
from conceptome.pipeline.config import DEMO, RunConfig
from conceptome.pipeline.folder import RunFolder, checksum

if TYPE_CHECKING:
    from anndata import AnnData

    from conceptome.data import DataReport
    from conceptome.enrichment import Contrast, GeneSets, Ontology


class Run:
    """A run in progress. Records come from the folder, so that a resumed run computes on the same numbers.

    Parameters
    ----------
    config
        The settings.
    folder
        The run folder.
    """

    def __init__(self, config: RunConfig, folder: RunFolder) -> None:
        self.config = config
        self.folder = folder

    @property
    def path(self) -> Path:
        """The run folder's path."""
        return self.folder.path

    @property
    def workers(self) -> Workers | None:
        """Who shares the concepts of an attribution; None = this process alone."""
        if self.config.dask:
            return DaskWorkers(self.config.dask)
        return LocalWorkers(self.config.workers) if self.config.workers > 1 else None

    @cached_property
    def source(self) -> AnnData:
        """The input; the matrix of a file stays on disk."""
        source = data.demo() if self.config.data == DEMO else data.read(self.config.data, backed=True)
        if self.config.gene_table:
            names = data.translate_genes(source, self.config.gene_table)
            source.var = source.var.assign(**{str(names.name): names})
        return source

    @cached_property
    def report(self) -> DataReport:
        """What the input is; made only if it can be used."""
        config = self.config
        keys = [*config.match_on, *(key for key in (config.batch_key, config.donor_key) if key)]
        return data.validate(self.source, obs_keys=keys, label_keys=config.label_key, layer=config.layer)

    @cached_property
    def adata(self) -> AnnData:
        """The cells in memory: raw counts in X, and the obs, var and obsm of the input."""
        from anndata import AnnData

        source, place = self.source, self.report.counts
        (counts,) = (block for _, block in data.count_chunks(source, place=place, n_rows=source.n_obs))
        return AnnData(X=counts, obs=source.obs, var=source.var, obsm=dict(source.obsm))

    def chunks(self, *, start: int, n_rows: int) -> Iterator[tuple[slice, AnnData]]:
        """Go through the cells a few at a time, without loading all of them.

        Parameters
        ----------
        start
            First cell.
        n_rows
            Cells at a time.

        Yields
        ------
        Rows, and their cells as in `adata`.
        """
        from anndata import AnnData

        source = self.source
        for rows, counts in data.count_chunks(source, place=self.report.counts, start=start, n_rows=n_rows):
            obsm = {key: values[rows] for key, values in source.obsm.items()}
            yield rows, AnnData(X=counts, obs=source.obs.iloc[rows], var=source.var, obsm=obsm)

    @cached_property
    def _matched(self) -> list[Matched]:
        return matched_collections(self.config, self.symbols, self.ontology)

    @property
    def gene_sets(self) -> list[GeneSets]:
        """The collections that name concepts, their genes named as in the data."""
        return [sets for sets, _ in self._matched]

    @property
    def gene_matches(self) -> pd.DataFrame | None:
        """The genes of the collections that the data name otherwise, or lack; None where they lack all."""
        found = [
            report.assign(collection=sets.collection) for sets, report in self._matched if report is not None
        ]
        return pd.concat(found, ignore_index=True) if found else None

    @property
    def sides(self) -> pd.DataFrame:
        """Batch and donor of every cell, as far as they are named: what pairs should not differ in."""
        names = [name for name in (self.config.batch_key, self.config.donor_key) if name]
        sides: pd.DataFrame = self.adata.obs[list(dict.fromkeys(names))]
        return sides

    @cached_property
    def input_digest(self) -> str:
        """SHA-256 of the input file, or the content hash of the demo's counts."""
        if self.config.data == DEMO:
            counts = self.adata.X
            return content_id({}, {"data": counts.data, "indices": counts.indices, "indptr": counts.indptr})
        return checksum(Path(self.config.data))

    @cached_property
    def named_encoder(self) -> Encoder | None:
        """The model that ``--encoder NAME:PATH`` names; None where one is fitted."""
        config = self.config
        name, colon, _ = config.encoder.partition(":")
        if not colon:
            return None
        options = encoders.parse_options(name, config.encoder_options)
        reads = getattr(options, "reads", "counts")
        if reads != "counts":
            msg = (
                f"The encoder option reads={reads} has no effect in a run, which hands on raw counts. "
                "Leave it out, or use the encoder in Python."
            )
            raise InputError(msg)
        return encoders.from_spec(config.encoder, self.source, options=options)

    @cached_property
    def model_digest(self) -> str:
        """Identity and options of the model that ``--encoder NAME:PATH`` names; empty where one is fitted.

        Options such as how a count is edited are saved with a model, and not all are in its `encoder_id`.
        """
        encoder = self.named_encoder
        return f"{encoder.encoder_id} {getattr(encoder, 'options', '')}" if encoder else ""

    @cached_property
    def gene_sets_digest(self) -> str:
        """Content hash of the collections."""
        return content_id(
            {"gene_sets": [[s.collection, *zip(s.terms, s.members, strict=True)] for s in self.gene_sets]}
        )

    @cached_property
    def ontology(self) -> Ontology | None:
        """The ontology that compares terms; None without one."""
        return enrichment.read_obo(self.config.ontology) if self.config.ontology else None

    @cached_property
    def ontology_digest(self) -> str:
        """Content hash of the ontology; empty without one."""
        return checksum(Path(self.config.ontology)) if self.ontology and self.config.ontology else ""

    @cached_property
    def gene_names_digest(self) -> str:
        """Content hash of the names that a gene table gives; empty without one."""
        if not self.config.gene_table:
            return ""
        return content_id({"names": data.translate_genes(self.source, self.config.gene_table).tolist()})

    @cached_property
    def symbols(self) -> pd.Index[str]:
        """Symbol of each gene where the data has them, else its name; gene sets are written in symbols."""
        return data.symbols_or_names(self.source)

    @cached_property
    def labels(self) -> pd.DataFrame:
        """The label columns."""
        return pd.DataFrame(self.adata.obs[list(self.config.label_key)])

    @cached_property
    def donors(self) -> pd.Series | None:
        """Donor of each cell, where a column was named."""
        return None if self.config.donor_key is None else self.adata.obs[self.config.donor_key]

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder as it was saved by the stage `embed`."""
        return encoders.load(str(self.folder.manifest["stages"]["embed"]["encoder"]), self.path / "encoder")

    @cached_property
    def embeddings(self) -> Embeddings:
        """What the encoder says of each cell."""
        return storage.load_embeddings(self.path / "embeddings.zarr")

    @cached_property
    def dictionary(self) -> Dictionary:
        """The trained dictionary."""
        return dictionaries.load(self.path / "dictionary")

    @cached_property
    def activations(self) -> Activations:
        """Concept activations of each cell."""
        return storage.load_activations(self.path / "activations.zarr")

    @cached_property
    def pairs(self) -> Pairs:
        """Counterfactual pairs."""
        return storage.load_pairs(self.path, self.embeddings.cell_ids)

    @cached_property
    def attributions(self) -> Attributions | None:
        """Gene scores; None where the encoder cannot edit cells."""
        exists = (self.path / "attributions.parquet").exists()
        return storage.load_attributions(self.path) if exists else None

    @cached_property
    def de(self) -> DifferentialExpression:
        """Active against inactive cells."""
        return storage.load_de(self.path / "de.parquet")

    def enrichment(self, name: str) -> Enrichment | None:
        """Read ``enrichment`` or ``enrichment_de``; None where it could not be computed."""
        path = self.path / f"{name}.parquet"
        return enrichment_files.load_enrichment(path) if path.exists() else None

    @property
    def themes(self) -> pd.DataFrame | None:
        """Findings of every concept in groups; None where nothing could be tested."""
        path = self.path / "themes.parquet"
        return storage.read_table(path)[0] if path.exists() else None

    @property
    def suspect_flags(self) -> frozenset[str]:
        """Flags of the terms that attribution calls too often where there is nothing to find."""
        record = self.enrichment("enrichment")
        return frozenset() if record is None else suspect_flags(record.calibration)

    @property
    def completeness(self) -> pd.DataFrame | None:
        """Findings that survive with fewer annotations; None where that was not measured."""
        path = self.path / "completeness.parquet"
        return storage.read_table(path)[0] if path.exists() else None

    @property
    def contrast(self) -> Contrast | None:
        """Findings by attribution beside those by expression; None where one of them is missing."""
        path = self.path / "contrast.parquet"
        return enrichment_files.load_contrast(path) if path.exists() else None

    @cached_property
    def stability(self) -> SeedStability | None:
        """Stability over seeds; None where only one was trained."""
        path = self.path / "stability.parquet"
        return storage.load_stability(path) if path.exists() else None

    @cached_property
    def faithfulness(self) -> Faithfulness | None:
        """Of the genes of each concept; None where a full evaluation has not tested them."""
        exists = (self.path / storage.FAITHFULNESS[0]).exists()
        return storage.load_faithfulness(self.path) if exists else None

    @cached_property
    def modules(self) -> Modules:
        """Concepts grouped by the cells that activate them, named by the first label column."""
        labels = None if self.labels.empty else self.labels.iloc[:, 0]
        return dictionaries.concept_modules(self.activations, labels=labels, seed=self.config.seed)

    @cached_property
    def evaluation(self) -> Evaluation:
        """Measures of trust."""
        return read_evaluation(self.path / "evaluation.json")
