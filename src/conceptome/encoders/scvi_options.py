"""Settings for fitting scVI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ScviOptions:
    """Settings of a scVI fit; unnamed settings are those of scvi-tools."""

    n_latent: int = 10
    """Length of the embedding."""
    n_hidden: int = 128
    """Width of the hidden layers."""
    n_layers: int = 1
    """Hidden layers of the encoder and of the decoder."""
    gene_likelihood: Literal["nb", "zinb", "poisson"] = "nb"
    """Distribution of counts; droplet data need no zero inflation [Svensson20]."""
    encode_covariates: bool = False
    """Show the batch to the encoder too, not only to the decoder."""
    max_epochs: int | None = None
    """Upper limit of epochs; None = as many as make about 2,000 gradient steps, between 20 and 400."""
    batch_size: int = 128
    """Cells in a gradient step."""
    patience: int = 10
    """Stop after this many epochs without a better ELBO on the tenth of cells that is held out."""
