"""Encoders by name: those of this package and those that others add by an entry point."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from conceptome.core import Encoder, InputError
from conceptome.data.wording import did_you_mean
from conceptome.encoders.option_text import read_options
from conceptome.encoders.precomputed import PrecomputedEncoder

if TYPE_CHECKING:
    from anndata import AnnData

GROUP = "conceptome.encoders"

Options: TypeAlias = Any
"""The encoder's own class of options, such as `ScviOptions`."""


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
        The encoder's own, such as ``LinearOptions`` or ``ScviOptions``; None takes the defaults.

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
    if options is not None:
        _require_type(name, kind, options)
    return kind.fit(  # type: ignore[no-any-return]
        adata, batch_key=batch_key, seed=seed, device=device, options=options
    )


def load(name: str, path: Path | str, *, options: Options | None = None) -> Encoder:
    """Load an encoder.

    Parameters
    ----------
    name
        ``"scgpt"``, ``"geneformer"``, ``"scvi"``, ``"linear"``, ``"obsm"`` or an encoder of another package.
    path
        Folder that ``save`` wrote, or a published model of scGPT, Geneformer or scvi-tools.
    options
        How a published model reads cells, such as ``ScgptOptions``; None takes what was saved or published.

    Returns
    -------
    The encoder.

    Raises
    ------
    InputError
        If there is no such encoder, or it does not take these options.
    CheckpointError
        If the files are missing, damaged or unsafe.
    """
    kind = _find(name)
    if options is None:
        return kind.load(path)  # type: ignore[no-any-return]
    if "options" not in signature(kind.load).parameters:
        msg = f"The encoder {name!r} takes options when it is fitted, none when it is loaded. Leave them out."
        raise InputError(msg)
    _require_type(name, kind, options)
    return kind.load(path, options=options)  # type: ignore[no-any-return]


def parse_options(name: str, texts: Sequence[str]) -> Options | None:
    """Read options as a command line gives them.

    Parameters
    ----------
    name
        Encoder.
    texts
        ``FIELD=VALUE``, such as ``layer=6``.

    Returns
    -------
    The encoder's options; None if there is no text.

    Raises
    ------
    InputError
        If there is no such encoder or option, or a value is of the wrong kind.
    """
    if not texts:
        return None
    kind = getattr(_find(name), "options_type", None)
    if kind is None:
        msg = f"The encoder {name!r} has no options, found {', '.join(texts)}. Leave them out."
        raise InputError(msg)
    return read_options(kind, texts)


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
        ``NAME`` fits an encoder to `adata`, ``NAME:PATH`` loads one: ``scvi``, ``linear``, ``scgpt:DIR``,
        ``geneformer:DIR``, ``scvi:DIR``. ``obsm:KEY`` takes the embedding that the data hold under that key.
    adata
        Cells to fit to, or that hold the embedding.
    batch_key, seed, device
        As in `fit`; they do not apply to an encoder that is loaded.
    options
        As in `fit` or `load`.

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
        or_fit = f", or {name} to fit it" if hasattr(_find(name), "fit") else ""
        msg = f"The encoder {spec!r} ends after the colon. Write {name}:PATH to load it{or_fit}."
        raise InputError(msg)
    if name == "obsm" and not options:
        encoder = PrecomputedEncoder(path)
        encoder.embed(adata)  # fixes its identity, whichever of these cells are embedded later
        return encoder
    return load(name, path, options=options)


def _find(name: str) -> Any:  # noqa: ANN401  (a class known only at run time)
    found: dict[str, EntryPoint] = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        near, listed = did_you_mean(name, list(found)), ", ".join(sorted(found))
        msg = f"There is no encoder {name!r}.{near} Available: {listed}. NAME fits it, NAME:PATH loads it."
        raise InputError(msg)
    return found[name].load()


def _require_type(name: str, kind: Any, options: Options) -> None:  # noqa: ANN401
    expected = getattr(kind, "options_type", object)
    if not isinstance(options, expected):
        msg = f"The encoder {name!r} takes {expected.__name__}, found {type(options).__name__}."
        raise InputError(msg)
