"""The networks of scVI in numpy float64, with batch norm folded into the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from conceptome.core import Csr, HiddenLayer, map_blocks
from conceptome.encoders.scvi_architecture import ScviArchitecture

BATCH_NORM_EPS = 1e-3
LAYER_NORM_EPS = 1e-5
VARIANCE_FLOOR = 1e-4

Shapes: TypeAlias = dict[str, tuple[int, ...]]
State: TypeAlias = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class StackShape:
    """Sizes of fully connected layers, and where their weights are in the state of scvi-tools."""

    prefix: str
    n_layers: int
    n_inputs: int
    """Genes, or coordinates of the embedding."""
    n_hidden: int
    n_codes: int
    """Further inputs of the first layer: continuous covariates, then one-hots."""
    n_injected: int
    """Last of those that the other layers read again."""
    batch_norm: bool
    layer_norm: bool

    def arrays(self) -> Shapes:
        """Return the shape of every array by its name."""
        shapes: Shapes = {}
        for number in range(self.n_layers):
            inputs = self.n_hidden + self.n_injected if number else self.n_inputs + self.n_codes
            shapes[f"{self.prefix}.Layer {number}.0.weight"] = (self.n_hidden, inputs)
            shapes[f"{self.prefix}.Layer {number}.0.bias"] = (self.n_hidden,)
            if self.batch_norm:
                names = ("weight", "bias", "running_mean", "running_var")
                shapes |= {f"{self.prefix}.Layer {number}.1.{name}": (self.n_hidden,) for name in names}
        return shapes


@dataclass(frozen=True, eq=False)
class Layer:
    """Weights of one layer, input first; the covariates' part apart because it is constant for a cell."""

    weight: Float[np.ndarray, "inputs outputs"]
    codes: Float[np.ndarray, "codes outputs"]
    bias: Float[np.ndarray, " outputs"]


@dataclass(frozen=True, eq=False)
class Head:
    """A linear map of the last hidden layer."""

    weight: Float[np.ndarray, "hidden outputs"]
    bias: Float[np.ndarray, " outputs"]

    @classmethod
    def of(cls, state: State, prefix: str) -> Head:
        """Take the weights below a name."""
        weight, bias = (state[f"{prefix}.{name}"].astype(np.float64) for name in ("weight", "bias"))
        return cls(np.ascontiguousarray(weight.T), bias)

    def __call__(self, hidden: Float[np.ndarray, "rows hidden"]) -> Float[np.ndarray, "rows outputs"]:
        """Apply it to every row."""
        return np.asarray(hidden @ self.weight + self.bias)


class Stack:
    """Fully connected layers: linear, batch norm (eval), layer norm without parameters, ReLU.

    Parameters
    ----------
    shape
        Sizes.
    state
        Weights under the names of scvi-tools.
    """

    def __init__(self, shape: StackShape, state: State) -> None:
        self._n_codes = shape.n_codes
        self.layer_norm = shape.layer_norm
        self.layers = [_layer(shape, state, number) for number in range(shape.n_layers)]

    @property
    def by_input(self) -> Float[np.ndarray, "inputs hidden"]:
        """First-layer weights: what a change of one input adds to the first pre-activation."""
        return self.layers[0].weight

    @property
    def is_shallow(self) -> bool:
        """Whether there is one layer, and ReLU is all that follows it."""
        return len(self.layers) == 1 and not self.layer_norm

    def first(
        self, inputs: Csr | Float[np.ndarray, "rows inputs"], codes: Float[np.ndarray, "rows codes"]
    ) -> Float[np.ndarray, "rows hidden"]:
        """Compute the first pre-activation.

        Parameters
        ----------
        inputs
            Transformed counts as CSR, or embeddings; one row per cell.
        codes
            Covariates of each row.

        Returns
        -------
        Input of the first ReLU (or of layer norm before it), ``(n_rows, n_hidden)``.
        """
        layer = self.layers[0]
        if sp.issparse(inputs):
            moved = inputs @ layer.weight
        else:
            moved = map_blocks(lambda rows: rows @ layer.weight, inputs)
        return np.asarray(moved + map_blocks(lambda rows: rows @ layer.codes, codes) + layer.bias)

    def rest(
        self,
        first: Float[np.ndarray, "rows hidden"],
        codes: Float[np.ndarray, "rows codes"],
        head: Callable[[np.ndarray], np.ndarray],
    ) -> Float[np.ndarray, "rows outputs"]:
        """Go on from the first pre-activation to a head.

        Parameters
        ----------
        first
            What `first` returned, or that plus the changes of an edit.
        codes
            Covariates of each row.
        head
            Map of the last hidden layer, row by row.

        Returns
        -------
        What the head makes of each row.
        """

        def block(rows: Float[np.ndarray, "block columns"]) -> Float[np.ndarray, "block outputs"]:
            own, hidden = rows[:, : self._n_codes], self.activate(rows[:, self._n_codes :])
            for layer in self.layers[1:]:
                hidden = self.activate(hidden @ layer.weight + own @ layer.codes + layer.bias)
            return head(hidden)

        return map_blocks(block, np.hstack([codes, first]) if self._n_codes else first)

    def activate(self, hidden: Float[np.ndarray, "rows hidden"]) -> Float[np.ndarray, "rows hidden"]:
        """Apply layer norm, where there is one, and ReLU."""
        if self.layer_norm:
            hidden, _ = layer_normalised(hidden)
        return np.asarray(np.maximum(hidden, 0.0))


def layer_normalised(
    hidden: Float[np.ndarray, "rows hidden"],
) -> tuple[Float[np.ndarray, "rows hidden"], Float[np.ndarray, "rows 1"]]:
    """Centre each row and divide it by its standard deviation, which is returned too."""
    centred = hidden - hidden.mean(axis=1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=1, keepdims=True) + LAYER_NORM_EPS)
    return centred / deviation, deviation


class Posterior:
    """Mean and variance of a latent variable given a cell: the embedding, or the log library size.

    Parameters
    ----------
    architecture
        Sizes and switches.
    state
        Weights under the names of scvi-tools.
    of
        ``"z"`` for the embedding, ``"l"`` for the log library size.
    """

    def __init__(self, architecture: ScviArchitecture, state: State, *, of: Literal["z", "l"] = "z") -> None:
        self._log = architecture.log_variational
        self.stack = Stack(_encoder_shape(architecture, of), state)
        self.head = Head.of(state, f"{of}_encoder.mean_encoder")
        self._variance = Head.of(state, f"{of}_encoder.var_encoder")

    @property
    def by_gene(self) -> Float[np.ndarray, "model_genes hidden"]:
        """What a change of one gene's transformed count adds to the first pre-activation."""
        return self.stack.by_input

    def transform(self, counts: Float[np.ndarray, "*values"]) -> Float[np.ndarray, "*values"]:
        """Turn counts into what the network reads: log(1 + count), or counts as they are."""
        return np.log1p(counts) if self._log else counts

    def first(
        self, counts: Csr, codes: Float[np.ndarray, "cells codes"]
    ) -> Float[np.ndarray, "cells hidden"]:
        """Compute the first pre-activation of cells from their counts in the genes of the model."""
        values = self.transform(counts.data)
        inputs = sp.csr_array((values, counts.indices, counts.indptr), shape=counts.shape)
        return self.stack.first(inputs, codes)

    def mean(
        self, first: Float[np.ndarray, "rows hidden"], codes: Float[np.ndarray, "rows codes"]
    ) -> Float[np.ndarray, "rows latent"]:
        """Compute the posterior mean from the first pre-activation."""
        return self.stack.rest(first, codes, self.head)

    @property
    def is_shallow(self) -> bool:
        """Whether a single hidden layer without layer norm lies between the genes and the mean."""
        return self.stack.is_shallow

    def hidden_layer(
        self, first: Float[np.ndarray, "cells hidden"], column: Int[np.ndarray, " genes"]
    ) -> HiddenLayer:
        """Describe the way from the first pre-activation to the mean, where `is_shallow`."""
        return HiddenLayer(first, self.by_gene, column, self.head.weight, self.head.bias, self._log)

    def variance(
        self, first: Float[np.ndarray, "rows hidden"], codes: Float[np.ndarray, "rows codes"]
    ) -> Float[np.ndarray, "rows latent"]:
        """Compute the posterior variance from the first pre-activation."""
        return self.stack.rest(first, codes, lambda hidden: np.exp(self._variance(hidden)) + VARIANCE_FLOOR)


def posterior_shapes(architecture: ScviArchitecture, *, of: Literal["z", "l"] = "z") -> Shapes:
    """Return the shape of every weight that a posterior reads, by its name in scvi-tools.

    Parameters
    ----------
    architecture
        Sizes and switches.
    of
        As in `Posterior`.

    Returns
    -------
    Shape by name.
    """
    n_outputs = architecture.n_latent if of == "z" else 1
    heads: Shapes = {}
    for name in ("mean_encoder", "var_encoder"):
        heads |= head_shapes(f"{of}_encoder.{name}", architecture.n_hidden, n_outputs)
    return heads | _encoder_shape(architecture, of).arrays()


def head_shapes(prefix: str, n_hidden: int, n_outputs: int) -> Shapes:
    """Return the shapes of a linear map by name."""
    return {f"{prefix}.weight": (n_outputs, n_hidden), f"{prefix}.bias": (n_outputs,)}


def _encoder_shape(architecture: ScviArchitecture, of: Literal["z", "l"]) -> StackShape:
    return StackShape(
        prefix=f"{of}_encoder.encoder.fc_layers",
        n_layers=architecture.n_layers if of == "z" else 1,
        n_inputs=len(architecture.genes),
        n_hidden=architecture.n_hidden,
        n_codes=architecture.n_codes("encoder"),
        n_injected=architecture.n_injected("encoder"),
        batch_norm=architecture.use_batch_norm in ("encoder", "both"),
        layer_norm=architecture.use_layer_norm in ("encoder", "both"),
    )


def _layer(shape: StackShape, state: State, number: int) -> Layer:
    prefix = f"{shape.prefix}.Layer {number}"
    weight = state[f"{prefix}.0.weight"].astype(np.float64)
    bias = state[f"{prefix}.0.bias"].astype(np.float64)
    if shape.batch_norm:
        gamma, beta, mean, variance = (
            state[f"{prefix}.1.{name}"].astype(np.float64)
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        gain = gamma / np.sqrt(variance + BATCH_NORM_EPS)
        weight, bias = weight * gain[:, None], (bias - mean) * gain + beta
    n_inputs = shape.n_hidden if number else shape.n_inputs
    codes = np.zeros((shape.n_codes, shape.n_hidden))
    injected = weight[:, n_inputs:].T
    if len(injected):
        codes[-len(injected) :] = injected
    return Layer(np.ascontiguousarray(weight[:, :n_inputs].T), codes, bias)
