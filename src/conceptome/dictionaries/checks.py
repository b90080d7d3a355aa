"""What every dictionary asks of the embedding it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from conceptome.core import DictionaryMismatchError, Embeddings, InputError


def embedding_values(
    embeddings: Embeddings | Shaped[np.ndarray, "cells d_embed"],
) -> Float[np.ndarray, "cells d_embed"]:
    """Return the values of an embedding as finite float32 or float64.

    Parameters
    ----------
    embeddings
        A record or a bare array, ``(n_cells, d_embed)``; other number types become float64.

    Returns
    -------
    The values, ``(n_cells, d_embed)``; not copied where the type already fits.

    Raises
    ------
    InputError
        If the array is not 2-d or holds NaN or infinite values; the message counts the cells.
    """
    values = embeddings.values if isinstance(embeddings, Embeddings) else np.asarray(embeddings)
    if values.ndim != 2:
        msg = f"An embedding is 2-d (cells x d_embed), found {values.ndim} dimensions."
        raise InputError(msg)
    values = values.astype(floating_type(values.dtype), copy=False)
    require_finite(int((~np.isfinite(values).all(axis=1)).sum()), len(values))
    return values


def require_finite(n_broken: int, n_cells: int) -> None:
    """Refuse an embedding with NaN or infinite values.

    Parameters
    ----------
    n_broken
        Cells that have some.
    n_cells
        All cells.

    Raises
    ------
    InputError
        If there are any.
    """
    if n_broken:
        msg = (
            f"The embedding has NaN or infinite values in {n_broken} of {n_cells} cells, expected finite "
            "numbers. Remove these cells or embed them again."
        )
        raise InputError(msg)


def source_id(embeddings: Embeddings | Shaped[np.ndarray, "cells d_embed"]) -> str:
    """Return the id of the encoder that made an embedding; empty for a bare array."""
    return embeddings.encoder_id if isinstance(embeddings, Embeddings) else ""


def require_components(n_components: int, d_embed: int) -> None:
    """Refuse a number of components that the embedding cannot have.

    Parameters
    ----------
    n_components
        Components asked for.
    d_embed
        Coordinates of the embedding.

    Raises
    ------
    InputError
        If it is not between 1 and `d_embed`.
    """
    if not 1 <= n_components <= d_embed:
        msg = f"n_components is {n_components}, expected 1 to d_embed = {d_embed}."
        raise InputError(msg)


def floating_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Choose the type to compute in.

    Parameters
    ----------
    dtype
        Type of the numbers that were given.

    Returns
    -------
    The same for float32 and float64; float64 for half precision, integers and booleans.
    """
    return dtype if dtype in (np.dtype(np.float32), np.dtype(np.float64)) else np.dtype(np.float64)


def require_width(found: int, expected: int, dictionary_id: str, *, name: str = "") -> None:
    """Refuse an embedding whose number of columns is not the dictionary's.

    Parameters
    ----------
    found
        Columns of the embedding.
    expected
        ``d_embed`` of the dictionary.
    dictionary_id
        Named in the message.
    name
        Short name of the encoder, if known; the message then names its ``obsm`` entry.

    Raises
    ------
    DictionaryMismatchError
        If the two numbers differ.
    """
    if found == expected:
        return
    what = f"obsm['X_{name}']" if name else "The embedding"
    msg = (
        f"{what} has {found} columns, dictionary {dictionary_id} expects {expected}. "
        "Re-run cm.tl.embed with the encoder it was trained on."
    )
    raise DictionaryMismatchError(msg)


def require_source(embeddings: Embeddings, *, dictionary_id: str, encoder_id: str) -> None:
    """Refuse embeddings of another encoder than the one the dictionary was trained on.

    Parameters
    ----------
    embeddings
        The record; a record without an encoder id is accepted.
    dictionary_id, encoder_id
        Of the dictionary; an empty encoder id accepts every record.

    Raises
    ------
    DictionaryMismatchError
        If both encoders are known and differ.
    """
    if embeddings.encoder_id and encoder_id and embeddings.encoder_id != encoder_id:
        msg = (
            f"The embeddings come from encoder {embeddings.encoder_id}, dictionary {dictionary_id} was "
            f"trained on encoder {encoder_id}. Embed with that encoder, or train a dictionary on this one."
        )
        raise DictionaryMismatchError(msg)
