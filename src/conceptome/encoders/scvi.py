"""The scVI encoder: the posterior mean of a variational autoencoder, computed without scvi-tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from conceptome.core import Csr, Edits, Embeddings, HiddenLayer, content_id
from conceptome.data import align, raw_counts
from conceptome.encoders.cells import edits_by_cell, gene_of_column, map_cells, require_counts, to_model_genes
from conceptome.encoders.scrambling import scrambled
from conceptome.encoders.scvi_architecture import ScviArchitecture
from conceptome.encoders.scvi_checkpoint import read_scvi_tools
from conceptome.encoders.scvi_decoder import ScviDecoder, has_decoder
from conceptome.encoders.scvi_fit import ScviOptions, fit_scvi
from conceptome.encoders.scvi_gradient import mean_and_gradient
from conceptome.encoders.scvi_network import Posterior, posterior_shapes
from conceptome.encoders.storage import CONFIG, load_folder, reading_settings, require_shapes, save_folder
from conceptome.encoders.ways import to_columns

if TYPE_CHECKING:
    from anndata import AnnData


class ScviEncoder:
    """The mean of scVI's latent variable given a cell [Lopez18]_.

    Its encoder network reads log(1 + count) of each gene and, if it was trained so, the cell's batch and
    covariates. It sees no library size, so an edit moves one input per changed gene and nothing else.

    Parameters
    ----------
    architecture
        Sizes, switches, genes and covariates.
    state
        Weights under the names of scvi-tools. Without those of its decoder, `decoder` is None.

    Raises
    ------
    CheckpointError
        If a weight is missing or does not fit the architecture.

    References
    ----------
    .. [Lopez18] Deep generative modeling for single-cell transcriptomics, Nature Methods 15, 1053.
    """

    name = "scvi"
    options_type = ScviOptions

    def __init__(self, architecture: ScviArchitecture, state: Mapping[str, np.ndarray]) -> None:
        require_shapes("scVI", state, posterior_shapes(architecture))
        self.architecture = architecture
        self.genes = pd.Index(architecture.genes, dtype=object)
        self.d_embed = architecture.n_latent
        self.encoder_id = content_id({"encoder": self.name, **architecture.to_config()}, state)
        self._state = dict(state)
        self._posterior = Posterior(architecture, state)
        self.decoder: ScviDecoder | None = ScviDecoder(architecture, state) if has_decoder(state) else None

    @classmethod
    def fit(
        cls,
        adata: AnnData,
        *,
        batch_key: str | None = None,
        seed: int = 0,
        device: str = "cpu",
        options: ScviOptions | None = None,
    ) -> ScviEncoder:
        """Train scVI with scvi-tools on all genes that have counts.

        Parameters
        ----------
        adata
            Cells with raw counts; left as it is.
        batch_key
            Column of ``obs`` with the batch of each cell.
        seed
            Seed of initialisation, split and mini-batches.
        device
            ``"cpu"`` or ``"cuda"``.
        options
            Settings of the model and its training.

        Returns
        -------
        The trained encoder. A batch it has not seen is later encoded as the most frequent one.

        Raises
        ------
        InputError
            If the batch key is missing or has NaN, or there are too few cells.
        MissingExtraError
            If scvi-tools is not installed.
        """
        options = options or ScviOptions()
        return cls(*fit_scvi(adata, options, batch_key=batch_key, seed=seed, device=device))

    @classmethod
    def load(cls, path: Path | str, *, reference: Mapping[str, str] | None = None) -> ScviEncoder:
        """Read an encoder that `save` wrote, or a model that scvi-tools saved.

        A file of scvi-tools could contain a program; it is read without running any, and without scvi-tools.

        Parameters
        ----------
        path
            Folder, or the ``model.pt`` in it.
        reference
            Category that stands for those the model has never seen, for each such key of ``obs``; ``"mean"``
            for the average over all its categories. Without it the most frequent one for encoders fitted
            here, and the first for models of scvi-tools, which do not keep how frequent they were.

        Returns
        -------
        The encoder.

        Raises
        ------
        CheckpointError
            If files are missing, damaged, unsafe, in a format of old, or of another model.
        InputError
            If `reference` names what the model does not know.
        """
        path = Path(path)
        if (path / CONFIG).is_file():
            config, state = load_folder(path, cls.name)
            with reading_settings(path):
                architecture = ScviArchitecture.from_config(config["architecture"])
        else:
            architecture, state = read_scvi_tools(path)
        require_shapes(path, state, posterior_shapes(architecture))
        return cls(architecture.with_reference(reference or {}), state)

    def save(self, path: Path | str) -> None:
        """Write ``config.json`` and ``weights.safetensors`` into a folder."""
        config = {"encoder": self.name, "architecture": self.architecture.to_config()}
        save_folder(path, config, self._state)

    def reinitialised(self, *, seed: int) -> ScviEncoder:
        """Return the same encoder with the entries of each weight array permuted."""
        return ScviEncoder(self.architecture, scrambled(self._state, seed=seed))

    def known(self, adata: AnnData) -> Bool[np.ndarray, " genes"]:
        """Tell which columns of `adata` the encoder reads."""
        return align(self.genes, adata).known

    def expression(self, adata: AnnData) -> Csr:
        """Return the raw counts, ``(n_cells, n_genes)``, float64, in the columns of `adata`."""
        return raw_counts(adata).astype(np.float64)

    def embed(
        self,
        adata: AnnData,
        *,
        batch_size: int = 4096,
        device: str = "cpu",  # noqa: ARG002
    ) -> Embeddings:
        """Embed every cell by its posterior mean.

        Parameters
        ----------
        adata
            Cells with raw counts; genes that they lack are read as 0.
        batch_size
            Cells at a time, rounded up to whole blocks; does not change the result.
        device
            Accepted for the sake of the protocol; the arithmetic is float64 on the CPU.

        Returns
        -------
        ``(n_cells, d_embed)``, float32.

        Raises
        ------
        InputError
            If there are no raw counts, too few genes are known, or a continuous covariate is missing.
        """
        mean = self._infer(adata, self._posterior.mean, batch_size=batch_size)
        return Embeddings(mean.astype(np.float32), adata.obs_names, self.encoder_id, self.name)

    def variance(self, adata: AnnData, *, batch_size: int = 4096) -> Float[np.ndarray, "cells d_embed"]:
        """Compute the posterior variance of every cell's embedding, ``qz_var`` of scvi-tools.

        Parameters
        ----------
        adata
            Cells with raw counts; genes that they lack are read as 0.
        batch_size
            As in `embed`.

        Returns
        -------
        ``(n_cells, d_embed)``, float64.

        Raises
        ------
        InputError
            As `embed`.
        """
        return self._infer(adata, self._posterior.variance, batch_size=batch_size)

    def embed_edits(
        self,
        cells: AnnData,
        edits: Edits,
        *,
        batch_size: int = 4096,
        device: str = "cpu",  # noqa: ARG002
    ) -> Float[np.ndarray, "edits d_embed"]:
        """Embed edited cells by adding each changed gene's column to the cell's first pre-activation.

        Batch and covariates stay the cell's own.

        Parameters
        ----------
        cells
            Cells with raw counts.
        edits
            New counts.
        batch_size
            Edits at a time, rounded up to whole blocks; does not change the result.
        device
            Accepted for the sake of the protocol; the arithmetic is float64 on the CPU.

        Returns
        -------
        ``(n_edits, d_embed)``, float64.

        Raises
        ------
        InputError
            If an edit names what is not there or sets a negative count.
        """
        posterior, columns = self._posterior, align(self.genes, cells).columns
        counts = to_model_genes(self.expression(cells), columns)
        codes = self.architecture.codes(cells.obs)
        result = np.empty((len(edits), self.d_embed))
        for part in edits_by_cell(counts, edits, columns, n_genes=cells.n_vars, batch_size=batch_size):
            require_counts(part, cells.obs_names[part.cells])
            change = part.per_gene(posterior.transform(part.new) - posterior.transform(part.old))
            first = change @ posterior.by_gene
            first += posterior.first(part.values, codes[part.cells])[part.cell]
            result[part.positions] = posterior.mean(first, codes[part.cells][part.cell])
        return result

    def hidden_layer(self, cells: AnnData) -> HiddenLayer | None:
        """Return the hidden layer of these cells; None for several layers or with layer norm.

        Parameters
        ----------
        cells
            Cells with raw counts.

        Returns
        -------
        The layer, with batch norm folded in and the cells' batch and covariates in `first`.
        """
        if not self._posterior.is_shallow:
            return None
        columns = align(self.genes, cells).columns
        counts = to_model_genes(self.expression(cells), columns)
        first = self._posterior.first(counts, self.architecture.codes(cells.obs))
        return self._posterior.hidden_layer(first, gene_of_column(columns, cells.n_vars))

    def along(
        self,
        cells: AnnData,
        *,
        start: Int[np.ndarray, " rows"],
        end: Int[np.ndarray, " rows"],
        fractions: Sequence[float],
        cotangent: Float[np.ndarray, " d_embed"],
        device: str = "cpu",  # noqa: ARG002
    ) -> Iterator[tuple[Float[np.ndarray, "rows d_embed"], Float[np.ndarray, "rows genes"]]]:
        """Walk straight from cells to others in log(1 + count); batch and covariates are those of `end`."""
        posterior, columns = self._posterior, align(self.genes, cells).columns
        counts = to_model_genes(self.expression(cells), columns)
        codes = self.architecture.codes(cells.obs)[end]
        first, last = (posterior.first(counts[rows], codes) for rows in (start, end))
        before, after = (posterior.transform(counts[rows].toarray()) for rows in (start, end))
        for fraction in fractions:
            here = (1 - fraction) * first + fraction * last
            mean, gradient = mean_and_gradient(posterior, here, codes, cotangent)
            yield mean, to_columns(gradient * (after - before), columns, n_genes=cells.n_vars)

    def _infer(
        self, adata: AnnData, head: Callable[[np.ndarray, np.ndarray], np.ndarray], *, batch_size: int
    ) -> Float[np.ndarray, "cells d_embed"]:
        """Compute what a head of the posterior says of each cell."""
        counts = to_model_genes(self.expression(adata), align(self.genes, adata).columns)
        self.architecture.warn_of_unseen(adata.obs)
        codes = self.architecture.codes(adata.obs)

        def infer(part: Csr, rows: slice) -> Float[np.ndarray, "rows d_embed"]:
            return head(self._posterior.first(part, codes[rows]), codes[rows])

        return map_cells(infer, counts, d_embed=self.d_embed, batch_size=batch_size)
