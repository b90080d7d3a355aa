"""The two cells of each pair, side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from conceptome.attribution.response import Cells, Reader
from conceptome.core import Pairs


@dataclass(frozen=True, eq=False)
class PairCells:
    """What the encoder reads of factuals and counterfactuals, in a few pairs of one concept."""

    cells: Cells
    ends: Int[np.ndarray, "2 pairs"]
    """Positions in `cells`: of the factuals, of the counterfactuals."""
    values: Float[np.ndarray, "2 pairs genes"]
    differs: Bool[np.ndarray, "pairs genes"]
    """Whether the encoder knows the gene and its values differ."""

    @classmethod
    def of(cls, reader: Reader, pairs: Pairs) -> PairCells:
        """Read the cells of some pairs."""
        rows, positions = np.unique([pairs.factual, pairs.counterfactual], return_inverse=True)
        cells = reader.read(rows)
        ends = positions.reshape(2, len(pairs))
        values = cells.expression[ends.ravel()].toarray().reshape(2, len(pairs), -1)
        differs = (values[0] != values[1]) & reader.known
        return cls(cells, ends, values, differs)
