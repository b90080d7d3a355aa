"""Estimate what editing each gene of a cell does to scGPT's embedding, at the price of a few passes.

The streams of the edited token and of <cls> are followed through the layers exactly, against the keys and
values that the other tokens have in the unedited cell. What the two changed keys do to all other tokens is
computed exactly within a layer, a softmax in which two terms change, and carried on from there to first order
by one pass backwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from conceptome.core import Csr
from conceptome.encoders.scgpt_network import ScgptNetwork

EDITS_AT_ONCE = 128
"""Bounds the memory, together with the longest sequence."""
EDITS_PER_TRACE = 4096
"""Edits that are binned at once; a cell whose edits are divided is put through the network again."""


@dataclass(frozen=True, eq=False)
class Layer:
    """What one layer computes of the unedited cell, by head."""

    queries: Float[Tensor, "heads length d_head"]
    keys: Float[Tensor, "heads length d_head"]
    values: Float[Tensor, "heads length d_head"]
    mixed: Float[Tensor, "heads length d_head"]
    """Values weighted by attention."""
    norm: Float[Tensor, "heads length"]
    """Logarithm of the sum of exponentials that divides each token's attention."""
    slope: Float[Tensor, "heads length d_head"]
    """Derivative of the objective by `mixed`."""

    @cached_property
    def along(self) -> Float[Tensor, "heads length"]:
        """Product of `slope` and `mixed`."""
        product: Tensor = (self.slope * self.mixed).sum(dim=-1)
        return product

    @cached_property
    def attention(self) -> Float[Tensor, "heads length length"]:
        """What each token pays to each."""
        score = self.queries @ self.keys.mT * self.queries.shape[-1] ** -0.5
        paid: Tensor = score.sub_(self.norm[..., None]).exp_()
        return paid

    @cached_property
    def read(self) -> Float[Tensor, "heads length length"]:
        """What each token's reading of each adds to the objective, beyond what it reads on the whole."""
        return self.attention * (self.slope @ self.values.mT - self.along[..., None])


@dataclass(frozen=True, eq=False)
class Trace:
    """What the network computes of an unedited cell, and the derivatives of one objective."""

    inputs: Float[Tensor, "length d_embed"]
    slope: Float[Tensor, "length d_embed"]
    """Derivative of the objective by `inputs`."""
    layers: tuple[Layer, ...]

    @classmethod
    def of(
        cls,
        network: ScgptNetwork,
        inputs: Float[Tensor, "length d_embed"],
        *,
        n_layers: int,
        cotangent: Float[Tensor, " d_embed"],
    ) -> Trace:
        """Put a cell through the network and back.

        Parameters
        ----------
        network
            The network.
        inputs
            What the first layer reads, <cls> first.
        n_layers
            Layers to run.
        cotangent
            The objective is its product with <cls> after the last layer, divided by its length.

        Returns
        -------
        The trace.
        """
        with torch.enable_grad():
            first = x = inputs.detach()[None].requires_grad_()
            heads, mixed = [], []
            for layer in network.first_layers(n_layers):
                q, k, v = layer.self_attn.split(x)
                heads.append((q, k, v))
                mixed.append(functional.scaled_dot_product_attention(q, k, v))
                x = layer.update(x, layer.self_attn.join(mixed[-1]))
            objective = functional.normalize(x[0, 0], dim=0) @ cotangent
            slopes = torch.autograd.grad(objective, [first, *mixed])
        layers = []
        for head, read, slope in zip(heads, mixed, slopes[1:], strict=True):
            q, k, v, output = (part[0].detach() for part in (*head, read))
            norm = (q @ k.mT * q.shape[-1] ** -0.5).logsumexp(dim=-1)
            layers.append(Layer(q, k, v, output, norm, slope[0]))
        return cls(inputs, slopes[0][0], tuple(layers))


@dataclass(frozen=True, eq=False)
class TokenEdits:
    """Edits of one token each."""

    place: Int[Tensor, " edits"]
    """Position of the token; that of <cls>, 0, where the unedited cell lacks it."""
    stays: Bool[Tensor, " edits"]
    """Whether the edited cell has it."""
    inputs: Float[Tensor, "edits d_embed"]
    """What the first layer reads of it after the edit; without meaning where it does not stay."""

    def part(self, rows: slice) -> TokenEdits:
        """Take some of the edits."""
        return TokenEdits(self.place[rows], self.stays[rows], self.inputs[rows])


@dataclass(frozen=True, eq=False)
class CellReader:
    """Turns a cell and its edits, as they are binned, into what the first layer reads."""

    network: ScgptNetwork
    tokens: Int[np.ndarray, " columns"]
    """Token of each column."""
    cls_token: int
    cls_value: float
    device: str

    def inputs(
        self, columns: Int[np.ndarray, " genes"], bins: Float[np.ndarray, " genes"]
    ) -> Float[Tensor, "genes d_embed"]:
        """Return what the first layer reads of some genes."""
        return self._read(self.tokens[columns], bins)

    def estimate(
        self,
        before: Csr,
        after: Csr,
        gene: Int[np.ndarray, " edits"],
        *,
        n_layers: int,
        cotangent: Float[np.ndarray, " d_embed"],
    ) -> Float[np.ndarray, "edits d_embed"]:
        """Estimate the embeddings of edited cells.

        Parameters
        ----------
        before
            Bins of the unedited cell, one row.
        after
            Bins of the edited cells.
        gene
            Column that each edit is of.
        n_layers
            Layers of the network to run.
        cotangent
            Along this direction the estimate is good; across it, only as far as the edited token and <cls>
            bring it about.

        Returns
        -------
        The estimates.
        """
        columns, weight = before.indices, torch.from_numpy(cotangent.astype(np.float32)).to(self.device)
        cls = self._read(np.array([self.cls_token]), np.array([self.cls_value]))
        inputs = torch.cat([cls, self.inputs(columns, before.data)])
        trace = Trace.of(self.network, inputs, n_layers=n_layers, cotangent=weight)
        old, new = before.toarray()[0], after.toarray()
        own = new[np.arange(len(gene)), gene]
        place = np.where(old[gene] > 0, 1 + np.searchsorted(columns, gene), 0)
        edits = TokenEdits(
            torch.from_numpy(place).to(self.device),
            torch.from_numpy(own > 0).to(self.device),
            self.inputs(gene, own),
        )
        embedded, further = follow(self.network, trace, edits)
        new[np.arange(len(gene)), gene] = old[gene]
        further += self._rebinned(trace, columns, old, new)
        along = cotangent / (cotangent @ cotangent)
        return np.asarray(embedded + further[:, None] * along)

    def _rebinned(
        self,
        trace: Trace,
        columns: Int[np.ndarray, " genes"],
        old: Float[np.ndarray, " columns"],
        new: Float[np.ndarray, "edits columns"],
    ) -> Float[np.ndarray, " edits"]:
        """Return to first order what the new bins of the genes that were not edited do to the objective."""
        edit, position = np.nonzero(new[:, columns] != old[columns])
        bins = new[edit, columns[position]]
        moved = self.inputs(columns[position], bins) - trace.inputs[1 + position]
        effect = (moved * trace.slope[1 + position]).sum(dim=1).double().cpu().numpy()
        return np.bincount(edit, weights=effect, minlength=len(new)).astype(np.float64)  # integers if empty

    def _read(
        self, tokens: Int[np.ndarray, " some"], values: Float[np.ndarray, " some"]
    ) -> Float[Tensor, "some d_embed"]:
        as_tensors = torch.from_numpy(tokens[None]), torch.from_numpy(values[None].astype(np.float32))
        with torch.inference_mode():
            inputs: Tensor = self.network.inputs(*(array.to(self.device) for array in as_tensors))[0]
        return inputs


def follow(
    network: ScgptNetwork, trace: Trace, edits: TokenEdits
) -> tuple[Float[np.ndarray, "edits d_embed"], Float[np.ndarray, " edits"]]:
    """Follow the streams of <cls> and of edited tokens.

    Parameters
    ----------
    network
        The network.
    trace
        The unedited cell.
    edits
        Edits of it.

    Returns
    -------
    embedded
        <cls> after the last layer, divided by its length, were all other tokens to stay as they are.
    further
        What the change of all other tokens adds to the objective, to first order.
    """
    starts = range(0, len(edits.place), EDITS_AT_ONCE)
    with torch.inference_mode():
        found = [_follow(network, trace, edits.part(slice(at, at + EDITS_AT_ONCE))) for at in starts]
    embedded, further = (torch.cat(parts).double().cpu().numpy() for parts in zip(*found, strict=True))
    return embedded, further


def _follow(
    network: ScgptNetwork, trace: Trace, edits: TokenEdits
) -> tuple[Float[Tensor, "edits d_embed"], Float[Tensor, " edits"]]:
    x = torch.stack([trace.inputs[0].expand_as(edits.inputs), edits.inputs], dim=1)
    further = x.new_zeros(len(x))
    layers = network.first_layers(len(trace.layers))
    for number, (layer, base) in enumerate(zip(layers, trace.layers, strict=True)):
        queries, keys, values = layer.self_attn.split(x)
        if number == len(trace.layers) - 1:  # of the last layer, <cls> alone is read
            x, queries = x[:, :1], queries[:, :, :1]
        else:
            further += _spread(base, edits, keys=keys, values=values)
        mixed = _attend(base, edits, queries=queries, keys=keys, values=values)
        x = layer.update(x, layer.self_attn.join(mixed))
    return functional.normalize(x[:, 0], dim=1), further


def _attend(
    base: Layer,
    edits: TokenEdits,
    *,
    queries: Float[Tensor, "edits heads streams d_head"],
    keys: Float[Tensor, "edits heads 2 d_head"],
    values: Float[Tensor, "edits heads 2 d_head"],
) -> Float[Tensor, "edits heads streams d_head"]:
    """Let the streams read all tokens: the two that changed as they are now, the others as they were."""
    n_edits, n_heads, n_streams, d_head = queries.shape
    length, edit = base.keys.shape[1], torch.arange(n_edits, device=queries.device)
    scale = d_head**-0.5
    asked = queries.permute(1, 0, 2, 3).reshape(n_heads, n_edits * n_streams, d_head)
    score = queries.new_empty(n_heads, n_edits, n_streams, length + 1)  # the last for a token that joins
    score[..., :length] = (asked @ base.keys.mT).view(n_heads, n_edits, n_streams, length) * scale
    score[..., length] = -torch.inf
    to_own = (queries @ keys.mT * scale).transpose(0, 1)
    column = torch.where(edits.place > 0, edits.place, length)
    score[..., 0] = to_own[..., 0]
    score[:, edit, :, column] = to_own[..., 1].masked_fill(~edits.stays[:, None], -torch.inf).transpose(0, 1)
    weight = score.softmax(dim=-1)
    own = torch.stack([weight[..., 0], weight[:, edit, :, column].transpose(0, 1)], dim=-1)
    weight[..., 0] = 0
    weight[:, edit, :, column] = 0
    others = weight[..., :length].reshape(n_heads, n_edits * n_streams, length) @ base.values
    mixed: Tensor = others.view(n_heads, n_edits, n_streams, d_head).transpose(0, 1)
    return mixed + own.transpose(0, 1) @ values


def _spread(
    base: Layer,
    edits: TokenEdits,
    *,
    keys: Float[Tensor, "edits heads 2 d_head"],
    values: Float[Tensor, "edits heads 2 d_head"],
) -> Float[Tensor, " edits"]:
    """Return what the changed keys and values of two tokens do to the objective by way of all others.

    With p the attention that a token paid to a key and a what it would pay after the edit at the old
    normalisation, its output O becomes O + sum(a v' - p v - (a - p) O) / (1 + sum(a - p)), so that the
    objective moves by sum(a (s v' - s O) - p (s v - s O)) / (1 + sum(a - p)), s its slope along the output.
    """
    edit = torch.arange(len(edits.place), device=keys.device)
    joins, leaves = edits.place == 0, ~edits.stays
    top, bottom = base.read[:, 1:, :1].neg(), 1 - base.attention[:, 1:, :1]  # of <cls>, as it was
    for token in (0, 1):
        a, gain = _attended(base, keys[:, :, token].transpose(0, 1), values[:, :, token].transpose(0, 1))
        if token == 1:
            a[..., leaves] = 0
            top = top - base.read[:, 1:].index_select(2, edits.place).masked_fill_(joins, 0)
            bottom = bottom - base.attention[:, 1:].index_select(2, edits.place).masked_fill_(joins, 0)
        top, bottom = torch.addcmul(top, a, gain), bottom + a
    effect = top.div_(bottom)
    changed = ~joins  # an edited token is followed by itself
    effect[:, edits.place[changed] - 1, edit[changed]] = 0
    return effect.sum(dim=(0, 1))


def _attended(
    base: Layer, keys: Float[Tensor, "heads edits d_head"], values: Float[Tensor, "heads edits d_head"]
) -> tuple[Float[Tensor, "heads others edits"], Float[Tensor, "heads others edits"]]:
    """Return what every other token pays to some keys, and what the objective gains of their values."""
    scale = base.queries.shape[-1] ** -0.5
    score = torch.baddbmm(base.norm[:, 1:, None], base.queries[:, 1:], keys.mT, beta=-1, alpha=scale)
    gain = torch.baddbmm(base.along[:, 1:, None], base.slope[:, 1:], values.mT, beta=-1)
    return score.exp_(), gain
