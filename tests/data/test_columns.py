import numpy as np
import pandas as pd
import pytest

from conceptome.core import InputError
from conceptome.data import demo, inspect, validate
from conceptome.data.columns import label_problem
from conceptome.evaluation.labels import read_labels

UNFIT = {
    "empty": ([None] * 700, "obs['empty'] has no value in any cell. Choose another column."),
    "single": (
        ["B"] * 690 + [None] * 10,
        "obs['single'] has the single value 'B', a label needs 2 to 200. "
        "Choose a column that names populations.",
    ),
    "many": (
        [f"c{i % 201}" for i in range(700)],
        "obs['many'] has 201 different values, a label needs 2 to 200. "
        "Choose a column that names populations.",
    ),
    "rare": (
        ["a"] * 9 + ["b"] * 3 + [None] * 688,
        "No value of obs['rare'] has at least 10 cells (the most frequent, 'a', has 9). "
        "Choose a column that names larger populations.",
    ),
}


@pytest.mark.parametrize("key", UNFIT)
def test_unfit_labels_are_problems_before_a_run_as_in_the_evaluation(key):
    values, problem = UNFIT[key]
    adata = demo()
    adata.obs[key] = values
    report = inspect(adata, label_keys=[key])
    assert report.problems == (problem,)
    assert report.warnings == ()
    with pytest.raises(InputError) as error:
        read_labels(adata.obs, key)
    assert str(error.value) == problem


def test_one_population_of_ten_cells_among_two_hundred_is_enough():
    sizes = [10] + [1] * 199
    obs = pd.DataFrame({"part": np.repeat([f"c{i}" for i in range(200)], sizes)})
    assert label_problem(obs, "part") is None


def test_categories_without_cells_do_not_count():
    part = pd.Categorical(["a"] * 20, categories=["a", "b"])
    assert "has the single value 'a'" in label_problem(pd.DataFrame({"part": part}), "part")


@pytest.mark.parametrize("option", ["obs_keys", "label_keys"])
@pytest.mark.parametrize("function", [inspect, validate])
def test_a_text_for_a_list_is_refused(function, option):
    with pytest.raises(InputError) as error:
        function(demo(), **{option: "cell_type"})
    assert str(error.value) == (
        f"{option} is a text, expected a list of column names. Write {option}=['cell_type']."
    )
