"""The linear encoder: PCA of log-normalised counts. Attributions through it are known in closed form."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from conceptome.core import Csr, Edits, Embeddings, InputError, Names, content_id
from conceptome.data import align
from conceptome.encoders.cells import CellEdits, edits_by_cell, map_cells, require_counts, to_model_genes
from conceptome.encoders.linear_decoder import LinearDecoder
from conceptome.encoders.linear_fit import LinearOptions, fit_linear
from conceptome.encoders.linear_gradient import normalised_slope
from conceptome.encoders.normalise import recount
from conceptome.encoders.scrambling import scrambled
from conceptome.encoders.storage import load_folder, reading_settings, require_shapes, save_folder
from conceptome.encoders.ways import to_columns

if TYPE_CHECKING:
    from anndata import AnnData


class LinearEncoder:
    """z = W y + b, where y is the log-normalised expression of a cell.

    Parameters
    ----------
    weights
        W, one row per coordinate of the embedding.
    bias
        b.
    genes
        Gene of each column of W.
    options
        How expression is normalised and edited; `n_components` is not read.
    centre
        Mean normalised expression of the fitted cells, for the decoder of principal components; without it
        `decoder` is None.

    Raises
    ------
    InputError
        If the sizes disagree or the genes are not unique.
    """

    name = "linear"
    options_type = LinearOptions

    def __init__(
        self,
        weights: Float[np.ndarray, "d_embed genes"],
        bias: Float[np.ndarray, " d_embed"],
        genes: Names,
        *,
        options: LinearOptions | None = None,
        centre: Float[np.ndarray, " genes"] | None = None,
    ) -> None:
        if weights.shape != (len(bias), len(genes)) or not genes.is_unique:
            msg = (
                f"LinearEncoder: weights {weights.shape}, bias {bias.shape} and {len(genes)} genes "
                f"({genes.nunique()} distinct) do not fit together. Give (d_embed, n_genes), (d_embed,) and "
                "n_genes unique names."
            )
            raise InputError(msg)
        options = options or LinearOptions()
        self.options = dataclasses.replace(options, n_components=len(bias))
        self.genes = pd.Index(genes, dtype=object)
        self.d_embed = len(bias)
        self.bias = bias.astype(np.float64)
        self._by_gene = np.ascontiguousarray(weights.T, dtype=np.float64)
        self.decoder: LinearDecoder | None = None
        if centre is not None:
            middle = centre.astype(np.float64)
            self.decoder = LinearDecoder(self._by_gene, middle, genes=self.genes, options=self.options)
        settings = {"encoder": self.name, "target_sum": options.target_sum, "log1p": options.log1p}
        self.encoder_id = content_id({**settings, "genes": list(self.genes)}, self._arrays())

    @property
    def weights(self) -> Float[np.ndarray, "d_embed genes"]:
        """W, float64."""
        return self._by_gene.T

    @classmethod
    def fit(
        cls,
        adata: AnnData,
        *,
        batch_key: str | None = None,
        seed: int = 0,
        device: str = "cpu",  # noqa: ARG003
        options: LinearOptions | None = None,
    ) -> LinearEncoder:
        """Fit principal components to log-normalised counts.

        Parameters
        ----------
        adata
            Cells with raw counts; genes without counts are left out.
        batch_key
            Must be None: principal components know no batches.
        seed
            Start of the iterative eigensolver (ARPACK, run to machine precision).
        device
            Accepted for the sake of the common call; the fit runs on the CPU.
        options
            Settings; the default is 50 components of log1p CP10k.

        Returns
        -------
        The fitted encoder. In each component the largest loading is positive.

        Raises
        ------
        InputError
            If there are too few cells or genes, or a batch key is given.
        """
        options = options or LinearOptions()
        if batch_key is not None:
            msg = f"The linear encoder cannot use batch_key={batch_key!r}. Leave it out, or fit 'scvi'."
            raise InputError(msg)
        weights, centre, genes = fit_linear(adata, options, seed=seed)
        return cls(weights, -weights @ centre, genes, options=options, centre=centre)

    @classmethod
    def load(cls, path: Path | str) -> LinearEncoder:
        """Read an encoder that `save` wrote.

        Parameters
        ----------
        path
            Folder.

        Returns
        -------
        The encoder.

        Raises
        ------
        CheckpointError
            If the folder is incomplete, damaged or of another encoder.
        """
        config, arrays = load_folder(path, cls.name)
        with reading_settings(path):
            options = LinearOptions(**config["options"])
            genes = pd.Index(config["genes"], dtype=object)
            shape = (int(config["options"]["n_components"]), len(genes))
        centre = arrays.get("centre")
        expected = {"weights": shape, "bias": shape[:1]}
        require_shapes(path, arrays, expected if centre is None else {**expected, "centre": shape[1:]})
        return cls(arrays["weights"], arrays["bias"], genes, options=options, centre=centre)

    def save(self, path: Path | str) -> None:
        """Write ``config.json`` and ``weights.safetensors`` into a folder."""
        config = {
            "encoder": self.name,
            "options": dataclasses.asdict(self.options),
            "genes": list(self.genes),
        }
        save_folder(path, config, self._arrays())

    def reinitialised(self, *, seed: int) -> LinearEncoder:
        """Return the same encoder with the entries of each weight array permuted."""
        return LinearEncoder(**scrambled(self._arrays(), seed=seed), genes=self.genes, options=self.options)

    def known(self, adata: AnnData) -> Bool[np.ndarray, " genes"]:
        """Tell which columns of `adata` the encoder reads."""
        return align(self.genes, adata).known

    def expression(self, adata: AnnData) -> Csr:
        """Return what an edit changes: raw counts, or normalised values with ``edit="normalised"``.

        The bare map (neither scaling nor log) reads ``X`` as it is.

        Parameters
        ----------
        adata
            Cells.

        Returns
        -------
        ``(n_cells, n_genes)``, float64, in the columns of `adata`; genes that the encoder does not know are 0
        in normalised units.
        """
        values = self.options.read(adata)
        if self.options.edit == "values":
            return values
        known = sp.diags_array(self.known(adata).astype(np.float64))
        return self.options.normalise(sp.csr_array(values @ known), adata.obs_names)

    def embed(
        self,
        adata: AnnData,
        *,
        batch_size: int = 4096,
        device: str = "cpu",  # noqa: ARG002
    ) -> Embeddings:
        """Embed every cell.

        Parameters
        ----------
        adata
            Cells with raw counts; genes that they lack are read as 0.
        batch_size
            Cells at a time; does not change the result.
        device
            Accepted for the sake of the protocol; the arithmetic is float64 on the CPU.

        Returns
        -------
        ``(n_cells, d_embed)``, float32.

        Raises
        ------
        InputError
            If a cell has no counts in the genes of the encoder.
        """
        values = to_model_genes(self.options.read(adata), align(self.genes, adata).columns)

        def project(part: Csr, rows: slice) -> Float[np.ndarray, "rows d_embed"]:
            normalised = self.options.normalise(part, adata.obs_names[rows])
            return np.asarray(normalised @ self._by_gene + self.bias)

        embedded = map_cells(project, values, d_embed=self.d_embed, batch_size=batch_size)
        return Embeddings(embedded.astype(np.float32), adata.obs_names, self.encoder_id, self.name)

    def embed_edits(
        self,
        cells: AnnData,
        edits: Edits,
        *,
        batch_size: int = 4096,
        device: str = "cpu",  # noqa: ARG002
    ) -> Float[np.ndarray, "edits d_embed"]:
        """Embed edited cells without a full pass: only what an edit moves is computed.

        Parameters
        ----------
        cells
            Cells with raw counts.
        edits
            New values, in the units of `expression`.
        batch_size
            Edits at a time; does not change the result.
        device
            Accepted for the sake of the protocol; the arithmetic is float64 on the CPU.

        Returns
        -------
        ``(n_edits, d_embed)``, float64.

        Raises
        ------
        InputError
            If an edit leaves a cell without counts, or counts below zero.
        """
        columns = align(self.genes, cells).columns
        values = to_model_genes(self.expression(cells), columns)
        result = np.empty((len(edits), self.d_embed))
        for part in edits_by_cell(values, edits, columns, n_genes=cells.n_vars, batch_size=batch_size):
            result[part.positions] = self._edited(part, cells.obs_names[part.cells]) + self.bias
        return result

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
        """Walk straight from cells to others in the units of `expression`, normalising on the way."""
        options, columns, weight = self.options, align(self.genes, cells).columns, self._by_gene @ cotangent
        values = to_model_genes(self.expression(cells), columns)
        before, after = (values[rows].toarray() for rows in (start, end))
        for fraction in fractions:
            here = (1 - fraction) * before + fraction * after
            read = sp.csr_array(here)
            if options.edit == "values":
                read = options.normalise(read, cells.obs_names[end])
            moved = normalised_slope(here, weight, options) * (after - before)
            yield read @ self._by_gene + self.bias, to_columns(moved, columns, n_genes=cells.n_vars)

    def _edited(self, part: CellEdits, names: Names) -> Float[np.ndarray, "edits d_embed"]:
        options = self.options
        if options.edit == "values" and options.log1p:
            require_counts(part, names)
        if options.edit == "values" and options.target_sum is not None:
            return recount(part, names, self._by_gene, target_sum=options.target_sum, log1p=options.log1p)
        log = np.log1p if options.log1p and options.edit == "values" else np.asarray
        base = part.values.copy()
        base.data = log(base.data)
        change = part.per_gene(log(part.new) - log(part.old))
        return np.asarray((base @ self._by_gene)[part.cell] + change @ self._by_gene)

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {"weights": self.weights, "bias": self.bias}
        return arrays if self.decoder is None else {**arrays, "centre": self.decoder.centre}
