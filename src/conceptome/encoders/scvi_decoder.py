"""The decoder of scVI: the expected counts of a cell from its embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float

from conceptome.core import BLOCK_ROWS, Csr, InputError
from conceptome.data import align, raw_counts
from conceptome.encoders.cells import require_rows, to_model_genes
from conceptome.encoders.scvi_architecture import ScviArchitecture
from conceptome.encoders.scvi_covariates import numbers
from conceptome.encoders.scvi_likelihood import CountDistribution
from conceptome.encoders.scvi_network import (
    Head,
    Posterior,
    Shapes,
    Stack,
    StackShape,
    head_shapes,
    posterior_shapes,
)
from conceptome.encoders.storage import require_shapes

if TYPE_CHECKING:
    from anndata import AnnData

PREFIX = "decoder."
SCALE, DROPOUT, DISPERSION = (
    f"{PREFIX}{name}" for name in ("px_scale_decoder.0", "px_dropout_decoder", "px_r_decoder")
)


class ScviDecoder:
    """Expected expression from an embedding, with the batch, covariates and library size of given cells.

    It reads batch and covariates even where the encoder does not. To decode as if the cells were of another
    batch, change their ``obs``.

    Parameters
    ----------
    architecture
        Sizes, switches, genes and covariates.
    state
        Weights under the names of scvi-tools.

    Raises
    ------
    CheckpointError
        If a weight is missing or does not fit the architecture.
    """

    loss_name = "negative log-likelihood of the counts (nats per cell)"

    def __init__(self, architecture: ScviArchitecture, state: Mapping[str, np.ndarray]) -> None:
        require_shapes("The decoder of scVI", state, decoder_shapes(architecture))
        self.genes = pd.Index(architecture.genes, dtype=object)
        self._architecture = architecture
        self._state = state

    def expression(
        self, embedding: Float[np.ndarray, "cells d_embed"], cells: AnnData
    ) -> Float[np.ndarray, "cells model_genes"]:
        """Decode embeddings into expected counts, ``px_rate`` of scvi-tools.

        Parameters
        ----------
        embedding
            One row per cell.
        cells
            Their batch, covariates and library size.

        Returns
        -------
        Expected counts before zero inflation, dense float64, in the model's genes; decode large data a part
        at a time.

        Raises
        ------
        InputError
            If rows and cells differ in number, or the cells lack counts, a covariate or the size factor.
        """
        return np.asarray(self.scale(embedding, cells) * self.library_size(cells)[:, None])

    def scale(
        self, embedding: Float[np.ndarray, "cells d_embed"], cells: AnnData
    ) -> Float[np.ndarray, "cells model_genes"]:
        """Decode embeddings into expression without library size, ``px_scale`` of scvi-tools.

        Parameters
        ----------
        embedding
            One row per cell.
        cells
            Their batch and covariates; their counts are not read.

        Returns
        -------
        Shares of the genes of the model, which sum to 1; positive without such a sum if the model was trained
        with a size factor.

        Raises
        ------
        InputError
            If rows and cells differ in number, or the cells lack a covariate.
        """
        return self._decode(embedding, cells, self._scale_head)

    def distribution(
        self, embedding: Float[np.ndarray, "cells d_embed"], cells: AnnData
    ) -> CountDistribution:
        """Decode embeddings into the full distribution of counts.

        Parameters
        ----------
        embedding
            One row per cell.
        cells
            Their batch, covariates and library size.

        Returns
        -------
        Parameters of the distribution, each ``(n_cells, n_model_genes)``.

        Raises
        ------
        InputError
            As `expression`.
        """
        architecture = self._architecture
        scale = self.scale(embedding, cells)
        inflated = architecture.gene_likelihood == "zinb"
        return CountDistribution(
            likelihood=architecture.gene_likelihood,
            scale=scale,
            rate=scale * self.library_size(cells)[:, None],
            theta=np.exp(self._log_theta(embedding, cells)),
            zi_logits=self._decode(embedding, cells, Head.of(self._state, DROPOUT)) if inflated else None,
        )

    def loss(
        self, embedding: Float[np.ndarray, "cells d_embed"], cells: AnnData
    ) -> Float[np.ndarray, " cells"]:
        """Compute the reconstruction loss of scVI, block by block.

        Parameters
        ----------
        embedding
            One row per cell.
        cells
            Their batch, covariates, library size and raw counts.

        Returns
        -------
        Negative log-likelihood of the counts, in nats per cell.

        Raises
        ------
        InputError
            As `expression`.
        """
        losses = np.empty(cells.n_obs)
        for start in range(0, cells.n_obs, BLOCK_ROWS):
            part = cells[start : start + BLOCK_ROWS]
            found = self.distribution(embedding[start : start + BLOCK_ROWS], part)
            losses[start : start + BLOCK_ROWS] = found.negative_log_likelihood(self._counts(part).toarray())
        return losses

    def library_size(self, cells: AnnData) -> Float[np.ndarray, " cells"]:
        """Return what scales each cell's expression.

        Parameters
        ----------
        cells
            Cells with raw counts, or with the size factor if the model was trained with one.

        Returns
        -------
        The total count over the genes of the model; or, as the model was trained, the size factor, or exp of
        the posterior mean of the log library size.

        Raises
        ------
        InputError
            If there are no raw counts, or the size factor is missing or not above 0.
        """
        architecture = self._architecture
        if architecture.size_factor_key is not None:
            return _size_factor(cells.obs, architecture.size_factor_key)
        counts = self._counts(cells)
        if architecture.use_observed_lib_size:
            return np.asarray(counts @ np.ones(counts.shape[1]))
        codes = architecture.codes(cells.obs)
        first = self._library.first(counts, codes)
        return np.asarray(np.exp(self._library.mean(first, codes)[:, 0]))

    def _counts(self, cells: AnnData) -> Csr:
        return to_model_genes(raw_counts(cells).astype(np.float64), align(self.genes, cells).columns)

    @cached_property
    def _stack(self) -> Stack:
        return Stack(_stack_shape(self._architecture), self._state)

    @cached_property
    def _library(self) -> Posterior:
        return Posterior(self._architecture, self._state, of="l")

    @cached_property
    def _scale(self) -> Head:
        return Head.of(self._state, SCALE)

    def _scale_head(self, hidden: Float[np.ndarray, "rows hidden"]) -> Float[np.ndarray, "rows model_genes"]:
        values = self._scale(hidden)
        if self._architecture.size_factor_key is not None:
            return np.asarray(np.logaddexp(values, 0.0))  # softplus
        shares = np.exp(values - values.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def _decode(
        self,
        embedding: Float[np.ndarray, "cells d_embed"],
        cells: AnnData,
        head: Callable[[np.ndarray], np.ndarray],
    ) -> Float[np.ndarray, "cells outputs"]:
        require_rows(embedding, cells, d_embed=self._architecture.n_latent)
        self._architecture.warn_of_unseen(cells.obs, "decoder")
        codes = self._architecture.codes(cells.obs, "decoder")
        first = self._stack.first(embedding.astype(np.float64), codes)
        return self._stack.rest(first, codes, head)

    def _log_theta(
        self, embedding: Float[np.ndarray, "cells d_embed"], cells: AnnData
    ) -> Float[np.ndarray, "cells model_genes"]:
        architecture = self._architecture
        if architecture.dispersion == "gene-cell":
            return self._decode(embedding, cells, Head.of(self._state, DISPERSION))
        log_theta = self._state["px_r"].astype(np.float64)
        if architecture.dispersion_of is None:
            return np.tile(log_theta, (cells.n_obs, 1))
        return architecture.dispersion_of.one_hot(cells.obs) @ log_theta.T


def has_decoder(state: Mapping[str, np.ndarray]) -> bool:
    """Tell whether weights of a decoder are there."""
    return any(name.startswith(PREFIX) for name in state)


def without_decoder(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Leave the weights of the decoder out."""
    return {name: array for name, array in state.items() if not name.startswith(PREFIX)}


def decoder_shapes(architecture: ScviArchitecture) -> Shapes:
    """Return the shape of every weight that the decoder reads, by its name in scvi-tools.

    Parameters
    ----------
    architecture
        Sizes and switches.

    Returns
    -------
    Shape by name.
    """
    n_genes, n_hidden = len(architecture.genes), architecture.n_hidden
    shapes = _stack_shape(architecture).arrays() | head_shapes(SCALE, n_hidden, n_genes)
    if architecture.gene_likelihood == "zinb":
        shapes |= head_shapes(DROPOUT, n_hidden, n_genes)
    if architecture.size_factor_key is None and not architecture.use_observed_lib_size:
        shapes |= posterior_shapes(architecture, of="l")
    if architecture.dispersion == "gene-cell":
        return shapes | head_shapes(DISPERSION, n_hidden, n_genes)
    by = architecture.dispersion_of
    return shapes | {"px_r": (n_genes,) if by is None else (n_genes, len(by.categories))}


def _stack_shape(architecture: ScviArchitecture) -> StackShape:
    return StackShape(
        prefix=f"{PREFIX}px_decoder.fc_layers",
        n_layers=architecture.n_layers,
        n_inputs=architecture.n_latent,
        n_hidden=architecture.n_hidden,
        n_codes=architecture.n_codes("decoder"),
        n_injected=architecture.n_injected("decoder"),
        batch_norm=architecture.use_batch_norm in ("decoder", "both"),
        layer_norm=architecture.use_layer_norm in ("decoder", "both"),
    )


def _size_factor(obs: pd.DataFrame, key: str) -> Float[np.ndarray, " cells"]:
    factor = numbers(obs, key, what="the size factor")
    if (factor <= 0).any():
        msg = f"obs[{key!r}] (the size factor) is {factor.min():g} in some cells, expected numbers above 0."
        raise InputError(msg)
    return factor
