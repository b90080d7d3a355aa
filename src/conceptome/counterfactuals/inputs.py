"""What the caller of `match` hands in, checked and brought into one form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

from conceptome.core import (
    Activations,
    Dictionary,
    DictionaryMismatchError,
    Embeddings,
    InputError,
    Names,
    require_at_least,
)
from conceptome.counterfactuals.search import CellPool
from conceptome.dictionaries.checks import embedding_values, require_source

MISSING = -1


def check_counts(**counts: int) -> None:
    """Refuse counts below one, and more obligatory pairs than there will be.

    Parameters
    ----------
    counts
        The options of `match` that count something, by name.

    Raises
    ------
    InputError
        If one of them is below 1, or ``min_pairs`` exceeds ``n_pairs``.
    """
    for name, value in counts.items():
        require_at_least(name, value, 1)
    if counts["min_pairs"] > counts["n_pairs"]:
        found = f"min_pairs={counts['min_pairs']} with n_pairs={counts['n_pairs']}"
        msg = f"{found}: no concept could have enough pairs. Lower min_pairs or raise n_pairs."
        raise InputError(msg)


def check_columns(**columns: Sequence[str]) -> None:
    """Refuse one bare name where a list of column names is meant.

    Parameters
    ----------
    columns
        The options of `match` that list columns, by name.

    Raises
    ------
    InputError
        If one of them is a text.
    """
    for name, value in columns.items():
        if isinstance(value, str):
            msg = f"{name} is a text, expected a list of column names: [{value!r}]."
            raise InputError(msg)


def chosen_concepts(activations: Activations, concepts: Sequence[int] | None) -> list[int]:
    """Return the concepts asked for, sorted and each once; all when none are named.

    Parameters
    ----------
    activations
        Activations of all concepts.
    concepts
        The concepts asked for.

    Returns
    -------
    Sorted concepts.

    Raises
    ------
    DictionaryMismatchError
        If the dictionary has no such concept.
    """
    chosen = range(activations.n_concepts) if concepts is None else sorted({int(k) for k in concepts})
    absent = [concept for concept in chosen if not 0 <= concept < activations.n_concepts]
    if absent:
        found = f"concepts {absent} are not in dictionary {activations.dictionary_id}"
        msg = f"{found}, which has concepts 0 to {activations.n_concepts - 1}."
        raise DictionaryMismatchError(msg)
    return list(chosen)


def obs_codes(
    obs: pd.DataFrame | None, activations: Activations, names: Sequence[str]
) -> dict[str, Int[np.ndarray, " cells"]]:
    """Turn columns of `obs` into integer codes; -1 where a value is missing.

    Parameters
    ----------
    obs
        Annotation of the cells.
    activations
        Activations, for the identity of the cells.
    names
        Columns to encode.

    Returns
    -------
    Codes by column name.

    Raises
    ------
    InputError
        If `obs` is missing, describes other cells or lacks a column.
    """
    if not names:
        return {}
    if obs is None:
        msg = f"match_on and describe name {sorted(set(names))}, but obs was not given. Pass obs=adata.obs."
        raise InputError(msg)
    return label_codes(obs, activations.cell_ids, names, of="the activations")


def label_codes(
    obs: pd.DataFrame, cell_ids: Names, names: Sequence[str], *, of: str
) -> dict[str, Int[np.ndarray, " cells"]]:
    """Turn columns of an annotation of the right cells into integer codes; -1 where a value is missing.

    Parameters
    ----------
    obs
        Annotation of the cells.
    cell_ids
        The right cells.
    names
        Columns to encode.
    of
        Whose cells they are, for the message.

    Returns
    -------
    Codes by column name.

    Raises
    ------
    InputError
        If `obs` describes other cells or lacks a column.
    """
    _check_cells("obs", obs.index, cell_ids, of=of)
    for name in names:
        if name not in obs.columns:
            msg = f"obs has no column {name!r}; it has {', '.join(map(str, obs.columns))}."
            raise InputError(msg)
    return {name: np.asarray(pd.factorize(obs[name])[0], dtype=np.int64) for name in dict.fromkeys(names)}


def cell_pool(
    activations: Activations,
    values: Float[np.ndarray, "cells d_embed"],
    *,
    barred: Bool[np.ndarray, "cells concepts"],
    match_codes: Mapping[str, Int[np.ndarray, " cells"]],
    library_size: Shaped[np.ndarray, " cells"] | pd.Series | None,
    caliper: float | None,
) -> CellPool:
    """Collect what the search needs to know about the cells.

    Parameters
    ----------
    activations
        Activations of all cells.
    values
        Embeddings of the same cells.
    barred
        Which cells may not serve which concept.
    match_codes
        Codes of the columns on which a pair must agree.
    library_size
        Total count of each cell.
    caliper
        Largest allowed |difference of log library size|.

    Returns
    -------
    The cells as the search sees them.

    Raises
    ------
    InputError
        If the parts do not fit together.
    """
    if isinstance(library_size, pd.Series):
        _check_cells("library_size", library_size.index, activations.cell_ids)
    return CellPool(
        values=values,
        barred=barred,
        stratum=_stratum(match_codes, len(activations.cell_ids)),
        log_library=_log_library(library_size, len(activations.cell_ids), caliper=caliper),
        caliper=caliper,
    )


def _check_cells(what: str, index: pd.Index, cell_ids: Names, *, of: str = "the activations") -> None:
    if not index.equals(cell_ids):
        found = f"{what} describes {len(index)} cells, {of} {len(cell_ids)}"
        msg = f"{found}, and the ids or their order differ. Pass the cells that were encoded, in their order."
        raise InputError(msg)


def embedded_values(
    activations: Activations,
    embeddings: Embeddings | Shaped[np.ndarray, "cells d_embed"],
    dictionary: Dictionary | None,
) -> Float[np.ndarray, "cells d_embed"]:
    """Return the bare embeddings, after a look at whether they are finite and belong to the activations.

    Parameters
    ----------
    activations
        Activations of all cells.
    embeddings
        A record or a bare array.
    dictionary
        The dictionary, if its encoder is to be compared with that of the record.

    Returns
    -------
    The embeddings, in the encoder's units.

    Raises
    ------
    InputError
        If they are of other cells, or not finite.
    DictionaryMismatchError
        If they come from another encoder than the dictionary's.
    """
    if isinstance(embeddings, Embeddings):
        _check_cells("embeddings", embeddings.cell_ids, activations.cell_ids)
        if dictionary is not None:
            require_source(
                embeddings, dictionary_id=dictionary.dictionary_id, encoder_id=dictionary.encoder_id
            )
    elif len(embeddings) != len(activations.cell_ids):
        found = f"embeddings has {len(embeddings)} rows, the activations {len(activations.cell_ids)} cells"
        msg = f"{found}. Pass the embeddings that were encoded."
        raise InputError(msg)
    return embedding_values(embeddings)


def _stratum(match_codes: Mapping[str, Int[np.ndarray, " cells"]], n_cells: int) -> Int[np.ndarray, " cells"]:
    for name, codes in match_codes.items():
        n_missing = int((codes == MISSING).sum())
        if n_missing:
            msg = f"match_on: obs[{name!r}] is missing for {n_missing} cells. Fill it in or drop these cells."
            raise InputError(msg)
    if not match_codes:
        return np.zeros(n_cells, dtype=np.int64)
    rows = np.column_stack(list(match_codes.values()))
    return np.asarray(np.unique(rows, axis=0, return_inverse=True)[1], dtype=np.int64).ravel()


def _log_library(
    library_size: Shaped[np.ndarray, " cells"] | pd.Series | None, n_cells: int, *, caliper: float | None
) -> Float[np.ndarray, " cells"]:
    if library_size is None:
        if caliper is not None:
            msg = "caliper limits the library sizes of a pair, but library_size was not given. Pass both."
            raise InputError(msg)
        return np.full(n_cells, np.nan)
    if caliper is not None and not caliper > 0:
        msg = f"caliper is {caliper}, expected a positive difference of log library size, such as 0.5."
        raise InputError(msg)
    total = np.asarray(library_size, dtype=np.float64)
    if total.shape != (n_cells,) or not (total > 0).all():
        found = f"{len(total)} values, {int((~(total > 0)).sum())} of them not above 0"
        msg = f"library_size has {found}; expected the total count of each of {n_cells} cells, above 0."
        raise InputError(msg)
    return np.log(total)
