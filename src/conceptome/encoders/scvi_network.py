"""The encoder network of scVI in numpy float64, with batch norm folded into the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from conceptome.core import Csr, map_blocks
from conceptome.encoders.scvi_architecture import ScviArchitecture

BATCH_NORM_EPS = 1e-3
LAYER_NORM_EPS = 1e-5


@dataclass(frozen=True, eq=False)
class Layer:
    """Weights of one layer, input first; the covariates' part apart because it is constant for a cell."""

    weight: Float[np.ndarray, "inputs outputs"]
    codes: Float[np.ndarray, "codes outputs"]
    bias: Float[np.ndarray, " outputs"]


class ScviNetwork:
    """Posterior mean of the latent variable.

    A layer is linear, batch norm (eval), layer norm without parameters, ReLU; the mean is linear on the last.

    Parameters
    ----------
    architecture
        Sizes and switches.
    state
        Weights under the names of scvi-tools.
    """

    def __init__(self, architecture: ScviArchitecture, state: Mapping[str, np.ndarray]) -> None:
        self._n_codes = architecture.n_codes
        self._layer_norm = architecture.use_layer_norm in ("encoder", "both")
        self._layers = [_layer(architecture, state, number) for number in range(architecture.n_layers)]
        self._mean = state["z_encoder.mean_encoder.weight"].T.astype(np.float64)
        self._mean_bias = state["z_encoder.mean_encoder.bias"].astype(np.float64)

    @property
    def by_gene(self) -> Float[np.ndarray, "model_genes hidden"]:
        """First-layer weights: what a change of one gene's input adds to the first pre-activation."""
        return self._layers[0].weight

    def first(
        self, inputs: Csr, codes: Float[np.ndarray, "cells codes"]
    ) -> Float[np.ndarray, "cells hidden"]:
        """Compute the first pre-activation.

        Parameters
        ----------
        inputs
            Transformed counts, CSR ``(n_cells, n_model_genes)``.
        codes
            Covariates of each cell.

        Returns
        -------
        Input of the first ReLU (or of layer norm before it), ``(n_cells, n_hidden)``.
        """
        layer = self._layers[0]
        return np.asarray(
            inputs @ layer.weight + map_blocks(lambda rows: rows @ layer.codes, codes) + layer.bias
        )

    def rest(
        self, first: Float[np.ndarray, "rows hidden"], codes: Float[np.ndarray, "rows codes"]
    ) -> Float[np.ndarray, "rows d_embed"]:
        """Compute the posterior mean from the first pre-activation.

        Parameters
        ----------
        first
            What `first` returned, or that plus the changes of an edit.
        codes
            Covariates of each row.

        Returns
        -------
        Latent means, ``(n_rows, n_latent)``.
        """
        return map_blocks(self._rest, np.hstack([codes, first]) if self._n_codes else first)

    def _rest(self, rows: Float[np.ndarray, "rows inputs"]) -> Float[np.ndarray, "rows d_embed"]:
        codes, hidden = rows[:, : self._n_codes], self._activate(rows[:, self._n_codes :])
        for layer in self._layers[1:]:
            hidden = self._activate(hidden @ layer.weight + codes @ layer.codes + layer.bias)
        return np.asarray(hidden @ self._mean + self._mean_bias)

    def _activate(self, hidden: Float[np.ndarray, "rows hidden"]) -> Float[np.ndarray, "rows hidden"]:
        if self._layer_norm:
            centred = hidden - hidden.mean(axis=1, keepdims=True)
            hidden = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + LAYER_NORM_EPS)
        return np.asarray(np.maximum(hidden, 0.0))


def expected_shapes(architecture: ScviArchitecture) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight that the encoder reads, by its name in scvi-tools.

    Parameters
    ----------
    architecture
        Sizes and switches.

    Returns
    -------
    Shape by name.
    """
    n_hidden, n_latent = architecture.n_hidden, architecture.n_latent
    shapes: dict[str, tuple[int, ...]] = {
        "z_encoder.mean_encoder.weight": (n_latent, n_hidden),
        "z_encoder.mean_encoder.bias": (n_latent,),
    }
    for number in range(architecture.n_layers):
        prefix = _prefix(number)
        n_inputs = n_hidden + _n_injected(architecture)
        if number == 0:
            n_inputs = len(architecture.genes) + architecture.n_codes
        shapes[f"{prefix}.0.weight"] = (n_hidden, n_inputs)
        shapes[f"{prefix}.0.bias"] = (n_hidden,)
        if architecture.use_batch_norm in ("encoder", "both"):
            names = ("weight", "bias", "running_mean", "running_var")
            shapes |= {f"{prefix}.1.{name}": (n_hidden,) for name in names}
    return shapes


def _prefix(number: int) -> str:
    return f"z_encoder.encoder.fc_layers.Layer {number}"


def _n_injected(architecture: ScviArchitecture) -> int:
    """Count the one-hot inputs of the layers after the first; continuous covariates enter the first only."""
    if not architecture.deeply_inject_covariates or not architecture.encode_covariates:
        return 0
    return architecture.n_codes - len(architecture.continuous)


def _layer(architecture: ScviArchitecture, state: Mapping[str, np.ndarray], number: int) -> Layer:
    prefix = _prefix(number)
    weight = state[f"{prefix}.0.weight"].astype(np.float64)
    bias = state[f"{prefix}.0.bias"].astype(np.float64)
    if architecture.use_batch_norm in ("encoder", "both"):
        gamma, beta, mean, variance = (
            state[f"{prefix}.1.{name}"].astype(np.float64)
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        gain = gamma / np.sqrt(variance + BATCH_NORM_EPS)
        weight, bias = weight * gain[:, None], (bias - mean) * gain + beta
    n_inputs = len(architecture.genes) if number == 0 else architecture.n_hidden
    codes = np.zeros((architecture.n_codes, architecture.n_hidden))
    injected = weight[:, n_inputs:].T
    if len(injected):
        codes[-len(injected) :] = injected
    return Layer(np.ascontiguousarray(weight[:, :n_inputs].T), codes, bias)
