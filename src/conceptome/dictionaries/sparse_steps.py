"""One batch changes a TopK autoencoder on a CPU, touching only active concepts after the encoder's product.

The same mathematics as `AutogradSteps`: the decoder, its gradient and the encoder's gradient are sums over
the k active concepts of each cell instead of products with all n; Adam moves a concept's rows while they are
in the cache. Threads share a batch by fixed blocks of cells and of concepts, each of which has one thread, so
that their number changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from conceptome.dictionaries import kernels
from conceptome.dictionaries.autoencoder import Autoencoder, strongest
from conceptome.dictionaries.options import Recipe, require_k
from conceptome.dictionaries.scratch import Scratch
from conceptome.dictionaries.screening import error_bound, has_bfloat16, round_rows
from conceptome.dictionaries.steps import Measured, auxiliary_loss
from conceptome.dictionaries.strongest import choose_strongest, find_candidates, score

BLOCK_CELLS = 256
BLOCK_CONCEPTS = 256
SHARED_FROM = 2**24
"""Multiplications of a batch's encoding from which on sharing it among threads pays."""

Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class _Encoded:
    """A batch and what the autoencoder makes of it."""

    cells: np.ndarray
    shifted: np.ndarray
    """Cells minus b_dec."""
    indices: np.ndarray
    values: np.ndarray
    """Active concepts of each cell, and their activations."""
    residual: np.ndarray
    """Reconstruction minus cell."""
    factor: np.float32
    """Gradient of the loss by the reconstruction = factor * residual."""


@dataclass(frozen=True, eq=False)
class _Screen:
    """The encoder's weights for a product in bfloat16."""

    w_enc: Tensor
    largest: np.ndarray
    """Of what `round_rows` returns, over concepts."""


class SparseSteps:
    """Sparse steps.

    Parameters
    ----------
    model
        The autoencoder; its rule is TopK.
    optimiser
        Adam of its parameters; its moments are written.
    recipe
        Of the training.
    k
        Active concepts per cell.
    variance
        Mean squared norm of the centred cells.
    """

    def __init__(
        self, model: Autoencoder, optimiser: torch.optim.Adam, recipe: Recipe, *, k: int, variance: float
    ) -> None:
        require_k(k, recipe.n_concepts)
        self.model, self.optimiser, self.recipe, self.k = model, optimiser, recipe, k
        self.variance = variance
        for parameter in model.parameters():
            optimiser.state[parameter] = {
                "step": torch.tensor(0.0),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        self.none = np.full(recipe.n_concepts, -1)
        self.pool: ThreadPoolExecutor | None = None
        self.scratch = Scratch()
        self.rounds = has_bfloat16()

    def take(self, x: Tensor, *, lr: float, dead: Tensor | None) -> Tensor:
        """Learn from a batch; return the mask of concepts that fired."""
        batch, _ = self._encode(self.model, x)
        extra, to_b_dec = self._auxiliary(x, batch.residual, dead)
        starts = self._update(batch, extra, to_b_dec, lr)
        return torch.from_numpy(starts[1:] > starts[:-1])

    @torch.no_grad()
    def measure(self, model: Autoencoder, x: Tensor) -> Measured:
        """Measure an autoencoder in evaluation mode on a batch."""
        batch, squared_error = self._encode(model, x)
        return Measured(squared_error, int((batch.values > 0).sum()), 0.0)

    @torch.no_grad()
    def _encode(self, model: Autoencoder, x: Tensor) -> tuple[_Encoded, float]:
        take = self.scratch.tensor
        indices = take("indices", len(x), self.k, dtype=torch.int32)
        values = take("values", len(x), self.k)
        shifted, residual = take("shifted", *x.shape), take("residual", *x.shape)
        batch = _Encoded(
            cells=x.numpy(),
            shifted=shifted.numpy(),
            indices=indices.numpy(),
            values=values.numpy(),
            residual=residual.numpy(),
            factor=np.float32(2 / (len(x) * self.variance)),
        )
        work = partial(_encode, batch, model, self._screen(model, len(x)), self.scratch)
        return batch, sum(self._share(work, _cut(len(x), BLOCK_CELLS), len(x)))

    def _screen(self, model: Autoencoder, n_cells: int) -> _Screen | None:
        """Round the encoder's weights, where that pays."""
        pays = self.rounds and self._products(n_cells) >= SHARED_FROM
        if self.recipe.precision == "float32" and not pays:
            return None
        w_enc = _array(model.w_enc)
        bits = self.scratch.tensor("rounded", *w_enc.shape, dtype=torch.int16)
        parts = _cut(len(w_enc), BLOCK_CONCEPTS)
        squares = self._share(lambda part: round_rows(w_enc[part], bits.numpy()[part]), parts, n_cells)
        return _Screen(bits.view(torch.bfloat16), np.concatenate(squares).max(axis=0))

    def _auxiliary(self, x: Tensor, residual: np.ndarray, dead: Tensor | None) -> tuple[Arrays, np.ndarray]:
        """Compute AuxK's gradient, for the rows of dead concepts alone."""
        d_embed = x.shape[1]
        if dead is None:
            rows, row = np.zeros((0, d_embed), np.float32), np.zeros(0, np.float32)
            return (self.none, rows, rows, row), np.zeros(d_embed, np.float32)
        model = self.model
        of = torch.nonzero(dead)[:, 0]
        parts = [model.directions[of], model.w_enc[of], model.b_enc[of], model.b_dec]
        directions, w_enc, b_enc, b_dec = (part.detach().clone().requires_grad_() for part in parts)
        pre = linear(x - b_dec, w_enc, b_enc)
        rebuilt = strongest(pre, min(self.recipe.k_aux, len(of))) @ directions
        auxiliary_loss(torch.from_numpy(-residual), rebuilt, self.recipe).backward()  # type: ignore[no-untyped-call]
        place = self.none.copy()
        place[of.numpy()] = np.arange(len(of))
        found = [_gradient(leaf) for leaf in (directions, w_enc, b_enc, b_dec)]
        return (place, *found[:3]), found[3]

    def _update(self, batch: _Encoded, extra: Arrays, to_b_dec: np.ndarray, lr: float) -> np.ndarray:
        """Move all weights by Adam; return where the entries of each concept begin."""
        n_cells, n_concepts = len(batch.cells), self.recipe.n_concepts
        grouped = np.empty(n_concepts + 1, np.int64), np.empty(batch.indices.size, np.int64)
        kernels.group_by_concept(batch.indices.ravel(), batch.values.ravel() != 0, *grouped)
        rates = self._rates(lr)
        model = self.model
        moved = tuple(self._with_moments(each) for each in (model.directions, model.w_enc, model.b_enc))
        sums = (batch.shifted, batch.residual, batch.values), grouped, extra

        parts = _cut(n_concepts, BLOCK_CONCEPTS)
        shares = self._share(partial(_update, sums, batch.factor, moved, rates), parts, n_cells)
        b_dec, mean, square = self._with_moments(model.b_dec)
        to_b_dec = to_b_dec + batch.factor * batch.residual.sum(axis=0) + sum(shares)
        kernels.adam(b_dec, to_b_dec, mean, square, rates)
        return grouped[0]

    def _rates(self, lr: float) -> tuple[np.float32, ...]:
        group = self.optimiser.param_groups[0]
        group["lr"] = lr
        for parameter in self.model.parameters():
            self.optimiser.state[parameter]["step"] += 1
        n_steps = float(self.optimiser.state[self.model.b_dec]["step"])
        beta1, beta2 = group["betas"]
        rates = beta1, beta2, group["eps"], lr / (1 - beta1**n_steps), (1 - beta2**n_steps) ** -0.5
        return tuple(np.float32(rate) for rate in rates)

    def _with_moments(self, parameter: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        state = self.optimiser.state[parameter]
        return _array(parameter), state["exp_avg"].numpy(), state["exp_avg_sq"].numpy()

    def _share(self, work: Callable[[slice], Any], parts: Iterable[slice], n_cells: int) -> list[Any]:
        if self.pool is None or self._products(n_cells) < SHARED_FROM:
            return [work(part) for part in parts]
        return list(self.pool.map(work, parts))

    def _products(self, n_cells: int) -> int:
        return n_cells * self.recipe.n_concepts * self.model.b_dec.numel()

    def __enter__(self) -> SparseSteps:
        """Share large batches among as many threads as torch has; torch itself gets one."""
        n_threads = torch.get_num_threads()
        self.stack = ExitStack()
        self.stack.enter_context(one_thread())  # also the default of the pool's threads
        if n_threads > 1:
            self.pool = self.stack.enter_context(ThreadPoolExecutor(n_threads))
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()
        self.pool = None


@contextmanager
def one_thread() -> Iterator[None]:
    """Give torch one thread for a while: sums that threads share round by where their shares meet."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def _encode(
    batch: _Encoded, model: Autoencoder, screen: _Screen | None, scratch: Scratch, rows: slice
) -> float:
    """Fill in what an autoencoder makes of some of the cells; return their squared error."""
    shifted, active = batch.shifted[rows], (batch.indices[rows], batch.values[rows])
    b_dec = _array(model.b_dec)
    np.subtract(batch.cells[rows], b_dec, out=shifted)
    n_concepts = len(model.b_enc)
    concepts = scratch.tensor("concepts", len(shifted) * n_concepts + 1, dtype=torch.int32).numpy()
    encoder = model.w_enc.detach(), model.b_enc.detach()
    choose = _choose_directly if screen is None else partial(_choose_screened, screen)
    choose(shifted, encoder, scratch, concepts, active)
    decoder = _array(model.directions), b_dec
    return float(kernels.reconstruct(batch.cells[rows], active, decoder, batch.residual[rows]))


def _choose_directly(
    shifted: np.ndarray,
    encoder: tuple[Tensor, Tensor],
    scratch: Scratch,
    concepts: np.ndarray,
    active: Arrays,
) -> None:
    """Choose active concepts by a product in float32."""
    w_enc, b_enc = encoder
    pre = scratch.tensor("pre", len(shifted), len(w_enc))
    torch.addmm(b_enc, torch.from_numpy(shifted), w_enc.T, out=pre)
    candidates = find_candidates(pre.view(torch.int32).numpy(), active[0].shape[1], concepts)
    of = np.repeat(np.arange(len(shifted)), np.diff(candidates[0]))
    choose_strongest(candidates, pre.numpy()[of, candidates[1]], *active)


def _choose_screened(  # noqa: PLR0917
    screen: _Screen,
    shifted: np.ndarray,
    encoder: tuple[Tensor, Tensor],
    scratch: Scratch,
    concepts: np.ndarray,
    active: Arrays,
) -> None:
    """Choose active concepts among candidates of a product in bfloat16, scored again in float32."""
    w_enc, b_enc = encoder
    bits = scratch.tensor("cells", *shifted.shape, dtype=torch.int16)
    squares = round_rows(shifted, bits.numpy())
    pre = scratch.tensor("pre", len(shifted), len(w_enc), dtype=torch.bfloat16)
    torch.addmm(b_enc.bfloat16(), bits.view(torch.bfloat16), screen.w_enc.T, out=pre)
    slack = 2 * error_bound(squares, screen.largest, b_enc.numpy(), shifted.shape[1])
    candidates = find_candidates(pre.view(torch.int16).numpy(), active[0].shape[1], concepts, slack)
    choose_strongest(candidates, score(shifted, (w_enc.numpy(), b_enc.numpy()), candidates), *active)


def _update(
    sums: tuple[Arrays, Arrays, Arrays],
    factor: np.float32,
    moved: tuple[Arrays, ...],
    rates: kernels.Rates,
    part: slice,
) -> np.ndarray:
    shares = np.zeros(moved[0][0].shape[1], np.float32)
    kernels.update_concepts((part.start, part.stop), sums, factor, moved, rates, shares)
    return shares


def _array(parameter: Tensor) -> np.ndarray:
    return parameter.detach().numpy()


def _gradient(leaf: Tensor) -> np.ndarray:
    return leaf.grad.numpy() if leaf.grad is not None else np.zeros(leaf.shape, np.float32)


def _cut(n_rows: int, block: int) -> list[slice]:
    return [slice(start, min(start + block, n_rows)) for start in range(0, n_rows, block)]
