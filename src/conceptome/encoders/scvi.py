"""The scVI encoder: the posterior mean of a variational autoencoder, computed without scvi-tools."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Bool, Float
from tqdm.auto import tqdm

from conceptome.core import BLOCK_ROWS, CheckpointError, Csr, Decoder, Edits, Embeddings, content_id
from conceptome.data import align, raw_counts
from conceptome.encoders.cells import edits_by_cell, require_counts, to_model_genes
from conceptome.encoders.checkpoint import read_torch_zip
from conceptome.encoders.scvi_architecture import ScviArchitecture
from conceptome.encoders.scvi_fit import ScviOptions, fit_scvi
from conceptome.encoders.scvi_network import ScviNetwork, expected_shapes
from conceptome.encoders.storage import CONFIG, load_folder, reading_settings, require_shapes, save_folder

if TYPE_CHECKING:
    from anndata import AnnData

MODEL_FILE = "model.pt"
LEGACY_FILES = ("model_params.pt", "attr.pkl", "var_names.csv")


class ScviEncoder:
    """The mean of scVI's latent variable given a cell [Lopez18]_.

    Its encoder network reads log(1 + count) of each gene and, if it was trained so, the cell's batch and
    covariates. It sees no library size, so an edit moves one input per changed gene and nothing else.

    Parameters
    ----------
    architecture
        Sizes, switches, genes and covariates.
    state
        Weights under the names of scvi-tools; those of its decoder are kept too.

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
    decoder: Decoder | None = None

    def __init__(self, architecture: ScviArchitecture, state: Mapping[str, np.ndarray]) -> None:
        require_shapes("scVI", state, expected_shapes(architecture))
        self.architecture = architecture
        self.genes = pd.Index(architecture.genes, dtype=object)
        self.d_embed = architecture.n_latent
        self.encoder_id = content_id({"encoder": self.name, **architecture.to_config()}, state)
        self._state = dict(state)
        self._network = ScviNetwork(architecture, state)

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
            Category that stands for those the model has never seen, for each such key of ``obs``. Without it
            the most frequent one for encoders fitted here, and the first for models of scvi-tools, which do
            not keep how frequent they were.

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
            architecture, state = _read_scvi_tools(path)
        require_shapes(path, state, expected_shapes(architecture))
        return cls(architecture.with_reference(reference or {}), state)

    def save(self, path: Path | str) -> None:
        """Write ``config.json`` and ``weights.safetensors`` into a folder."""
        config = {"encoder": self.name, "architecture": self.architecture.to_config()}
        save_folder(path, config, self._state)

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
        counts = to_model_genes(self.expression(adata), align(self.genes, adata).columns)
        self.architecture.warn_of_unseen(adata.obs)
        codes = self.architecture.codes(adata.obs)
        result = np.empty((adata.n_obs, self.d_embed), dtype=np.float32)
        step = -(-batch_size // BLOCK_ROWS) * BLOCK_ROWS
        for start in tqdm(range(0, adata.n_obs, step), "embed", delay=2, leave=False, disable=None):
            rows = slice(start, start + step)
            first = self._network.first(self._inputs(counts[rows]), codes[rows])
            result[rows] = self._network.rest(first, codes[rows])
        return Embeddings(result, adata.obs_names, self.encoder_id, self.name)

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
        columns = align(self.genes, cells).columns
        counts = to_model_genes(self.expression(cells), columns)
        codes = self.architecture.codes(cells.obs)
        result = np.empty((len(edits), self.d_embed))
        for part in edits_by_cell(counts, edits, columns, n_genes=cells.n_vars, batch_size=batch_size):
            require_counts(part, cells.obs_names[part.cells])
            change = part.per_gene(self._transform(part.new) - self._transform(part.old))
            first = change @ self._network.by_gene
            first += self._network.first(self._inputs(part.values), codes[part.cells])[part.cell]
            result[part.positions] = self._network.rest(first, codes[part.cells][part.cell])
        return result

    def _transform(self, counts: Float[np.ndarray, " values"]) -> Float[np.ndarray, " values"]:
        return np.log1p(counts) if self.architecture.log_variational else counts

    def _inputs(self, counts: Csr) -> Csr:
        return sp.csr_array((self._transform(counts.data), counts.indices, counts.indptr), shape=counts.shape)


def _read_scvi_tools(path: Path) -> tuple[ScviArchitecture, dict[str, np.ndarray]]:
    file = path / MODEL_FILE if path.is_dir() else path
    if not file.is_file():
        msg = _what_is_missing(path)
        raise CheckpointError(msg)
    saved = read_torch_zip(file)
    try:
        attributes = saved["attr_dict"]
        state = {k: v for k, v in saved["model_state_dict"].items() if isinstance(v, np.ndarray)}
        architecture = ScviArchitecture.from_scvi_tools(
            attributes["init_params_"], attributes["registry_"], saved["var_names"]
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        msg = (
            f"{file} holds no model that scvi-tools (0.15 or later) saved: {type(error).__name__} {error}. "
            "Give the folder that SCVI.save() wrote."
        )
        raise CheckpointError(msg) from error
    return architecture, state


def _what_is_missing(path: Path) -> str:
    if path.is_dir() and all((path / name).is_file() for name in LEGACY_FILES):
        return (
            f"{path} was saved by scvi-tools before 0.15, in three files that cannot be read safely. If you "
            f"trust them, run scvi.model.SCVI.convert_legacy_save({str(path)!r}, NEW) and load NEW."
        )
    found = ", ".join(sorted(entry.name for entry in path.iterdir())[:5]) if path.is_dir() else "no such path"
    return (
        f"{path} holds no scVI model: expected {MODEL_FILE} (scvi-tools) or {CONFIG} (Conceptome), found "
        f"{found or 'an empty folder'}. Give the folder that save() wrote."
    )
