import re

import matplotlib.pyplot as plt
import pandas as pd
import pytest

import conceptome as cm
from conceptome.core import Evaluation, InputError


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def evaluation():
    rows = [
        ("topk", "r2", "", 0.8),
        ("pca", "r2", "", 0.6),
        ("topk", "l0", "", 4.0),
        ("pca", "l0", "", 9.0),
        ("topk", "mean_best_f1", "cell_type", 0.9),
        ("topk", "mean_best_f1", "tissue", 0.5),
        ("embedding", "probe_macro_f1_embedding", "cell_type", 0.95),
    ]
    measures = pd.DataFrame(rows, columns=["dictionary", "metric", "label_key", "value"]).assign(label="")
    return Evaluation(measures, pd.DataFrame())


def test_panels_hold_the_values_and_label_columns_are_averaged(evaluation):
    panels = cm.pl.fidelity(evaluation).axes
    assert [ax.get_title(loc="left") for ax in panels] == [
        "R² of the embedding",
        "active units per cell",
        "best F1 per label",
    ]
    values = [[float(line.get_xdata()[0]) for line in ax.lines] for ax in panels]
    assert values == [[0.8, 0.6], [4.0, 9.0], [pytest.approx(0.7)]]


def test_lines_are_the_dictionaries_that_have_a_drawn_measure(evaluation):
    panel = cm.pl.fidelity(evaluation).axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["topk", "pca"]


def test_an_evaluation_without_drawn_measures_says_what_it_holds(evaluation):
    bare = Evaluation(evaluation.measures.assign(metric="speed"), evaluation.units)
    message = "The evaluation holds ['speed'], none of which is drawn. Run cm.evaluation.evaluate"
    with pytest.raises(InputError, match=re.escape(message)):
        cm.pl.fidelity(bare)


def test_many_measures_take_two_rows_and_a_negative_one_is_seen():
    metrics = (
        "r2",
        "l0",
        "stability_activations",
        "with_drivers",
        "faithfulness",
        "annotated",
        "annotated_excess",
    )
    rows = [("topk", metric, "", -0.3 if metric == "faithfulness" else 0.5, "") for metric in metrics]
    measures = pd.DataFrame(rows, columns=["dictionary", "metric", "label_key", "value", "label"])
    panels = cm.pl.fidelity(Evaluation(measures, pd.DataFrame())).axes
    assert len(panels) == 7
    assert len({round(ax.get_subplotspec().rowspan.start) for ax in panels}) == 2
    (faithful,) = (ax for ax in panels if ax.get_title(loc="left") == "faithfulness of genes")
    assert faithful.get_xlim()[0] == -0.3
