"""Train scVI with scvi-tools; the only place that imports it."""

from __future__ import annotations

import io
import logging
import random
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np
import scipy.sparse as sp

from conceptome.core import InputError, require_at_least, require_choice, require_extra, require_positive
from conceptome.data import raw_counts
from conceptome.data.wording import did_you_mean, some
from conceptome.encoders.scvi_architecture import ScviArchitecture

if TYPE_CHECKING:
    from anndata import AnnData

MIN_CELLS = 20
Likelihood: TypeAlias = Literal["nb", "zinb", "poisson"]
ACCELERATORS = {"cpu": "cpu", "cuda": "gpu"}


@dataclass(frozen=True)
class ScviOptions:
    """Settings of a scVI fit; unnamed settings are those of scvi-tools.

    Raises
    ------
    InputError
        If a value is not one of its choices or out of its range.
    """

    n_latent: int = 10
    """Length of the embedding."""
    n_hidden: int = 128
    """Width of the hidden layers."""
    n_layers: int = 1
    """Hidden layers of the encoder and of the decoder."""
    gene_likelihood: Likelihood = "nb"
    """Distribution of counts; droplet data need no zero inflation (Svensson 2020, Nat Biotechnol 38, 147)."""
    encode_covariates: bool = False
    """Show the batch to the encoder too, not only to the decoder."""
    max_epochs: int | None = None
    """Upper limit of epochs; None = about 1,200 gradient steps, but 10 to 400 epochs."""
    batch_size: int = 64
    """Cells in a gradient step."""
    learning_rate: float = 2e-3
    """Step size of Adam."""
    patience: int = 10
    """Stop after this many epochs without a better ELBO on the tenth of the cells that is held out."""

    def __post_init__(self) -> None:
        require_choice("gene_likelihood", self.gene_likelihood, get_args(Likelihood))
        for name in ("n_latent", "n_hidden", "n_layers", "batch_size", "patience"):
            require_at_least(name, getattr(self, name), 1)
        if self.max_epochs is not None:
            require_at_least("max_epochs", self.max_epochs, 1)
        require_positive("learning_rate", self.learning_rate)

    def epochs(self, n_cells: int) -> int:
        """Return the upper limit of epochs for a number of cells."""
        if self.max_epochs is not None:
            return self.max_epochs
        return int(np.clip(round(1200 * self.batch_size / n_cells), 10, 400))


def fit_scvi(
    adata: AnnData, options: ScviOptions, *, batch_key: str | None, seed: int, device: str
) -> tuple[ScviArchitecture, dict[str, np.ndarray]]:
    """Train scVI on all genes that have counts.

    The weight of the prior (KL) rises to 1 over the first half of the epochs.

    Parameters
    ----------
    adata
        Cells with raw counts; left as it is.
    options
        Settings.
    batch_key
        Column of ``obs`` with the batch of each cell.
    seed
        Seed of initialisation, split and mini-batches. The global random states are put back afterwards.
    device
        ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    The architecture, with the most frequent batch as reference, and the weights.

    Raises
    ------
    InputError
        If the batch key is missing or has NaN, there are too few cells, or the device is unknown.
    MissingExtraError
        If scvi-tools is not installed.
    """
    if device not in ACCELERATORS:
        msg = f"Unknown device {device!r}. Use one of {some(ACCELERATORS)}."
        raise InputError(msg)
    cells = _training_cells(adata, batch_key)
    epochs = options.epochs(cells.n_obs)
    with _quiet(), _interruptible(), _seeded(seed) as scvi:
        scvi.model.SCVI.setup_anndata(cells, batch_key=batch_key)
        model = scvi.model.SCVI(
            cells,
            n_hidden=options.n_hidden,
            n_latent=options.n_latent,
            n_layers=options.n_layers,
            gene_likelihood=options.gene_likelihood,
            encode_covariates=options.encode_covariates,
        )
        model.train(
            max_epochs=epochs,
            accelerator=ACCELERATORS[device],
            devices=1,
            train_size=0.9,
            batch_size=options.batch_size,
            early_stopping=True,
            early_stopping_patience=options.patience,
            plan_kwargs={"lr": options.learning_rate, "n_epochs_kl_warmup": max(epochs // 2, 1)},
            enable_progress_bar=sys.stderr.isatty(),
        )
    state = {name: tensor.cpu().numpy() for name, tensor in model.module.state_dict().items()}
    architecture = ScviArchitecture.from_scvi_tools(
        model.init_params_, model.registry_, cells.var_names.to_numpy()
    )
    if batch_key is None or not architecture.covariates:
        return architecture, state
    frequent = str(cells.obs[batch_key].value_counts().index[0])
    return architecture.with_reference({batch_key: frequent}), state


def _training_cells(adata: AnnData, batch_key: str | None) -> AnnData:
    """Copy what scvi-tools needs, since it writes into what it is given."""
    from anndata import AnnData

    if adata.n_obs < MIN_CELLS:
        msg = f"Fitting scVI needs at least {MIN_CELLS} cells, found {adata.n_obs}. Load a fitted one."
        raise InputError(msg)
    if batch_key is not None and batch_key not in adata.obs:
        near = did_you_mean(batch_key, list(adata.obs.columns))
        msg = f"obs has no column {batch_key!r} (batch_key); it has {some(adata.obs.columns)}.{near}"
        raise InputError(msg)
    obs = adata.obs[[batch_key] if batch_key else []].copy()
    if batch_key is not None:
        n_missing = int(obs[batch_key].isna().sum())
        if n_missing:
            msg = f"obs[{batch_key!r}] (batch_key) is NaN in {n_missing} cells. Give every cell a batch."
            raise InputError(msg)
        obs[batch_key] = obs[batch_key].astype(str)
    counts = raw_counts(adata)
    used = np.flatnonzero(np.bincount(counts.indices, minlength=adata.n_vars))
    matrix = sp.csr_matrix(counts[:, used])  # scvi-tools does not take sparse arrays
    return AnnData(X=matrix, obs=obs, var=adata.var.iloc[used, :0].copy())


@contextmanager
def _seeded(seed: int) -> Iterator[ModuleType]:
    """Import and seed scvi-tools, and put the global random states back."""
    import torch

    python, numpy = random.getstate(), np.random.get_state()  # the import itself draws numbers
    with torch.random.fork_rng():
        try:
            scvi = require_extra("scvi", "scvi")
            before = scvi.settings.seed
            scvi.settings.seed = seed
            try:
                yield scvi
            finally:
                scvi.settings.seed = before
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C through: lightning turns it into an exit and ignores further ones."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stopped:
        raise KeyboardInterrupt from stopped
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what lightning and scvi-tools say; on a terminal the progress bar goes to stderr."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # not by logger: lightning resets its own levels when it is imported
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr if sys.stderr.isatty() else io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
