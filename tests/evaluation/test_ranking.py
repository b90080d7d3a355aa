import numpy as np
import pandas as pd
import pytest

from conceptome.core import Evaluation, InputError
from conceptome.evaluation import rank_dictionaries


def cards(**parts):
    columns = ("fidelity", "stability", "faithfulness", "annotation", "label")
    table = pd.DataFrame({f"part_{name}": parts.get(name, np.nan) for name in columns}, index=range(3))
    return table.assign(concept=range(3), card_score=[0.5, 0.5, np.nan], variance_lost=[0.3, 0.1, 0.6])


def evaluation(r2, *, kind="topk"):
    rows = [
        (name, metric, "", value)
        for name, found in ((kind, r2), ("pca", 0.99))
        for metric, value in (("r2", found), ("l0", 3.0), ("dead", 0.1), ("n_units", 12.0))
    ]
    return Evaluation(pd.DataFrame(rows, columns=["dictionary", "metric", "label", "value"]), pd.DataFrame())


def test_the_summary_is_the_mean_of_parts_that_all_have():
    tables = {
        # the last concept is silent, the first carries three times the variance of the second
        "a": cards(stability=[0.2, 0.4, 1.0], label=[0.0, 0.2, 1.0], annotation=1.0),
        "b": cards(stability=[0.8, 0.8, 0.0], label=[0.3, 0.5, 0.0], fidelity=1.0),
    }
    found = rank_dictionaries(tables, {"b": evaluation(-0.5), "a": evaluation(0.9)})
    assert found["dictionary"].tolist() == ["a", "b"]
    assert found["rank"].tolist() == [1, 2]
    assert found["n_parts"].tolist() == [3, 3]
    np.testing.assert_allclose(found["summary"], [(0.9 + 0.25 + 0.05) / 3, (0 + 0.8 + 0.35) / 3])
    np.testing.assert_allclose(found["part_annotation"], [1, np.nan])
    assert found["r2"].tolist() == [0.9, -0.5]
    assert found["n_units"].tolist() == [12, 12]


def test_equal_summaries_share_a_rank_whatever_the_order():
    tables = {name: cards(label=value) for name, value in (("c", 0.5), ("a", 0.5), ("b", 0.1))}
    measured = {name: evaluation(0.5) for name in tables}
    found = rank_dictionaries(tables, measured)
    assert found[["dictionary", "rank"]].to_numpy().tolist() == [["a", 1], ["c", 1], ["b", 3]]
    turned = rank_dictionaries(dict(reversed(tables.items())), measured)
    pd.testing.assert_frame_equal(found, turned)


def test_cards_and_evaluations_must_be_of_the_same():
    with pytest.raises(InputError) as error:
        rank_dictionaries({"a": cards()}, {"b": evaluation(0.5)})
    assert str(error.value) == (
        "There are cards of ['a'] and evaluations of ['b'], expected both of the same dictionaries, at least "
        "one."
    )
    lacking = evaluation(0.5)
    short = Evaluation(lacking.measures[lacking.measures["metric"] != "l0"], lacking.units)
    with pytest.raises(InputError) as refusal:
        rank_dictionaries({"a": cards()}, {"a": short})
    assert str(refusal.value) == (
        "The evaluation of 'a' lacks l0 of its first dictionary, 'topk'. Make it with cm.evaluation.evaluate."
    )
