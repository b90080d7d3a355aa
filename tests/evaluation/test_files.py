import json

import numpy as np
import pandas as pd
import pytest

from conceptome.core import BundleError, Evaluation
from conceptome.evaluation import METRICS, read_evaluation, write_evaluation
from conceptome.evaluation.battery import UNIT_COLUMNS
from conceptome.evaluation.rows import COLUMNS, measured


@pytest.fixture
def record():
    rows = [measured("topk", "r2", [0.1 + 0.2]), measured("pca", "mean_best_f1", [np.nan], key="cell_type")]
    units = pd.DataFrame([["topk", "cell_type", "B", 3.0, 0.5, 0.9, 0.8, 0.1]], columns=UNIT_COLUMNS)
    return Evaluation(pd.DataFrame(rows, columns=COLUMNS), units, "abc", (0, 1), {"phase": "too few genes"})


def test_what_is_read_is_what_was_written(record, tmp_path):
    write_evaluation(record, tmp_path / "evaluation.json")
    again = read_evaluation(tmp_path / "evaluation.json")
    pd.testing.assert_frame_equal(again.measures, record.measures)
    pd.testing.assert_frame_equal(again.units, record.units)
    assert (again.dictionary_id, again.seeds, again.missing) == ("abc", (0, 1), {"phase": "too few genes"})


def test_the_file_names_its_schema(record, tmp_path):
    write_evaluation(record, tmp_path / "evaluation.json")
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert list(content) == [
        "schema", "schema_version", "dictionary_id", "seeds", "spread", "missing", "measures", "units",
    ]  # fmt: skip
    assert (content["schema"], content["schema_version"]) == ("conceptome.evaluation", 1)
    assert content["spread"] == "seeds"
    assert content["measures"][1]["value"] is None


def test_without_units(record, tmp_path):
    bare = Evaluation(record.measures, record.units.iloc[:0], "abc", (0,))
    write_evaluation(bare, tmp_path / "evaluation.json")
    assert list(read_evaluation(tmp_path / "evaluation.json").units) == UNIT_COLUMNS


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema": "other"}, "it has no schema 'conceptome.evaluation'"),
        ({"schema_version": 2}, "it has schema version 2, this Conceptome reads 1"),
        ({"seeds": 3}, "'seeds' is of type int, expected list"),
        ({"units": None}, "'units' is of type NoneType, expected list"),
        ({"measures": [{"metric": "r2"}]}, f"row 0 of 'measures' has ['metric'], expected {sorted(COLUMNS)}"),
        ({"measures": [dict.fromkeys(COLUMNS, 1)]}, "row 0 of 'measures' is not named by texts"),
        ({"measures": [dict.fromkeys(COLUMNS, "x")]}, "'high' of 'measures' holds what is no number"),
    ],
)
def test_refuses_what_does_not_fit(record, tmp_path, change, why):
    path = tmp_path / "evaluation.json"
    write_evaluation(record, path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError) as caught:
        read_evaluation(path)
    assert str(caught.value) == f"{path} is no evaluation: {why}. Make it anew with: conceptome evaluate RUN"


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(BundleError, match="is no evaluation: it cannot be read"):
        read_evaluation(tmp_path / "none.json")


def test_every_metric_is_in_the_documentation():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    for metric in METRICS:
        assert f"`{metric}`" in page or f"`{metric.rpartition('_')[0]}_…`" in page, metric
