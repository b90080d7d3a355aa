"""The Geneformer encoder: a transformer over genes ranked within the cell, V1 and V2."""

from __future__ import annotations

import dataclasses
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from tqdm.auto import tqdm

from conceptome.core import BLOCK_ROWS, Csr, Edits, Embeddings, InputError, content_id
from conceptome.data import raw_counts
from conceptome.encoders.cells import edits_by_cell, require_counts
from conceptome.encoders.geneformer_decoder import GeneformerDecoder
from conceptome.encoders.geneformer_dictionaries import require_vocabulary
from conceptome.encoders.geneformer_files import GeneformerModel, checked_sizes, read_geneformer
from conceptome.encoders.geneformer_network import GeneformerNetwork, Pooling, expected_shapes, pool
from conceptome.encoders.geneformer_options import GeneformerOptions
from conceptome.encoders.geneformer_states import GeneformerStates
from conceptome.encoders.geneformer_tokens import GeneformerTokeniser
from conceptome.encoders.geneformer_vocabulary import GeneformerVocabulary
from conceptome.encoders.precision import uses_bfloat16
from conceptome.encoders.scrambling import scrambled
from conceptome.encoders.sequences import Sequences, hidden_state, map_sequences, require_device
from conceptome.encoders.storage import (
    CONFIG,
    WEIGHTS,
    load_folder,
    reading_settings,
    require_shapes,
    save_folder,
)

if TYPE_CHECKING:
    from anndata import AnnData

PAD = 0


class GeneformerEncoder:
    """A published Geneformer [Theodoris23]_, of the 30M (V1) or the 104M series (V2).

    A cell is read as its expressed genes in the order of their count relative to the gene's median. Data and
    model are matched by Ensembl id.

    Parameters
    ----------
    model
        Sizes, dictionaries and weights.
    options
        How cells are read.

    Raises
    ------
    CheckpointError
        If a weight or a dictionary does not fit the sizes.
    InputError
        If the model has no such layer, or no ``<cls>``.
    MissingExtraError
        If transformers is not installed.

    References
    ----------
    .. [Theodoris23] Transfer learning enables predictions in network biology, Nature 618, 616.
    """

    name = "geneformer"
    options_type = GeneformerOptions

    def __init__(self, model: GeneformerModel, *, options: GeneformerOptions | None = None) -> None:
        require_shapes("Geneformer", model.weights, expected_shapes(model.sizes))
        self.model = model
        self.options = options or GeneformerOptions()
        self.genes = model.vocabulary.genes
        self.d_embed = model.sizes.hidden_size
        self._pooling = _pooling(self.options.pooling, model.vocabulary)
        n_layers, of_first = model.sizes.num_hidden_layers, self._pooling == "cls"
        self._layer = hidden_state(self.options.layer, n_layers, of_first=of_first)
        embedding = {"layer": self._layer, "pooling": self._pooling, "precision": self.options.precision}
        settings = {"encoder": self.name, **self._settings(), **embedding}
        self.encoder_id = content_id(settings, model.weights)
        self._network = GeneformerNetwork(model.sizes, model.weights)
        self._tokeniser = GeneformerTokeniser(model.vocabulary, longest=model.sizes.max_position_embeddings)

    @property
    def decoder(self) -> GeneformerDecoder | None:
        """Logits of all genes at ``<cls>`` of the last layer; None for other embeddings."""
        if self._pooling != "cls" or self._layer != self.model.sizes.num_hidden_layers:
            return None
        return GeneformerDecoder(self._network, self.genes, self.model.vocabulary.gene_tokens)

    @classmethod
    def load(cls, path: Path | str, *, options: GeneformerOptions | None = None) -> GeneformerEncoder:
        """Read a published model, or an encoder that `save` wrote.

        Pickled files could contain programs; they are read without running any.

        Parameters
        ----------
        path
            Folder with ``config.json`` and ``model.safetensors`` or ``pytorch_model.bin``, the dictionaries
            in it or nearby; or that of a saved encoder.
        options
            How cells are read; None takes what was published, or what was saved.

        Returns
        -------
        The encoder.

        Raises
        ------
        CheckpointError
            If files are missing, damaged, unsafe or do not fit together.
        InputError
            If the model has no such layer, or no ``<cls>``.
        MissingExtraError
            If transformers is not installed.
        """
        folder = Path(path)
        if not (folder / WEIGHTS).is_file():
            return cls(read_geneformer(folder), options=options)
        config, weights = load_folder(folder, cls.name)
        with reading_settings(folder):
            sizes = checked_sizes(folder / CONFIG, config["sizes"])
            vocabulary = GeneformerVocabulary(**config["vocabulary"])
            saved = GeneformerOptions(**config["options"])
            require_vocabulary(folder / CONFIG, vocabulary, n_tokens=sizes.vocab_size)
        require_shapes(folder, weights, expected_shapes(sizes))
        return cls(GeneformerModel(sizes, vocabulary, weights), options=options or saved)

    def save(self, path: Path | str) -> None:
        """Write ``config.json`` and ``weights.safetensors`` into a folder, the dictionaries included."""
        options = dataclasses.asdict(self.options)
        config = {"encoder": self.name, **self._settings(), "options": options}
        save_folder(path, config, self.model.weights)

    def reinitialised(self, *, seed: int) -> GeneformerEncoder:
        """Return the same encoder with the entries of each weight array permuted."""
        model = dataclasses.replace(self.model, weights=scrambled(self.model.weights, seed=seed))
        return GeneformerEncoder(model, options=self.options)

    def known(self, adata: AnnData) -> Bool[np.ndarray, " genes"]:
        """Tell which columns of `adata` are genes of the model; several columns may be one gene."""
        return self._position(adata) >= 0

    def expression(self, adata: AnnData) -> Csr:
        """Return the raw counts, ``(n_cells, n_genes)``, float64, in the columns of `adata`."""
        return raw_counts(adata).astype(np.float64)

    def tokenise(self, adata: AnnData) -> Sequences:
        """Turn cells into the sequences that the network reads.

        Parameters
        ----------
        adata
            Cells with raw counts.

        Returns
        -------
        One sequence of tokens per cell, in the order of the cells; its values are not used.

        Raises
        ------
        InputError
            If there are no raw counts, too few genes are known, or a cell expresses none of them.
        """
        columns, genes = self._columns(adata)
        return self._tokeniser.cells(self.expression(adata)[:, columns], genes, adata.obs_names)

    def embed(self, adata: AnnData, *, batch_size: int = 4096, device: str = "cpu") -> Embeddings:
        """Embed every cell.

        Parameters
        ----------
        adata
            Cells with raw counts.
        batch_size
            Cells tokenised and sorted by length at a time; does not change the result.
        device
            ``"cpu"`` or ``"cuda"``.

        Returns
        -------
        ``(n_cells, d_embed)``, float32.

        Raises
        ------
        InputError
            If there are no raw counts, too few genes are known, a cell expresses none of them, or there is no
            such device.
        """
        require_device(device)
        columns, genes = self._columns(adata)
        counts = self.expression(adata)[:, columns]
        result = np.empty((adata.n_obs, self.d_embed), dtype=np.float32)
        step = -(-batch_size // BLOCK_ROWS) * BLOCK_ROWS
        bfloat16 = uses_bfloat16(self.options.precision, device)
        with tqdm(total=adata.n_obs, desc="embed", unit="cell", delay=2, leave=False, disable=None) as bar:
            for start in range(0, adata.n_obs, step):
                rows = slice(start, start + step)
                sequences = self._tokeniser.cells(counts[rows], genes, adata.obs_names[rows])
                result[rows] = self._run(sequences, device, bfloat16=bfloat16)
                bar.update(len(sequences))
        return Embeddings(result, adata.obs_names, self.encoder_id, self.name)

    def embed_edits(
        self, cells: AnnData, edits: Edits, *, batch_size: int = 4096, device: str = "cpu"
    ) -> Float[np.ndarray, "edits d_embed"]:
        """Embed edited cells: each is ranked anew, as the option `edit` says.

        Parameters
        ----------
        cells
            Cells with raw counts.
        edits
            New counts.
        batch_size
            Edits tokenised at a time; does not change the result.
        device
            ``"cpu"`` or ``"cuda"``.

        Returns
        -------
        ``(n_edits, d_embed)``, float64 in the precision of float32. In V2, a cell whose last gene is taken
        away is ``<cls>`` and ``<eos>`` alone, and its embedding the state of ``<cls>``.

        Raises
        ------
        InputError
            If an edit names what is not there, sets a negative count, or leaves a cell of V1 without genes,
            or there is no such device.
        """
        require_device(device)
        columns, genes = self._columns(cells)
        counts = self.expression(cells)[:, columns]
        result = np.empty((len(edits), self.d_embed))
        for part in edits_by_cell(counts, edits, columns, n_genes=cells.n_vars, batch_size=batch_size):
            names = cells.obs_names[part.cells]
            require_counts(part, names)
            sequences = self._tokeniser.edits(part, genes, names, edit=self.options.edit)
            result[part.positions] = self._run(sequences, device)
        return result

    def states(self, adata: AnnData, *, device: str = "cpu") -> GeneformerStates:
        """Open what the network computes on the way: hidden states, token logits, embeddings of genes.

        Parameters
        ----------
        adata
            Cells with raw counts.
        device
            ``"cpu"`` or ``"cuda"``.

        Returns
        -------
        The cells in the network; each is put through when a method is called.

        Raises
        ------
        InputError
            As in `tokenise`, or if there is no such device.
        """
        require_device(device)
        return GeneformerStates(self._network.to(device), self.tokenise(adata), self.model)

    def _run(
        self, sequences: Sequences, device: str, *, bfloat16: bool = False
    ) -> Float[np.ndarray, "sequences d_embed"]:
        network = self._network.to(device)
        special = self.model.vocabulary.special is not None

        def embed(tokens: torch.Tensor, _: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
            with torch.autocast(tokens.device.type, dtype=torch.bfloat16, enabled=bfloat16):
                hidden = next(islice(network.states(tokens, real), self._layer, None))
            return pool(hidden.float(), real, pooling=self._pooling, special=special)

        longest = self.model.sizes.max_position_embeddings
        return map_sequences(
            embed, sequences, d_embed=self.d_embed, pad_token=PAD, longest=longest, device=device
        )

    def _columns(self, adata: AnnData) -> tuple[Int[np.ndarray, " known"], Int[np.ndarray, " known"]]:
        """Return the columns that are read, and the gene that each of them is."""
        position = self._position(adata)
        columns = np.flatnonzero(position >= 0)
        return columns, position[columns]

    def _position(self, adata: AnnData) -> Int[np.ndarray, " genes"]:
        return self.model.vocabulary.locate(adata, gene_key=self.options.gene_key)

    def _settings(self) -> dict[str, object]:
        sizes, vocabulary = self.model.sizes, self.model.vocabulary
        tables = {field.name: getattr(vocabulary, field.name) for field in dataclasses.fields(vocabulary)}
        return {"sizes": dataclasses.asdict(sizes), "vocabulary": tables}


def _pooling(chosen: Literal["auto", "cls", "mean"], vocabulary: GeneformerVocabulary) -> Pooling:
    if chosen == "auto":
        return "mean" if vocabulary.special is None else "cls"
    if chosen == "cls" and vocabulary.special is None:
        msg = "This Geneformer (V1) has no <cls> token. Take pooling='mean'."
        raise InputError(msg)
    return chosen
