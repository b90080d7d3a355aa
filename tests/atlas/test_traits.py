"""What lists of concepts are sorted by."""

import numpy as np
import pandas as pd
import pytest

from conceptome.atlas.groups import Column
from conceptome.atlas.tables import concept_traits

CODES = np.zeros(3, dtype=np.uint16)
COLUMNS = [
    Column("depth", "depth", "depth", np.ones(3, dtype=np.float32), None),
    Column("run", "run", "batch", CODES, ("a",)),
    Column("donor", "donor", "donor", CODES, ("a",)),
    Column("kind", "kind", "label", CODES, ("a",)),
]
DRIVERS = pd.DataFrame(
    {
        "concept": [0, 0, 0, 0, 1],
        "drives": [1, 1, 1, 0, 0],
        "log_fold_change": [1.0, -2.0, 3.0, 4.0, 1.0],
        "q_de": [0.01, 0.01, 0.2, 0.01, 0.01],
    }
)
ASSOCIATIONS = pd.DataFrame(
    [
        *((0, "depth", "spearman", -0.5), (0, "run", "eta_squared", 0.09), (0, "run", "evenness", 0.9)),
        *((0, "donor", "evenness", 0.7), (0, "donor", "eta_squared", 0.6), (0, "kind", "eta_squared", 0.99)),
        *((1, "depth", "spearman", 0.1), (1, "run", "eta_squared", 0.16)),
    ],
    columns=["concept", "key", "measure", "value"],
)


def test_traits_come_from_drivers_depth_batch_and_donors():
    table = concept_traits(pd.DataFrame({"concept": [0, 1, 2]}), DRIVERS, ASSOCIATIONS, COLUMNS)
    assert table["drivers_expressed"][0] == pytest.approx(1 / 3)
    assert table["drivers_expressed"].isna().tolist() == [False, True, True]
    assert table["technical"][:2].tolist() == pytest.approx([0.5, 0.4])
    assert table["donor_evenness"][0] == 0.7
    assert table["donor_evenness"].isna().tolist() == [False, True, True]


def test_what_was_not_measured_has_no_column():
    table = concept_traits(pd.DataFrame({"concept": [0]}), DRIVERS[:0], pd.DataFrame(), [])
    assert list(table) == ["concept"]
