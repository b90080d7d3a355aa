"""What perturbed cells and controls serve for."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from conceptome.core import InputError
from conceptome.evaluation.perturbed_cells import (
    cell_roles,
    expression_changes,
    guide_targets,
    responding_genes,
    response_matrix,
)


def test_no_cell_serves_twice_and_controls_are_divided_within_blocks():
    groups = np.array(["c"] * 80 + ["A"] * 20 + ["B"] * 10 + [None], dtype=object)
    blocks = np.array((["x", "y"] * 56)[:111], dtype=object)
    roles = cell_roles(groups, blocks, control="c", seed=0)
    counts = pd.crosstab(groups[:110].astype(str), roles[:110].astype(str))
    assert counts.loc["c"].to_dict() == {"respond": 20, "score": 40, "shift": 20}
    assert counts.loc["A"].to_dict() == {"respond": 10, "score": 0, "shift": 10}
    assert (blocks[roles == "score"] == "x").sum() == 20
    assert roles[110] is None
    with pytest.raises(InputError) as few:
        cell_roles(groups[60:], blocks[60:], control="c", seed=0)
    assert str(few.value).startswith("20 cells are controls ('c'), expected at least 40: half of them score")


def test_responses_are_those_of_cells_that_differ():
    rng = np.random.default_rng(0)
    counts = rng.poisson(5.0, size=(200, 12)).astype(np.float32)
    groups = np.array(["A"] * 100 + ["c"] * 100, dtype=object)
    counts[:100, 0] = rng.poisson(1.0, size=100)
    counts[:100, 1] += 8
    cells = AnnData(counts, var=pd.DataFrame(index=[f"g{i}" for i in range(12)]))
    changes = expression_changes(cells, groups, names=["A", "few"], control="c")
    assert changes["perturbation"].unique().tolist() == ["A"]
    found = responding_genes(changes, alpha=1e-6).set_index("gene")["change"]
    assert found[["g0", "g1"]].tolist() == [-1.0, 1.0]
    matrix = response_matrix(
        responding_genes(changes, alpha=1e-6), names=["few", "A"], genes=pd.Index(["g1", "absent", "g0"])
    )
    assert matrix.tolist() == [[0, 0, 0], [1, 0, -1]]


def test_targets_that_are_not_measured_are_named_and_never_zero():
    level = pd.Series({"A": 1.5})
    changes = pd.DataFrame({"perturbation": ["A+B"], "gene": ["A"], "log_fold_change": [-2.0]})
    table = guide_targets(["A+B"], None, level, changes)
    assert table["gene"].tolist() == ["A", "B"]
    assert table["measured"].tolist() == [True, False]
    assert table["own_change"].tolist()[0] == -2.0
    assert table.loc[1, ["level", "own_change"]].isna().all()
    assert guide_targets(["stim"], {}, level, changes).empty
    with pytest.raises(InputError) as unknown:
        guide_targets(["A+B"], {"A+C": ["A"]}, level, changes)
    assert str(unknown.value).startswith("targets names A+C, which no cell has; there are A+B.")
