"""Encoders by name: those of this package and those that others add by an entry point."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from conceptome.core import Encoder, InputError
from conceptome.encoders.linear_fit import LinearOptions
from conceptome.encoders.precomputed import PrecomputedEncoder
from conceptome.encoders.scvi_fit import ScviOptions

if TYPE_CHECKING:
    from anndata import AnnData

GROUP = "conceptome.encoders"
PLANNED = ("geneformer", "scgpt")

Options: TypeAlias = LinearOptions | ScviOptions


def fit(
    name: str,
    adata: AnnData,
    *,
    batch_key: str | None = None,
    seed: int = 0,
    device: str = "cpu",
    options: Options | None = None,
) -> Encoder:
    """Fit an encoder to data.

    Parameters
    ----------
    name
        ``"linear"``, ``"scvi"``, or an encoder of another package that can be fitted.
    adata
        Cells with raw counts.
    batch_key
        Column of ``obs`` that names the batch of a cell, for encoders that know batches.
    seed
        Seed of all that is random in the fit; the same seed gives the same `encoder_id`.
    device
        ``"cpu"`` or ``"cuda"``.
    options
        ``LinearOptions`` or ``ScviOptions``; None takes the defaults.

    Returns
    -------
    The fitted encoder.

    Raises
    ------
    InputError
        If there is no such encoder, it cannot be fitted, or the options are another encoder's.
    """
    kind = _find(name)
    if not hasattr(kind, "fit"):
        msg = f"The encoder {name!r} cannot be fitted. Load one: {name}:PATH."
        raise InputError(msg)
    expected = getattr(kind, "options_type", object)
    if options is not None and not isinstance(options, expected):
        msg = f"The encoder {name!r} takes {expected.__name__}, found {type(options).__name__}."
        raise InputError(msg)
    encoder: Encoder = kind.fit(adata, batch_key=batch_key, seed=seed, device=device, options=options)
    return encoder


def load(name: str, path: Path | str) -> Encoder:
    """Load an encoder.

    Parameters
    ----------
    name
        ``"linear"``, ``"scvi"``, ``"obsm"`` or an encoder of another package.
    path
        Folder that ``save`` wrote; for ``"scvi"`` also one that scvi-tools wrote.

    Returns
    -------
    The encoder.

    Raises
    ------
    InputError
        If there is no such encoder.
    CheckpointError
        If the files are missing, damaged or unsafe.
    """
    encoder: Encoder = _find(name).load(path)
    return encoder


def from_spec(
    spec: str,
    adata: AnnData,
    *,
    batch_key: str | None = None,
    seed: int = 0,
    device: str = "cpu",
    options: Options | None = None,
) -> Encoder:
    """Fit or load the encoder that a command line names.

    Parameters
    ----------
    spec
        ``NAME`` fits an encoder to `adata`, ``NAME:PATH`` loads one: ``scvi``, ``linear``, ``scvi:DIR``,
        ``linear:DIR``. ``obsm:KEY`` takes the embedding that the data hold under that key.
    adata
        Cells to fit to.
    batch_key, seed, device, options
        As in `fit`; they do not apply to an encoder that is loaded.

    Returns
    -------
    The encoder.

    Raises
    ------
    InputError
        If there is no such encoder, or it cannot be fitted and no path is given.
    CheckpointError
        If the files are missing, damaged or unsafe.
    """
    name, colon, path = spec.partition(":")
    if not colon:
        return fit(name, adata, batch_key=batch_key, seed=seed, device=device, options=options)
    if not path:
        msg = f"The encoder {spec!r} ends after the colon. Write {name}:PATH to load it, or {name} to fit it."
        raise InputError(msg)
    return PrecomputedEncoder(path) if name == "obsm" else load(name, path)


def _find(name: str) -> Any:  # noqa: ANN401  (a class known only at run time)
    found: dict[str, EntryPoint] = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        listed = ", ".join(sorted(found))
        if name in PLANNED:
            msg = f"The encoder {name!r} is planned and not part of this version yet. Available: {listed}."
        else:
            msg = f"There is no encoder {name!r}. Available: {listed}. NAME fits it, NAME:PATH loads it."
        raise InputError(msg)
    return found[name].load()
