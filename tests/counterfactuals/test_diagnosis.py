import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from conceptome.core import InputError, Pairs
from conceptome.counterfactuals import diagnose
from conceptome.counterfactuals.diagnosis import _cramers_v

N_CELLS = 200
IDS = pd.Index([f"cell{i}" for i in range(N_CELLS)])


def make_pairs(*, percentile=5.0, ratio=1.0, n_dropped=0, concept=3, n_pairs=40, **fields):
    """Pair cell i with cell i + 100."""
    rows = np.arange(n_pairs)
    return Pairs(
        concept=np.full(n_pairs, concept),
        pair=rows,
        factual=rows,
        counterfactual=rows + N_CELLS // 2,
        activation=np.ones(n_pairs),
        distance=np.ones(n_pairs),
        distance_percentile=np.broadcast_to(percentile, n_pairs).astype(float),
        library_ratio=np.broadcast_to(ratio, n_pairs).astype(float),
        matched=np.full(n_pairs, "", dtype=object),
        cell_ids=IDS,
        dictionary_id="d1",
        n_dropped={concept: n_dropped} if n_dropped else {},
        **fields,
    )


def labels(one, other):
    """Annotate the factuals' half of the cells and the counterfactuals'."""
    return pd.DataFrame(
        {"donor": [*np.resize(one, N_CELLS // 2), *np.resize(other, N_CELLS // 2)]}, index=IDS
    )


def test_good_pairs_have_no_warning():
    row = diagnose(make_pairs(), obs=labels(["a", "b"], ["a", "b"])).loc[3]
    assert row["warning"] == ""
    assert (row["n_factuals"], row["n_pairs"], row["n_dropped"]) == (40, 40, 0)
    assert row["agree_donor"] == 1
    assert row["v_donor"] == 0
    assert row["library_factor"] == row["library_bias"] == 1


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        ({"percentile": 50.0}, "counterfactuals are as far as random cells"),
        (
            {"percentile": np.repeat([5, 80], [28, 12])},
            "30% of counterfactuals are farther than random cells",
        ),
        ({"percentile": np.repeat([5, 80], [31, 9])}, ""),
        ({"ratio": 1.3}, "library sizes of factuals are 1.3x larger: caliper=0.2"),
        ({"ratio": 0.5}, "library sizes of factuals are 2.0x smaller: caliper=0.2"),
        ({"ratio": np.tile([2.3, 1 / 2.3], 20)}, "library sizes differ 2.3x: caliper=0.2"),
        ({"ratio": np.nan}, ""),
        ({"n_dropped": 14}, "14 of 54 factuals found no counterfactual"),
        ({"n_dropped": 13}, ""),
        (
            {"percentile": 60.0, "ratio": 2.0},
            "counterfactuals are as far as random cells; "
            "library sizes of factuals are 2.0x larger: caliper=0.2",
        ),
    ],
)
def test_warnings(fields, warning):
    assert diagnose(make_pairs(**fields)).loc[3, "warning"] == warning


def test_another_donor():
    row = diagnose(make_pairs(), obs=labels(["a"], ["b"] * 9 + ["a"])).loc[3]
    assert row["agree_donor"] == pytest.approx(0.1)
    assert row["warning"] == "90% of counterfactuals are of another donor: match_on=donor"


def test_pairs_may_disagree_while_the_two_sides_are_alike():
    row = diagnose(make_pairs(), obs=labels(["a", "b"], ["b", "a"])).loc[3]
    assert row["agree_donor"] == 0
    assert row["v_donor"] == 0
    assert row["warning"] == ""


def test_missing_labels_agree_with_nothing():
    row = diagnose(make_pairs(), obs=labels(["a", None], ["a", None]), columns=["donor"]).loc[3]
    assert row["agree_donor"] == 0.5
    assert row["v_donor"] == 0


def test_cramers_v_is_one_when_no_label_is_shared_and_corrected_otherwise():
    assert _cramers_v(np.zeros(30, dtype=int), np.ones(30, dtype=int)) == pytest.approx(1)
    assert _cramers_v(np.zeros(30, dtype=int), np.zeros(30, dtype=int)) == 0
    rng = np.random.default_rng(0)
    one, other = rng.choice(3, 50, p=[0.6, 0.2, 0.2]), rng.choice(3, 50, p=[0.2, 0.2, 0.6])
    table = [np.bincount(one, minlength=3), np.bincount(other, minlength=3)]
    n = 100
    phi = max(0, chi2_contingency(table, correction=False).statistic / n - 2 / (n - 1))
    expected = np.sqrt(phi / min(2 - 1 / (n - 1) - 1, 3 - 4 / (n - 1) - 1))
    assert _cramers_v(one, other) == pytest.approx(expected)
    chance = [_cramers_v(rng.integers(8, size=10), rng.integers(8, size=10)) for _ in range(300)]
    assert np.mean(chance) < 0.15, "uncorrected it would be 0.6"


def test_concepts_without_pairs_say_why():
    table = diagnose(make_pairs(not_attributable={1: "active in 5 cells, needs 8"}, n_dropped=2))
    assert table.index.tolist() == [1, 3]
    assert table.loc[1, "warning"] == "not attributable: active in 5 cells, needs 8"
    assert np.isnan(table.loc[1, "distance_percentile"])
    assert table["n_pairs"].tolist() == [0, 40]
    assert table["n_dropped"].tolist() == [0, 2]


def test_columns_are_those_with_labels_unless_named():
    obs = labels(["a", "b"], ["a", "b"]).assign(
        alike=np.tile(["x", "y"], N_CELLS // 2),
        well=[f"w{i}" for i in range(N_CELLS)],
        n_counts=1.0,
        one="same",
        flag=np.arange(N_CELLS) % 3 == 0,
    )
    assert [name for name in diagnose(make_pairs(), obs=obs) if name.startswith("v_")] == [
        "v_donor",
        "v_flag",
    ]
    named = diagnose(make_pairs(), obs=obs, columns=["well"])
    assert [name for name in named if name.startswith("agree_")] == ["agree_well"]


def test_annotation_that_does_not_fit():
    obs = labels(["a"], ["b"])
    with pytest.raises(
        InputError, match=r"^obs describes 200 cells, the pairs 200, and the ids or their order"
    ):
        diagnose(make_pairs(), obs=obs.iloc[::-1])
    with pytest.raises(InputError, match=r"^obs has no column 'batch'; it has donor\.$"):
        diagnose(make_pairs(), obs=obs, columns=["batch"])
    with pytest.raises(
        InputError, match=r"^columns is a text, expected a list of column names: \['donor'\]\.$"
    ):
        diagnose(make_pairs(), obs=obs, columns="donor")
    with pytest.raises(
        InputError, match=r"^columns names \['donor'\], but obs was not given\. Pass obs=adata"
    ):
        diagnose(make_pairs(), columns=["donor"])
