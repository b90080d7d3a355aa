"""Whether the parts of an atlas fit each other: its tables, its indexes, its arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from conceptome.atlas.manifest import damaged
from conceptome.atlas.schema import CREATE_SEARCH, DATABASE, SEARCH, TABLES, create_indexes, create_table
from conceptome.core import BundleError

if TYPE_CHECKING:
    from conceptome.atlas.reader import Atlas

LARGE_TABLES = (
    *("cells", "drivers", "findings", "curves", "themes", "pairs", "changes", "related", "groups"),
    "associations",
)
"""Tables that are only ever read in parts."""


def expected_schema(manifest: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Name every table and index that an atlas of this manifest must have, each with its SQL."""
    expected = {(SEARCH, CREATE_SEARCH)}
    for table in TABLES:
        columns = manifest["tables"].get(table.name, {}).get("columns", {})
        wanted = table.columns | columns if table.open else table.columns
        expected.add((table.name, create_table(table, wanted)))
        expected |= set(create_indexes(table, manifest["schema_version"]).items())
    return expected


def require_rows(atlas: Atlas) -> None:
    """Refuse other numbers of rows than were written, in the tables that are read as a whole."""
    described = atlas.manifest["tables"]
    expected = {"concepts": atlas.n_concepts, "genes": atlas.n_genes}
    for table in TABLES:
        if table.name in LARGE_TABLES:
            continue
        wanted = expected.get(table.name, described.get(table.name, {}).get("rows"))
        found = atlas.rows(f'SELECT count(*) FROM "{table.name}"')[0][0]
        if found != wanted:
            raise BundleError(damaged(atlas.path, f"{DATABASE} has {found:,} {table.name}, not {wanted}"))


def require_indexes(atlas: Atlas) -> None:
    """Refuse indexes that lead out of their packs, and arrays of other cells: later reads depend on them."""
    for pack, n_blobs in (("activations", atlas.n_concepts), ("thumbs", None), ("expression", None)):
        name = f"{pack}_index.u64"
        if name not in atlas.manifest["arrays"]:
            continue
        index = atlas.array(name).astype(np.int64)
        grows = len(index) and index[0] == 0 and (np.diff(index) >= 0).all()
        if not grows or index[-1] != atlas.size(f"{pack}.bin") or n_blobs not in (None, len(index) - 1):
            raise BundleError(damaged(atlas.path, f"{name} does not fit {pack}.bin"))
    shapes = {name: entry["shape"] for name, entry in atlas.manifest["arrays"].items()}
    expected = {"coords.u16": [atlas.n_cells, 2], "csr_indptr.u64": [atlas.n_cells + 1]}
    columns = {name: [atlas.n_cells] for name in shapes if name.startswith("obs/")}
    wrong = [name for name, shape in (expected | columns).items() if shapes.get(name) != shape]
    if wrong:
        raise BundleError(damaged(atlas.path, f"{wrong[0]} is not for {atlas.n_cells:,} cells"))
