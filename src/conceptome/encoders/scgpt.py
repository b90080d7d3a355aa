"""The scGPT encoder: the published transformer, deterministic, without the scgpt package."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from tqdm.auto import tqdm

from conceptome.core import Csr, Edits, Embeddings, InputError, Names, content_id, require_at_least
from conceptome.data import gene_column, look_up, raw_counts, symbols
from conceptome.encoders.cells import edits_by_cell, read_x, require_counts
from conceptome.encoders.precision import uses_bfloat16
from conceptome.encoders.scgpt_decoder import ScgptDecoder
from conceptome.encoders.scgpt_files import (
    CLS,
    ScgptModel,
    complete,
    read_scgpt,
    require_weights,
    saved_scgpt,
)
from conceptome.encoders.scgpt_gradient import Ways
from conceptome.encoders.scgpt_network import ScgptNetwork
from conceptome.encoders.scgpt_options import ScgptOptions
from conceptome.encoders.scgpt_own_stream import EDITS_PER_TRACE, CellReader
from conceptome.encoders.scgpt_tokens import ScgptTokeniser
from conceptome.encoders.scrambling import scrambled
from conceptome.encoders.sequences import (
    Network,
    Sequences,
    hidden_state,
    map_gradients,
    map_sequences,
    require_device,
)
from conceptome.encoders.storage import CONFIG, load_folder, reading_settings, save_folder

if TYPE_CHECKING:
    from anndata import AnnData


class ScgptEncoder:
    """A published scGPT model [Cui24]_.

    A cell is read as its expressed genes with the bins of their values; the embedding is divided by its
    length, as published. Data and model are matched by gene symbol, as they are written.

    Parameters
    ----------
    model
        Sizes, vocabulary and weights.
    options
        How cells are read.

    Raises
    ------
    CheckpointError
        If a weight is missing or does not fit the sizes.
    InputError
        If the model has no such layer.

    References
    ----------
    .. [Cui24] scGPT: toward building a foundation model for single-cell multi-omics using generative AI,
       Nature Methods 21, 1470.
    """

    name = "scgpt"
    options_type = ScgptOptions

    def __init__(self, model: ScgptModel, *, options: ScgptOptions | None = None) -> None:
        require_weights("scGPT", model.weights, model.sizes)
        self.model = model
        self.options = options or ScgptOptions()
        of_first = self.options.pooling == "cls"
        self._layer = hidden_state(self.options.layer, model.sizes.n_layers, of_first=of_first)
        vocabulary = pd.Index(model.vocabulary, dtype=object)
        is_gene = ~vocabulary.str.match(r"<.*>$")
        self._tokens = np.flatnonzero(is_gene)
        self.genes: Names = vocabulary[is_gene]
        self.d_embed = model.sizes.d_embed
        shared = {k: v for k, v in dataclasses.asdict(self.options).items() if k not in ("edit", "gene_key")}
        settings = {**self._settings(), "options": shared | {"layer": self._layer}}
        self.encoder_id = content_id({"encoder": self.name, **settings}, model.weights)
        self._pad_token = model.vocabulary.index(model.pad_token)
        self._network = ScgptNetwork.from_weights(model.sizes, complete(model))
        self._tokeniser = ScgptTokeniser(
            cls_token=model.vocabulary.index(CLS),
            cls_value=model.pad_value,
            max_length=self.options.max_length,
            binning=self.options.binning,
            seed=self.options.seed,
        )

    @property
    def decoder(self) -> ScgptDecoder | None:
        """Predicts the bins of all genes; None for other embeddings than the published one."""
        published = self.options.pooling == "cls" and self._layer == self.model.sizes.n_layers
        has_head = any(name.startswith("mvc_decoder.") for name in self.model.weights)
        if not (published and has_head):
            return None
        return ScgptDecoder(self._network, self.genes, self._tokens, read=self._bins)

    @classmethod
    def load(cls, path: Path | str, *, options: ScgptOptions | None = None) -> ScgptEncoder:
        """Read a published model, or an encoder that `save` wrote.

        ``best_model.pt`` could contain a program; it is read without running any.

        Parameters
        ----------
        path
            Folder with ``args.json``, ``vocab.json`` and ``best_model.pt``, or that of a saved encoder.
        options
            How cells are read; None takes the published pipeline, or what was saved.

        Returns
        -------
        The encoder.

        Raises
        ------
        CheckpointError
            If files are missing, damaged, unsafe or do not fit together.
        InputError
            If the model has no such layer.
        """
        folder = Path(path)
        if not (folder / CONFIG).is_file():
            return cls(read_scgpt(folder), options=options)
        config, weights = load_folder(folder, cls.name)
        with reading_settings(folder):
            model = saved_scgpt(folder / CONFIG, config, weights)
            saved = ScgptOptions(**config["options"])
        return cls(model, options=options or saved)

    def save(self, path: Path | str) -> None:
        """Write ``config.json`` and ``weights.safetensors`` into a folder."""
        options = dataclasses.asdict(self.options)
        config = {"encoder": self.name, **self._settings(), "options": options}
        save_folder(path, config, self.model.weights)

    def reinitialised(self, *, seed: int) -> ScgptEncoder:
        """Return the same encoder with the entries of each weight array permuted."""
        model = dataclasses.replace(self.model, weights=scrambled(self.model.weights, seed=seed))
        return ScgptEncoder(model, options=self.options)

    def known(self, adata: AnnData) -> Bool[np.ndarray, " genes"]:
        """Tell which columns of `adata` are in the vocabulary; two columns of one symbol are both read."""
        return self._position(adata) >= 0

    def expression(self, adata: AnnData) -> Csr:
        """Return the raw counts, or ``X`` with ``reads="x"``.

        Parameters
        ----------
        adata
            Cells.

        Returns
        -------
        ``(n_cells, n_genes)``, float64, in the columns of `adata`, without stored zeros.

        Raises
        ------
        InputError
            If there are no raw counts, or ``X`` is missing or has values that are negative or not finite.
        """
        if self.options.reads == "counts":
            return raw_counts(adata).astype(np.float64)
        values = read_x(adata)
        if values.nnz and not (np.isfinite(values.data).all() and values.data.min() >= 0):
            msg = "X has values that are negative, NaN or infinite. scGPT reads expression; give counts."
            raise InputError(msg)
        return values

    def embed(self, adata: AnnData, *, batch_size: int = 4096, device: str = "cpu") -> Embeddings:
        """Embed every cell.

        Parameters
        ----------
        adata
            Cells.
        batch_size
            Cells tokenised and sorted by length at a time; does not change the result.
        device
            ``"cpu"`` or ``"cuda"``.

        Returns
        -------
        ``(n_cells, d_embed)``, float32, rows of length 1.

        Raises
        ------
        InputError
            If there are no counts, too few genes are known, a cell expresses none of them, or there is no
            such device.
        """
        require_device(device)
        require_at_least("batch_size", batch_size, 1)
        columns, tokens = self._columns(adata)
        values = self.expression(adata)[:, columns]
        result = np.empty((adata.n_obs, self.d_embed), dtype=np.float32)
        network = self._network
        if uses_bfloat16(self.options.precision, device):
            network = network.bfloat16_products()
        network = network.to(device)
        with tqdm(total=adata.n_obs, desc="embed", unit="cell", delay=2, leave=False, disable=None) as bar:
            for start in range(0, adata.n_obs, batch_size):
                rows = slice(start, start + batch_size)
                sequences = self._tokeniser.cells(values[rows], tokens, adata.obs_names[rows])
                result[rows] = self._run(network, sequences, device)
                bar.update(len(sequences))
        return Embeddings(result, adata.obs_names, self.encoder_id, self.name)

    def embed_edits(
        self, cells: AnnData, edits: Edits, *, batch_size: int = 4096, device: str = "cpu"
    ) -> Float[np.ndarray, "edits d_embed"]:
        """Embed edited cells.

        A zero that becomes a count adds a token, the reverse removes one. In a cell with more genes than fit,
        no other gene takes the place of one that leaves.

        Parameters
        ----------
        cells
            Cells.
        edits
            New values, in the units of `expression`.
        batch_size
            Edits tokenised at a time; does not change the result.
        device
            ``"cpu"`` or ``"cuda"``.

        Returns
        -------
        ``(n_edits, d_embed)``, float64 in the precision of float32.

        Raises
        ------
        InputError
            If an edit names what is not there or sets a negative value, or there is no such device.
        """
        require_device(device)
        columns, tokens = self._columns(cells)
        values = self.expression(cells)[:, columns]
        result = np.empty((len(edits), self.d_embed))
        network = self._network.to(device)
        for part in edits_by_cell(values, edits, columns, n_genes=cells.n_vars, batch_size=batch_size):
            names = cells.obs_names[part.cells]
            require_counts(part, names)
            sequences = self._tokeniser.edits(part, tokens, names, edit=self.options.edit)
            result[part.positions] = self._run(network, sequences, device)
        return result

    def estimate_edits(
        self, cells: AnnData, edits: Edits, *, cotangent: Float[np.ndarray, " d_embed"], device: str = "cpu"
    ) -> Float[np.ndarray, "edits d_embed"]:
        """Estimate the embeddings of cells with one edited gene, for all genes at the price of a few passes.

        Changes of other genes' bins, which an edit may bring about, count to first order.

        Parameters
        ----------
        cells
            Cells.
        edits
            New values of one gene each, in the units of `expression`.
        cotangent
            Direction of the embedding that matters, such as the weights of a concept; what estimates
            leave out is least along it.
        device
            ``"cpu"`` or ``"cuda"``.

        Returns
        -------
        ``(n_edits, d_embed)``, float64.

        Raises
        ------
        InputError
            If an edit is of several genes, or the embedding is not that of <cls>.
        """
        require_device(device)
        if self.options.pooling != "cls" or (np.diff(edits.indptr) != 1).any():
            found = f"{len(edits):,} edits of {len(edits.genes):,} genes, pooling={self.options.pooling!r}"
            msg = f"Found {found}; estimates need edits of one gene each and pooling='cls'. Use embed_edits."
            raise InputError(msg)
        columns, tokens = self._columns(cells)
        values = self.expression(cells)[:, columns]
        tokeniser, network = self._tokeniser, self._network.to(device)
        reader = CellReader(network, tokens, tokeniser.cls_token, tokeniser.cls_value, device)
        result = np.empty((len(edits), self.d_embed))
        size = EDITS_PER_TRACE
        for part in edits_by_cell(values, edits, columns, n_genes=cells.n_vars, batch_size=size):
            names = cells.obs_names[part.cells]
            require_counts(part, names)
            before = tokeniser.binned(part.values, tokens, names)
            after = tokeniser.binned_edits(part, tokens, names, edit=self.options.edit)
            gene = np.zeros(len(part.positions), dtype=np.int64)  # any gene, where an unknown one is edited
            gene[np.diff(part.indptr) == 1] = part.genes
            for cell in range(len(part.cells)):
                own = np.flatnonzero(part.cell == cell)
                result[part.positions[own]] = reader.estimate(
                    before[[cell]],
                    after[own],
                    gene[own],
                    n_layers=self._layer,
                    cotangent=cotangent,
                )
        return result

    def along(
        self,
        cells: AnnData,
        *,
        start: Int[np.ndarray, " rows"],
        end: Int[np.ndarray, " rows"],
        fractions: Sequence[float],
        cotangent: Float[np.ndarray, " d_embed"],
        device: str = "cpu",
    ) -> Iterator[tuple[Float[np.ndarray, "rows d_embed"], Float[np.ndarray, "rows genes"]]]:
        """Walk straight from cells to others in their bins, over the genes that either cell expresses.

        An approximation: a gene that one of them lacks is a token of bin 0 there, which scGPT has never seen
        in a cell, so that the ends of the way are near the cells and not at them.
        """
        require_device(device)
        columns, tokens = self._columns(cells)
        binned = self._tokeniser.binned(self.expression(cells)[:, columns], tokens, cells.obs_names)
        ways = Ways.between(binned, self._tokeniser, tokens, start=start, end=end)
        embed = self._embedder(self._network.to(device))
        for fraction in fractions:
            embedded, slope = map_gradients(
                embed,
                ways.at(fraction),
                cotangent=cotangent,
                pad_token=self._pad_token,
                pad_value=self.model.pad_value,
                device=device,
            )
            moved = np.zeros((len(start), cells.n_vars))
            moved[:, columns] = ways.moved(slope, len(columns))
            yield embedded.astype(np.float64), moved

    def _embedder(self, network: ScgptNetwork) -> Network:
        def embed(tokens: torch.Tensor, values: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
            pooled: torch.Tensor = network.pool(
                tokens, values, real, layer=self._layer, pooling=self.options.pooling
            )
            return torch.nn.functional.normalize(pooled, dim=1)

        return embed

    def _run(
        self, network: ScgptNetwork, sequences: Sequences, device: str
    ) -> Float[np.ndarray, "sequences d_embed"]:
        return map_sequences(
            self._embedder(network),
            sequences,
            d_embed=self.d_embed,
            pad_token=self._pad_token,
            pad_value=self.model.pad_value,
            device=device,
        )

    def _bins(self, adata: AnnData) -> tuple[Csr, Int[np.ndarray, " known"]]:
        """Return the bins of cells, nothing where a gene is no token, and the gene of each column."""
        columns, tokens = self._columns(adata)
        binned = self._tokeniser.binned(self.expression(adata)[:, columns], tokens, adata.obs_names)
        return binned, self._position(adata)[columns]

    def _columns(self, adata: AnnData) -> tuple[Int[np.ndarray, " known"], Int[np.ndarray, " known"]]:
        """Return the columns that are read, and the token of each."""
        position = self._position(adata)
        columns = np.flatnonzero(position >= 0)
        return columns, self._tokens[position[columns]]

    def _position(self, adata: AnnData) -> Int[np.ndarray, " genes"]:
        key = self.options.gene_key
        names = symbols(adata) if key is None else gene_column(adata, key)
        return look_up(self.genes, names)

    def _settings(self) -> dict[str, object]:
        model = self.model
        sizes = dataclasses.asdict(model.sizes)
        return {
            "sizes": sizes,
            "vocabulary": list(model.vocabulary),
            "pad_token": model.pad_token,
            "pad_value": model.pad_value,
        }
