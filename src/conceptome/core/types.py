"""Two names for types whose parameters exist only for the type checker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd
import scipy.sparse as sp

if TYPE_CHECKING:
    Names: TypeAlias = "pd.Index[str]"
    Csr: TypeAlias = "sp.csr_array[Any, tuple[int, int]]"
else:
    Names = pd.Index
    Csr = sp.csr_array
