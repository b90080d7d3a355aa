"""TopK autoencoders of SAELens and Overcomplete, by their own training code and their documentation's advice.

Install them beside Conceptome with ``pip install sae-lens==6.54.12 einops`` and ``pip install --no-deps
overcomplete==0.3.0`` (its requirements pull in vision models that a dictionary does not need).

Both read the cells that ours reads: centred and scaled to a mean squared norm of d_embed, which is what
SAELens calls "expected_average_only_in". What they learned is handed back as one of our dictionaries, so
that all three are measured by the same code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from conceptome.dictionaries import TopKDictionary, Weights

REANIMATION = 1e-3


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a peer is trained with."""

    n_concepts: int
    k: int
    n_samples: int
    """Cells seen in all, over however many passes."""
    lr: float
    batch_size: int
    seed: int = 0

    @property
    def n_steps(self) -> int:
        """Whole batches in the samples."""
        return self.n_samples // self.batch_size


@dataclass(frozen=True)
class Scaling:
    """Scaled cell = (cell - mean) * scale."""

    mean: np.ndarray
    scale: float

    @classmethod
    def of(cls, values: np.ndarray) -> Scaling:
        """Bring cells to mean squared norm d_embed."""
        mean = values.mean(axis=0, dtype=np.float64)
        variance = float(((values - mean) ** 2).sum(axis=1).mean())
        return cls(mean, (values.shape[1] / variance) ** 0.5)

    def __call__(self, values: np.ndarray) -> Tensor:
        """Scale cells."""
        return torch.from_numpy(((values - self.mean) * self.scale).astype(np.float32))

    def dictionary(self, k: int, **weights: Tensor) -> TopKDictionary:
        """Make our dictionary of weights that were learned on scaled cells."""
        arrays = {name: tensor.detach().numpy().copy() for name, tensor in weights.items()}
        return TopKDictionary(Weights(**arrays, mean=self.mean.astype(np.float32)), k, scale=self.scale)


def batches(cells: Tensor, setting: Setting) -> Iterator[Tensor]:
    """Yield whole batches of one pass after the other, each in an order of its own."""
    generator = torch.Generator().manual_seed(setting.seed)
    n_passes = -(-setting.n_samples // len(cells))
    order = torch.cat([torch.randperm(len(cells), generator=generator) for _ in range(n_passes)])
    for rows in order[: setting.n_steps * setting.batch_size].split(setting.batch_size):
        yield cells[rows]


def train_saelens(cells: Tensor, scaling: Scaling, setting: Setting) -> TopKDictionary:
    """Train by SAELens: AuxK, gradients clipped, the learning rate falls to 0 over the last fifth."""
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    torch.manual_seed(setting.seed)
    sae = TopKTrainingSAE(
        TopKTrainingSAEConfig(d_in=cells.shape[1], d_sae=setting.n_concepts, k=setting.k, device="cpu")
    )
    config = SAETrainerConfig(
        total_training_samples=setting.n_steps * setting.batch_size,
        train_batch_size_samples=setting.batch_size,
        lr=setting.lr,
        lr_end=setting.lr / 10,  # read under a cosine schedule only, but it has to be given
        lr_decay_steps=setting.n_steps // 5,
    )
    SAETrainer(cfg=config, sae=sae, data_provider=batches(cells, setting)).fit()
    sae.fold_W_dec_norm()
    return scaling.dictionary(
        setting.k, w_enc=sae.W_enc.T, b_enc=sae.b_enc, directions=sae.W_dec, b_dec=sae.b_dec
    )


def overcomplete_sae() -> ModuleType:
    """Import `overcomplete.sae` alone: the package's own init imports vision models and old plotting code."""
    if "overcomplete" not in sys.modules:
        spec = find_spec("overcomplete")
        if spec is None:
            raise ModuleNotFoundError(name="overcomplete")
        package = ModuleType("overcomplete")
        package.__path__ = list(spec.submodule_search_locations or [])
        sys.modules["overcomplete"] = package
    return import_module("overcomplete.sae")


def reanimating(x: Tensor, x_hat: Tensor, pre_codes: Tensor, codes: Tensor, _: Tensor) -> Tensor:
    """Compute the loss that Overcomplete's documentation recommends against dead concepts."""
    dead = ((codes > 0).sum(0) == 0).float()
    return (x - x_hat).square().mean() - REANIMATION * (pre_codes * dead).mean()


def train_overcomplete(cells: Tensor, scaling: Scaling, setting: Setting) -> TopKDictionary:
    """Train by Overcomplete: its re-animation loss, gradients clipped, its cosine schedule."""
    sae = overcomplete_sae()
    from overcomplete.sae.optimizer import CosineScheduler

    torch.manual_seed(setting.seed)
    model = sae.TopKSAE(cells.shape[1], nb_concepts=setting.n_concepts, top_k=setting.k)
    optimizer = torch.optim.Adam(model.parameters(), lr=setting.lr)
    scheduler = CosineScheduler(optimizer, setting.lr, 0.0, setting.n_steps)
    sae.train_sae(
        model,
        batches(cells, setting),
        reanimating,
        optimizer,
        scheduler=scheduler,
        nb_epochs=1,
        monitoring=0,
    )
    linear = model.eval().encoder.final_block[0]
    return scaling.dictionary(
        setting.k,
        w_enc=linear.weight,
        b_enc=linear.bias,
        directions=model.get_dictionary(),
        b_dec=torch.zeros(cells.shape[1]),
    )
