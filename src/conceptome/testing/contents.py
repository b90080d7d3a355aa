"""What an AnnData holds, and what of it has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

if TYPE_CHECKING:
    from anndata import AnnData


def contents(cells: AnnData) -> dict[str, Any]:
    """Copy everything that an AnnData holds, by name; of ``uns`` the keys."""
    parts: dict[str, Any] = {"X": cells.X, "obs": cells.obs, "var": cells.var}
    for axis in ("layers", "obsm", "varm", "obsp", "varp"):
        parts |= {f"{axis}[{key!r}]": value for key, value in getattr(cells, axis).items()}
    copies = {name: value.copy() for name, value in parts.items() if value is not None}
    return copies | {"uns": np.array(sorted(cells.uns))}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Name the parts that differ; an empty text if none does."""
    parts = dict.fromkeys([*before, *after])
    return ", ".join(part for part in parts if not _same(before.get(part), after.get(part)))


def _same(before: Any, after: Any) -> bool:  # noqa: ANN401  (arrays, sparse matrices and tables)
    if type(before) is not type(after) or before.shape != after.shape:
        return False
    if sp.issparse(before):
        return bool((before != after).nnz == 0)
    return bool(before.equals(after)) if isinstance(before, pd.DataFrame) else np.array_equal(before, after)
