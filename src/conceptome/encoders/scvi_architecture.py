"""What must be known of an scVI model beside its weights: sizes, switches, genes, covariates."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from conceptome.core import CheckpointError, InputError
from conceptome.data.wording import some

logger = logging.getLogger(__name__)

Where = Literal["encoder", "decoder", "none", "both"]


@dataclass(frozen=True)
class Covariate:
    """A column of ``obs`` with categories, as the model was trained on them."""

    key: str
    categories: tuple[str, ...]
    reference: str
    """Stands for categories that the model has never seen."""

    def one_hot(self, obs: pd.DataFrame) -> Float[np.ndarray, "cells categories"]:
        """Code the category of each cell.

        Parameters
        ----------
        obs
            Annotation of the cells; without the column every cell gets the reference.

        Returns
        -------
        One row per cell with a single 1.
        """
        code = pd.Index(self.categories).get_indexer(pd.Index(self._found(obs)))
        code[code < 0] = self.categories.index(self.reference)
        return np.eye(len(self.categories))[code]

    def warn_of_unseen(self, obs: pd.DataFrame) -> None:
        """Log for which cells the reference stands.

        Parameters
        ----------
        obs
            Annotation of the cells.
        """
        found = self._found(obs)
        unseen = found[~found.isin(self.categories)].unique()
        if self.key not in obs:
            what = f"The data have no obs[{self.key!r}], which the encoder reads: all cells are encoded"
        elif len(unseen):
            what = f"The encoder has never seen obs[{self.key!r}] = {some(unseen)}: those cells are encoded"
        else:
            return
        logger.warning("%s as %r, one of the known %s.", what, self.reference, some(self.categories))

    def _found(self, obs: pd.DataFrame) -> pd.Series[str]:
        if self.key not in obs:
            return pd.Series(self.reference, index=obs.index)
        return obs[self.key].astype(str)


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
    use_size_factor_key: bool = False
    covariates: tuple[Covariate, ...] = ()
    """Batch first, then the categorical covariates; those with a single category are left out."""
    continuous: tuple[str, ...] = ()
    """Columns of ``obs`` with continuous covariates."""

    @property
    def n_codes(self) -> int:
        """Inputs of the encoder beside the genes."""
        if not self.encode_covariates:
            return 0
        return len(self.continuous) + sum(len(covariate.categories) for covariate in self.covariates)

    def codes(self, obs: pd.DataFrame) -> Float[np.ndarray, "cells codes"]:
        """Return what the encoder reads of each cell beside its genes: continuous covariates, then one-hots.

        Parameters
        ----------
        obs
            Annotation of the cells.

        Returns
        -------
        One row per cell; no columns if the encoder reads genes only.

        Raises
        ------
        InputError
            If a continuous covariate is missing, no number or NaN.
        """
        if not self.encode_covariates:
            return np.zeros((len(obs), 0))
        numbers = [_numbers(obs, key)[:, None] for key in self.continuous]
        one_hots = [covariate.one_hot(obs) for covariate in self.covariates]
        return np.hstack([np.zeros((len(obs), 0)), *numbers, *one_hots])

    def warn_of_unseen(self, obs: pd.DataFrame) -> None:
        """Log which categories the encoder has never seen and what stands for them.

        Parameters
        ----------
        obs
            Annotation of the cells.
        """
        if self.encode_covariates:
            for covariate in self.covariates:
                covariate.warn_of_unseen(obs)

    def with_reference(self, reference: Mapping[str, str]) -> ScviArchitecture:
        """Choose which category stands for those that the model has never seen.

        Parameters
        ----------
        reference
            Category for each key of ``obs``.

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
            if key not in known or category not in known[key].categories:
                offered = "; ".join(f"{c.key}: {some(c.categories)}" for c in self.covariates) or "none"
                msg = f"The encoder has no category {category!r} of {key!r}. It knows {offered}."
                raise InputError(msg)
        chosen = [replace(c, reference=reference.get(c.key, c.reference)) for c in self.covariates]
        return replace(self, covariates=tuple(chosen))

    def to_config(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ScviArchitecture:
        """Read settings that `to_config` wrote."""
        covariates = [
            Covariate(entry["key"], tuple(entry["categories"]), entry["reference"])
            for entry in config["covariates"]
        ]
        lists = {"genes": tuple(config["genes"]), "continuous": tuple(config["continuous"])}
        return cls(**{**config, **lists, "covariates": tuple(covariates)})

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
        given = {**init_params["non_kwargs"], **init_params["kwargs"].get("kwargs", {})}
        _require_supported(given)
        own = {field.name for field in fields(cls)}
        fields_of = {name: entry["state_registry"] for name, entry in registry["field_registries"].items()}
        batch = fields_of.get("batch", {})
        mappings = {batch.get("original_key"): batch.get("categorical_mapping", ())}
        mappings |= fields_of.get("extra_categorical_covs", {}).get("mappings", {})
        named = {key: tuple(str(value) for value in values) for key, values in mappings.items()}
        return cls(
            genes=tuple(str(gene) for gene in genes),
            covariates=tuple(Covariate(key, c, c[0]) for key, c in named.items() if len(c) > 1),
            continuous=tuple(fields_of.get("extra_continuous_covs", {}).get("columns", ())),
            use_size_factor_key=bool(fields_of.get("size_factor")),
            **{key: value for key, value in given.items() if key in own},
        )


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


def _numbers(obs: pd.DataFrame, key: str) -> Float[np.ndarray, " cells"]:
    if key not in obs:
        msg = f"The encoder reads obs[{key!r}] (a continuous covariate); the data have {some(obs.columns)}."
        raise InputError(msg)
    values = pd.to_numeric(obs[key], errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        n_bad = np.count_nonzero(~np.isfinite(values))
        msg = f"The encoder reads obs[{key!r}] as a number; {n_bad} cells have none there. Fill it in."
        raise InputError(msg)
    return values
