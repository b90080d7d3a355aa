"""What must be known of an scVI model beside its weights: sizes, switches, genes, covariates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from conceptome.core import CheckpointError, InputError
from conceptome.data.wording import some
from conceptome.encoders.scvi_covariates import MEAN, Covariate, Part, numbers

MOST_LAYERS = 100
"""More than any scVI model has; a file that asks for more is damaged."""

Where = Literal["encoder", "decoder", "none", "both"]


@dataclass(frozen=True)
class ScviArchitecture:
    """Settings of an scVI model, in the words of scvi-tools."""

    genes: tuple[str, ...]
    n_hidden: int = 128
    n_latent: int = 10
    n_layers: int = 1
    log_variational: bool = True
    encode_covariates: bool = False
    deeply_inject_covariates: bool = True
    use_batch_norm: Where = "both"
    use_layer_norm: Where = "none"
    gene_likelihood: str = "zinb"
    dispersion: str = "gene"
    use_observed_lib_size: bool = True
    size_factor_key: str | None = None
    """Column of ``obs`` that scales the decoded expression in place of the library size."""
    covariates: tuple[Covariate, ...] = ()
    """Batch first, then the categorical covariates; those with a single category are left out."""
    continuous: tuple[str, ...] = ()
    """Columns of ``obs`` with continuous covariates."""
    dispersion_of: Covariate | None = None
    """Batch or label on which the dispersion of a gene depends; None if it depends on neither."""

    def __post_init__(self) -> None:
        for name in ("n_hidden", "n_latent", "n_layers"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1 or (name == "n_layers" and value > MOST_LAYERS):
                msg = f"The settings of the scVI model say {name}={value!r}, which no model has."
                raise CheckpointError(msg)

    def n_codes(self, part: Part) -> int:
        """Count the inputs of a network beside the genes (encoder) or the embedding (decoder)."""
        if not self.reads_covariates(part):
            return 0
        return len(self.continuous) + sum(len(covariate.categories) for covariate in self.covariates)

    def n_injected(self, part: Part) -> int:
        """Count those that the layers after the first read too: the one-hots, if any."""
        if not self.deeply_inject_covariates or not self.reads_covariates(part):
            return 0
        return self.n_codes(part) - len(self.continuous)

    def reads_covariates(self, part: Part) -> bool:
        """Tell whether a network reads batch and covariates; the decoder always does."""
        return part == "decoder" or self.encode_covariates

    def codes(self, obs: pd.DataFrame, part: Part = "encoder") -> Float[np.ndarray, "cells codes"]:
        """Return what a network reads of each cell beside its genes: continuous covariates, then one-hots.

        Parameters
        ----------
        obs
            Annotation of the cells.
        part
            The network.

        Returns
        -------
        One row per cell; no columns if the network reads no covariates.

        Raises
        ------
        InputError
            If a continuous covariate is missing, no number or NaN.
        """
        if not self.reads_covariates(part):
            return np.zeros((len(obs), 0))
        continuous = [numbers(obs, key, what="a continuous covariate")[:, None] for key in self.continuous]
        one_hots = [covariate.one_hot(obs) for covariate in self.covariates]
        return np.hstack([np.zeros((len(obs), 0)), *continuous, *one_hots])

    def warn_of_unseen(self, obs: pd.DataFrame, part: Part = "encoder") -> None:
        """Log which categories a network has never seen and what stands for them.

        Parameters
        ----------
        obs
            Annotation of the cells.
        part
            The network.
        """
        if self.reads_covariates(part):
            for covariate in self.covariates:
                covariate.warn_of_unseen(obs, part=part)

    def with_reference(self, reference: Mapping[str, str]) -> ScviArchitecture:
        """Choose which category stands for those that the model has never seen.

        Parameters
        ----------
        reference
            Category for each key of ``obs``, or ``"mean"`` for the average over all of its categories.

        Returns
        -------
        The same architecture with other references.

        Raises
        ------
        InputError
            If a key or a category is not the model's.
        """
        known = {covariate.key: covariate for covariate in self.covariates}
        for key, category in reference.items():
            if key not in known or category not in (*known[key].categories, MEAN):
                offered = "; ".join(f"{c.key}: {some(c.categories)}" for c in self.covariates) or "none"
                msg = (
                    f"The model has no category {category!r} of {key!r}. It knows {offered}; "
                    f"{MEAN!r} takes the average."
                )
                raise InputError(msg)

        def refer(covariate: Covariate) -> Covariate:
            return replace(covariate, reference=reference.get(covariate.key, covariate.reference))

        dispersion_of = self.dispersion_of and refer(self.dispersion_of)
        return replace(self, covariates=tuple(map(refer, self.covariates)), dispersion_of=dispersion_of)

    def to_config(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ScviArchitecture:
        """Read settings that `to_config` wrote."""

        def covariate(entry: Mapping[str, Any]) -> Covariate:
            return Covariate(entry["key"], tuple(entry["categories"]), entry["reference"])

        read = {
            "genes": tuple(config["genes"]),
            "covariates": tuple(map(covariate, config["covariates"])),
            "continuous": tuple(config["continuous"]),
            "dispersion_of": config["dispersion_of"] and covariate(config["dispersion_of"]),
        }
        return cls(**{**config, **read})

    @classmethod
    def from_scvi_tools(
        cls, init_params: Mapping[str, Any], registry: Mapping[str, Any], genes: np.ndarray
    ) -> ScviArchitecture:
        """Read the settings that scvi-tools keeps with a model.

        Parameters
        ----------
        init_params
            What scvi-tools calls ``init_params_``.
        registry
            What it calls ``registry_``.
        genes
            Names of the model's genes.

        Returns
        -------
        The settings; the first category of each covariate is the reference.

        Raises
        ------
        CheckpointError
            If the model is no SCVI, or uses a variant that changes the encoder and is not implemented.
        """
        if registry.get("model_name") != "SCVI":
            msg = f"This is a {registry.get('model_name')} model of scvi-tools. Only SCVI can be loaded."
            raise CheckpointError(msg)
        given = module_settings(init_params)
        _require_supported(given)
        own = {field.name for field in fields(cls)}
        fields_of = {name: entry["state_registry"] for name, entry in registry["field_registries"].items()}
        batch, label = (_covariate_of(fields_of.get(name, {})) for name in ("batch", "labels"))
        others = fields_of.get("extra_categorical_covs", {}).get("mappings", {})
        covariates = [batch, *(_covariate(key, categories) for key, categories in others.items())]
        return cls(
            genes=tuple(str(gene) for gene in genes),
            covariates=tuple(c for c in covariates if c is not None and len(c.categories) > 1),
            continuous=tuple(fields_of.get("extra_continuous_covs", {}).get("columns", ())),
            size_factor_key=registry.get("setup_args", {}).get("size_factor_key"),
            dispersion_of={"gene-batch": batch, "gene-label": label}.get(given.get("dispersion", "gene")),
            **{key: value for key, value in given.items() if key in own},
        )


def module_settings(init_params: Mapping[str, Any]) -> dict[str, Any]:
    """Gather the settings of the network from what scvi-tools calls ``init_params_``."""
    settings = dict(init_params["non_kwargs"])
    for group in init_params["kwargs"].values():  # named "kwargs" or "model_kwargs", by version
        settings |= group
    return settings


REQUIRED = {
    "latent_distribution": "normal",
    "batch_representation": "one-hot",
    "extra_encoder_kwargs": None,
}


def _require_supported(given: Mapping[str, Any]) -> None:
    for name, value in REQUIRED.items():
        if given.get(name, value) not in (value, {}):
            msg = (
                f"The model was made with {name}={given[name]!r}, and only {value!r} can be loaded. "
                "Train it with the default, or embed with scvi-tools and pass the embedding as obsm:KEY."
            )
            raise CheckpointError(msg)


def _covariate(key: str, categories: Iterable[object]) -> Covariate:
    names = tuple(str(category) for category in categories)
    return Covariate(key, names, names[0])


def _covariate_of(state: Mapping[str, Any]) -> Covariate | None:
    """Read the entry of a single column; without one there is nothing to read."""
    return _covariate(state["original_key"], state["categorical_mapping"]) if state else None
