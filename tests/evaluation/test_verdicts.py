import numpy as np
import pandas as pd
import pytest

from conceptome.core import Evaluation
from conceptome.evaluation import judge
from conceptome.evaluation.rows import COLUMNS, measured, over_seeds


def evaluated(values, *, metric="mean_best_f1", key="cell_type"):
    """Three seeds of each dictionary."""
    tables = [
        pd.DataFrame([measured(name, metric, [row[seed]], key=key) for name, row in values.items()])
        for seed in range(3)
    ]
    return Evaluation(over_seeds(tables), pd.DataFrame(), "id", (0, 1, 2))


OURS = [0.70, 0.72, 0.74]
LOW = [0.30, 0.35, 0.40]


LEFT = "Not compared with a random-weight encoder."
NONE = "This metric is no evidence of understanding here:"


@pytest.mark.parametrize(
    ("frozen", "random", "evidence", "reason"),
    [
        (LOW, LOW, "yes", "Clearly better than a frozen random SAE and a random-weight encoder."),
        (OURS, LOW, "no", f"{NONE} a frozen random SAE does as well."),
        (LOW, OURS, "no", f"{NONE} a random-weight encoder does as well."),
        (OURS, OURS, "no", f"{NONE} a frozen random SAE and a random-weight encoder do as well."),
        (LOW, None, "yes", f"Clearly better than a frozen random SAE. {LEFT}"),
    ],
)
def test_both_controls_decide(frozen, random, evidence, reason):
    values = {"topk": OURS, "random_sae": frozen} | ({} if random is None else {"random_encoder": random})
    found = judge(evaluated(values))
    assert found.to_dict("records") == [
        {"metric": "mean_best_f1", "label_key": "cell_type", "evidence": evidence, "reason": reason}
    ]


def test_a_small_difference_does_not_count():
    values = {"topk": [0.700, 0.701, 0.702], "random_sae": [0.690, 0.691, 0.692]}
    assert judge(evaluated(values))["evidence"].tolist() == ["no"]


def test_lower_is_better_of_absorption():
    values = {"topk": LOW, "random_sae": OURS}
    assert judge(evaluated(values, metric="absorption"))["evidence"].tolist() == ["yes"]
    assert judge(evaluated(values))["evidence"].tolist() == ["no"]


def test_what_tells_of_batches_and_sizes_is_not_judged():
    values = {"topk": OURS, "random_sae": LOW}
    assert judge(evaluated(values, key="donor"), sides=["donor"]).empty
    assert judge(evaluated(values, metric="l0", key="")).empty
    assert judge(evaluated(values, metric="ilisi_activations")).empty


def test_one_seed_or_no_control_is_not_enough():
    table = pd.DataFrame([measured("topk", "r2", [0.9]), measured("random_sae", "r2", [0.1])])
    found = judge(Evaluation(table[COLUMNS], pd.DataFrame(), "id", (0,)))
    assert found[["evidence", "reason"]].values.tolist() == [
        ["not judged", "3 seeds are needed, 1 measured."]
    ]
    alone = judge(evaluated({"topk": OURS}))
    assert alone["reason"].tolist() == ["There is no control to compare with."]


def test_what_could_not_be_measured_is_neither_evidence_nor_level():
    unknown = [np.nan] * 3
    found = judge(evaluated({"topk": unknown, "random_sae": LOW}))
    assert found[["evidence", "reason"]].values.tolist() == [["not judged", "It could not be measured."]]
    found = judge(evaluated({"topk": OURS, "random_sae": LOW, "random_encoder": unknown}))
    assert found[["evidence", "reason"]].values.tolist() == [
        ["yes", f"Clearly better than a frozen random SAE. {LEFT}"]
    ]


def test_seeds_are_summarised():
    row = evaluated({"topk": [0.1, np.nan, 0.3]}).measures.iloc[0]
    assert row[["value", "low", "high"]].tolist() == pytest.approx([0.2, 0.1, 0.3])
    assert row["sd"] == pytest.approx(np.std([0.1, 0.3], ddof=1))
    assert np.isnan(evaluated({"topk": [np.nan] * 3}).measures["value"].item())
