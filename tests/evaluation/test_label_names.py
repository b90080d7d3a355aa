"""Labels that mean the same."""

import pandas as pd
import pytest

from conceptome.core import InputError
from conceptome.evaluation.label_names import common_labels, plain_label, read_label_map, unshared_labels


def test_case_blanks_and_plural_do_not_count():
    assert plain_label(" CD14+  Monocytes ") == plain_label("cd14+_monocyte") == "cd14+ monocyte"
    assert plain_label("B cells") == plain_label("B cell")
    assert plain_label("gas") == "gas"
    assert plain_label("CD4 T") != plain_label("CD8 T")


def test_a_table_names_what_means_the_same_and_missing_labels_stay_missing(tmp_path):
    path = tmp_path / "map.tsv"
    path.write_text("CD14+ Mono\tmonocytes\n\nCD14+ Monocytes\tMonocyte\n")
    mapping = read_label_map(path)
    labels = common_labels(
        {
            "a": pd.Series(["CD14+ mono", None, "", "CD14+ Monocyte", "NK Cell"]),
            "b": pd.Series(["nk cells", "B", "MONOCYTE"]),
        },
        mapping,
    )
    assert labels["a"].tolist() == ["MONOCYTE", None, None, "MONOCYTE", "NK Cell"]
    assert labels["b"].tolist() == ["NK Cell", "B", "MONOCYTE"]  # as the first run spells it that has it
    assert unshared_labels(labels["a"], labels["b"]) == ([], ["B"])


def test_a_broken_table_is_told(tmp_path):
    path = tmp_path / "map.tsv"
    path.write_text("one\n")
    with pytest.raises(InputError) as columns:
        read_label_map(path)
    assert str(columns.value) == f"{path}, line 1 has 1 columns, expected a label, a tab and its new name."
    path.write_text("a\tb\nA\tc\n")
    with pytest.raises(InputError) as twice:
        read_label_map(path)
    assert str(twice.value) == f"{path}, line 2 calls 'A' 'c', an earlier line 'b'. Keep one."
    with pytest.raises(InputError, match="There is no table of labels"):
        read_label_map(tmp_path / "absent.tsv")
