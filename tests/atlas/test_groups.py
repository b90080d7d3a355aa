import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import spearmanr

from conceptome.atlas.columns import code_columns
from conceptome.atlas.groups import association_table, group_table


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((200, 4)) < 0.3, rng.exponential(size=(200, 4)), 0)
    dense[:, 3] = 0
    dense[:100, 0] += 1
    return dense


def column(series, role="label"):
    (found,) = code_columns(pd.DataFrame({"x": series}), {"x": role})
    return found


def test_groups_count_active_cells_and_average_over_all(values):
    labels = np.where(np.arange(200) < 100, "b", "a").astype(object)
    labels[0] = None
    table = group_table(sp.csr_array(values), column(labels)).set_index(["concept", "code"])
    of_b = values[1:100]
    assert table.loc[(1, 1), "n_active"] == (of_b[:, 1] > 0).sum()
    assert table.loc[(1, 1), "mean"] == pytest.approx(of_b[:, 1].mean())
    assert 3 not in table.index.get_level_values("concept")


def test_rank_correlation_is_that_of_scipy(values):
    depth = np.random.default_rng(1).poisson(5, 200).astype(float)
    depth[:20] = np.nan
    table = association_table(sp.csr_array(values), column(depth, "depth")).set_index("concept")["value"]
    for concept in range(3):
        expected = spearmanr(values[20:, concept], depth[20:].astype(np.float32)).statistic
        assert table[concept] == pytest.approx(expected, abs=1e-12)
    assert 3 not in table  # never active: undefined, not 0


def test_share_of_variance_between_categories(values):
    labels = pd.Series(np.where(np.arange(200) < 100, "b", "a"))
    table = association_table(sp.csr_array(values), column(labels)).set_index(["measure", "concept"])["value"]
    first = values[:, 0]
    means = pd.Series(first).groupby(labels).transform("mean")
    assert table["eta_squared", 0] == pytest.approx(means.var(ddof=0) / first.var(), abs=1e-12)
    rate = np.array([(first[:100] > 0).mean(), (first[100:] > 0).mean()])
    share = rate / rate.sum()
    assert table["evenness", 0] == pytest.approx(-(share * np.log2(share)).sum(), abs=1e-12)


def test_a_single_category_measures_nothing(values):
    assert association_table(sp.csr_array(values), column(["one"] * 200)).empty


def test_columns_become_codes_or_numbers():
    obs = pd.DataFrame(
        {
            "Cell type!": pd.Categorical(["T", "B", None], categories=["T", "B", "unused"]),
            "cell-type": [True, False, True],
            "n": [1.5, np.inf, 3.0],
            "batch": [10, 2, 10],
        }
    )
    found = {item.key: item for item in code_columns(obs, {"batch": "batch"})}
    assert list(found) == ["batch", "cell_type", "cell_type_2", "n"]
    assert found["cell_type"].categories == ("T", "B")
    assert found["cell_type"].values.tolist() == [0, 1, 65535]
    assert found["cell_type_2"].categories == ("False", "True")
    assert found["batch"].categories == ("10", "2")
    assert np.isnan(found["n"].values).tolist() == [False, True, False]


def test_a_column_of_barcodes_is_left_out(caplog):
    caplog.set_level("INFO", logger="conceptome")
    assert code_columns(pd.DataFrame({"barcode": [f"c{i}" for i in range(1001)]}), {}) == []
    assert "The column barcode of obs has 1,001 categories and is left out." in caplog.text
