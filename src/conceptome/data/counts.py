"""Find the raw counts of an AnnData, and make sure that they are counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import h5py
import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from anndata.abc import CSCDataset, CSRDataset
from jaxtyping import Float, Int, Shaped

from conceptome.core import Csr, InputError
from conceptome.data.wording import did_you_mean, some

BLOCK_ROWS = 8192
LARGEST_EXACT = 2**24
"""Above this, float32 no longer holds every integer."""

Matrix: TypeAlias = Any  # what AnnData accepts: numpy, scipy.sparse, h5py.Dataset, anndata's sparse datasets
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class CountTotals:
    """Sums of the raw counts and the place where these were found."""

    source: str
    per_cell: Float[np.ndarray, " cells"]
    per_gene: Float[np.ndarray, " genes"]


class _NotCounts(Exception):
    """Why a matrix does not hold raw counts."""


@dataclass(frozen=True, eq=False)
class _Source:
    """One place where counts may lie."""

    name: str
    matrix: Matrix
    columns: Int[np.ndarray, " genes"] | None = None
    """Columns that belong to ``adata.var_names``; None if they are the same genes."""
    objection: str = ""
    """Why the place cannot be used whatever it holds."""

    def blocks(self) -> Iterator[Csr]:
        """Yield the rows as canonical CSR float32 blocks; a file is read in pieces."""
        if self.objection:
            raise _NotCounts(self.objection)
        for piece in _pieces(self.matrix):
            yield _as_counts(piece if self.columns is None else piece[:, self.columns])


def raw_counts(adata: AnnData, *, layer: str | None = None) -> Csr:
    """Return the raw counts, wherever they are.

    Without `layer` the first of ``X``, ``layers["counts"]`` and ``raw`` that holds non-negative integers is
    taken; every stored value is checked. The caller's arrays are neither shared nor changed.

    Parameters
    ----------
    adata
        Cells; in memory or backed, CSR, CSC or dense.
    layer
        Take this layer and no other place.

    Returns
    -------
    Canonical CSR ``(n_cells, n_genes)`` in the order of ``var_names``, without stored zeros; float32, which
    is exact for counts up to 2**24 (larger ones are refused).

    Raises
    ------
    InputError
        If there are no raw counts; the message says what was found in each place.
    """
    _, blocks = _first(adata, layer, list)
    return blocks[0] if len(blocks) == 1 else sp.csr_array(sp.vstack(blocks, format="csr"))


def counts_source(adata: AnnData) -> str:
    """Tell where the raw counts are.

    Parameters
    ----------
    adata
        Cells; a backed file is read in pieces.

    Returns
    -------
    ``"X"``, ``"layers['counts']"`` or ``"raw"``.

    Raises
    ------
    InputError
        If there are no raw counts.
    """
    return count_totals(adata).source


def count_chunks(
    adata: AnnData, *, place: str, start: int = 0, n_rows: int = BLOCK_ROWS
) -> Iterator[tuple[slice, Csr]]:
    """Go through the raw counts a few cells at a time; a backed file is read as it goes.

    Parameters
    ----------
    adata
        Cells.
    place
        Where the counts are, as `counts_source` or `validate` says.
    start
        First cell.
    n_rows
        Cells at a time.

    Yields
    ------
    Rows, and their counts as canonical CSR float32, in the order of ``var_names``.

    Raises
    ------
    InputError
        If there is no such place, or it holds no counts there.
    """
    named = {source.name: source for source in _sources(adata, _layer_of(place))}
    if place not in named:
        msg = f"The AnnData has no counts at {place}; it has {some(named)}."
        raise InputError(msg)
    source = named[place]
    matrix = source.matrix
    if not isinstance(matrix, CSRDataset | h5py.Dataset):
        (matrix,) = _pieces(matrix)
        matrix = sp.csr_array(matrix)
    for first in range(start, adata.n_obs, n_rows):
        rows = slice(first, min(first + n_rows, adata.n_obs))
        piece = _sound(matrix[rows])
        try:
            yield rows, _as_counts(piece if source.columns is None else piece[:, source.columns])
        except _NotCounts as objection:
            msg = f"{place} {objection} in the cells {rows.start:,} to {rows.stop:,}."
            raise InputError(msg) from None


def _layer_of(place: str) -> str | None:
    """Return the layer that a place names, but for the one that is looked at anyway."""
    layer = place.removeprefix("layers['").removesuffix("']") if place.startswith("layers[") else None
    return None if layer == "counts" else layer


def library_size(adata: AnnData) -> Float[np.ndarray, " cells"]:
    """Sum the raw counts of each cell.

    Parameters
    ----------
    adata
        Cells with raw counts; a backed file is read in pieces.

    Returns
    -------
    Total count of each cell over the genes in ``var_names``, float64.

    Raises
    ------
    InputError
        If there are no raw counts.
    """
    return count_totals(adata).per_cell


def count_totals(adata: AnnData, *, layer: str | None = None) -> CountTotals:
    """Sum the raw counts over genes and over cells in one pass.

    Parameters
    ----------
    adata
        Cells with raw counts; a backed file is read in pieces.
    layer
        Take this layer and no other place.

    Returns
    -------
    Totals per cell and per gene, float64, and where the counts are.

    Raises
    ------
    InputError
        If there are no raw counts.
    """

    def add_up(blocks: Iterator[Csr]) -> tuple[list[Float[np.ndarray, " rows"]], Float[np.ndarray, " genes"]]:
        per_cell, per_gene = [], np.zeros(adata.n_vars)
        for block in blocks:
            per_cell.append(block @ np.ones(adata.n_vars))
            per_gene += np.bincount(block.indices, weights=block.data, minlength=adata.n_vars)
        return per_cell, per_gene

    source, (per_cell, per_gene) = _first(adata, layer, add_up)
    return CountTotals(source, np.concatenate(per_cell), per_gene)


def _first(adata: AnnData, layer: str | None, consume: Callable[[Iterator[Csr]], T]) -> tuple[str, T]:
    """Read the first place that holds counts, return its name and what `consume` makes of it."""
    objections = []
    for source in _sources(adata, layer):
        try:
            return source.name, consume(source.blocks())
        except _NotCounts as objection:
            objections.append(f"{source.name} {objection}")
    raise InputError(_refusal(adata, objections))


def _sources(adata: AnnData, layer: str | None) -> Iterator[_Source]:
    if layer is not None:
        if layer not in adata.layers:
            near = did_you_mean(layer, list(adata.layers))
            msg = f"The AnnData has no layer {layer!r}; layers found: {some(adata.layers)}.{near}"
            raise InputError(msg)
        yield _Source(f"layers[{layer!r}]", adata.layers[layer])
        return
    if (matrix := _x(adata)) is not None:
        yield _Source("X", matrix)
    if "counts" in adata.layers:
        yield _Source("layers['counts']", adata.layers["counts"])
    if adata.raw is not None:
        yield _raw_source(adata)


def _x(adata: AnnData) -> Matrix | None:
    try:
        return adata.X
    except KeyError:  # what anndata says of a backed file without X
        return None


def _raw_source(adata: AnnData) -> _Source:
    names = adata.raw.var_names
    if names.equals(adata.var_names):
        return _Source("raw", adata.raw.X)
    if not names.is_unique:
        repeated = some(names[names.duplicated()].unique())
        return _Source("raw", None, objection=f"repeats the gene names {repeated}")
    columns = names.get_indexer(adata.var_names)
    absent = adata.var_names[columns < 0]
    if len(absent):
        objection = f"lacks {len(absent):,} of the {adata.n_vars:,} genes in var_names ({some(absent)})"
        return _Source("raw", None, objection=objection)
    return _Source("raw", adata.raw.X, columns)


def _pieces(matrix: Matrix) -> Iterator[Matrix]:
    """Yield the rows a few at a time if they are in a file, else all at once."""
    try:
        if isinstance(matrix, CSRDataset | h5py.Dataset):
            for start in range(0, max(matrix.shape[0], 1), BLOCK_ROWS):
                yield _sound(matrix[start : start + BLOCK_ROWS])
        else:
            yield _sound(matrix.to_memory() if isinstance(matrix, CSCDataset) else matrix)
    except (OSError, KeyError, ValueError) as error:
        reason = f"is damaged ({error})"
        raise _NotCounts(reason) from error


def _sound(matrix: Matrix) -> Matrix:
    """Refuse sparse matrices whose indices point outside: scipy would read and write foreign memory."""
    if isinstance(matrix, sp.csr_matrix | sp.csr_array | sp.csc_matrix | sp.csc_array):
        matrix.check_format(full_check=True)
    return matrix


def _as_counts(matrix: Matrix) -> Csr:
    if matrix.dtype.kind not in "biuf":
        reason = f"holds values of type {matrix.dtype}"
        raise _NotCounts(reason)
    csr: Csr = sp.csr_array(matrix)
    _require_counts(csr.data)
    counts = csr.astype(np.float32, copy=True)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    return counts


def _require_counts(values: Shaped[np.ndarray, " stored"]) -> None:
    if not values.size or values.dtype.kind == "b":
        return
    low, high = values.min(), values.max()
    if not np.isfinite([low, high]).all():
        reason = f"holds {np.count_nonzero(~np.isfinite(values)):,} values that are NaN or infinite"
    elif low < 0:
        reason = f"holds negative values (min {low:.4g}): it looks scaled or centred"
    elif values.dtype.kind == "f" and (fractional := values != np.rint(values)).any():
        guess = "log-normalised" if high < 20 else "normalised or corrected"
        example = values[fractional.argmax()]
        reason = f"holds non-integer values such as {example:.4g} (max {high:.4g}): it looks {guess}"
    elif high > LARGEST_EXACT:
        reason = f"holds values up to {high:.4g}, more than a gene's count in one cell can be"
    else:
        return
    raise _NotCounts(reason)


def _refusal(adata: AnnData, objections: list[str]) -> str:
    found = "; ".join(objections) or "X is empty, and there is neither layers['counts'] nor raw"
    others = [name for name in adata.layers if name != "counts" and _holds_counts(adata.layers[name])]
    if others:
        advice = (
            f"layers[{others[0]!r}] holds non-negative integers; if these are the raw counts, set "
            f"adata.layers['counts'] = adata.layers[{others[0]!r}]."
        )
    else:
        advice = (
            "Conceptome needs the counts before normalisation: put them into adata.layers['counts'], "
            "or use the file from before sc.pp.normalize_total and sc.pp.log1p."
        )
    return f"No raw counts found: {found}. {advice}"


def _holds_counts(matrix: Matrix) -> bool:
    try:
        for piece in _pieces(matrix):
            _as_counts(piece)
    except _NotCounts:
        return False
    return True
