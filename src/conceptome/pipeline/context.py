"""What the stages of a run share: its folder, its settings, and the records read back from the folder."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from conceptome import data, dictionaries, encoders, enrichment
from conceptome.core import (
    Activations,
    Attributions,
    Dictionary,
    DifferentialExpression,
    Embeddings,
    Encoder,
    Enrichment,
    Evaluation,
    Pairs,
    content_id,
)
from conceptome.pipeline import storage
from conceptome.pipeline.config import DEMO, RunConfig
from conceptome.pipeline.folder import RunFolder, checksum

if TYPE_CHECKING:
    from anndata import AnnData

    from conceptome.enrichment import GeneSets


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

    @cached_property
    def adata(self) -> AnnData:
        """The cells: raw counts in X, and the obs, var and obsm of the input."""
        from anndata import AnnData

        config = self.config
        source = data.demo() if config.data == DEMO else data.read(config.data)
        keys = [*config.match_on, *(key for key in (config.batch_key, config.donor_key) if key)]
        data.validate(source, obs_keys=keys, label_keys=config.label_key, layer=config.layer)
        counts = data.raw_counts(source, layer=config.layer)
        return AnnData(X=counts, obs=source.obs, var=source.var, obsm=dict(source.obsm))

    @cached_property
    def gene_sets(self) -> list[GeneSets]:
        """The collections that name concepts."""
        return [enrichment.load_gene_sets(name) for name in self.config.gene_sets]

    @cached_property
    def input_digest(self) -> str:
        """SHA-256 of the input file, or the content hash of the demo's counts."""
        if self.config.data == DEMO:
            counts = self.adata.X
            return content_id({}, {"data": counts.data, "indices": counts.indices, "indptr": counts.indptr})
        return checksum(Path(self.config.data))

    @cached_property
    def model_digest(self) -> str:
        """Checksum of the model that ``--encoder NAME:PATH`` names; empty where one is fitted."""
        name, _, path = self.config.encoder.partition(":")
        return checksum(Path(path)) if path and name != "obsm" and Path(path).exists() else ""

    @cached_property
    def gene_sets_digest(self) -> str:
        """Content hash of the collections."""
        return content_id(
            {"gene_sets": [[s.collection, *zip(s.terms, s.members, strict=True)] for s in self.gene_sets]}
        )

    @cached_property
    def symbols(self) -> pd.Index[str]:
        """Symbol of each gene where the data has them, else its name; gene sets are written in symbols."""
        return data.symbols_or_names(self.adata)

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
        return storage.load_enrichment(path) if path.exists() else None

    @cached_property
    def evaluation(self) -> Evaluation:
        """Measures of trust."""
        return storage.load_evaluation(self.path / "evaluation.json")
