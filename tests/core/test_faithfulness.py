import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, ttest_rel

from conceptome.core import Faithfulness, InputError

METHODS = ("ours", "theirs", "random")


@pytest.fixture(scope="module")
def record():
    """Six concepts of 3 to 5 factuals; ours deletes best, all insert the same."""
    rng = np.random.default_rng(0)
    rows = []
    for concept in range(6):
        for pair in range(3 + concept % 3):
            for at, method in enumerate(METHODS):
                deletion, insertion = 0.3 + 0.2 * at + 0.05 * rng.normal(), 0.1 + 0.01 * concept
                rows.append((concept, pair, method, 50, deletion, insertion, deletion - 0.1, insertion))
    columns = ["concept", "pair", "method", "n_differing", "deletion", "insertion"]
    table = pd.DataFrame(rows, columns=[*columns, "deletion_unclipped", "insertion_unclipped"])
    table["method"] = pd.Categorical(table["method"], categories=list(METHODS))
    deletion = 1 - np.linspace(0, 0.5, 6) * np.array([1.0, 0.8, 0.1])[:, None, None] * np.ones((3, 6, 1))
    insertion = np.linspace(0, 0.2, 6) + 0.01 * np.arange(6)[None, :, None] + np.zeros((3, 1, 1))
    return Faithfulness(table, deletion, insertion, METHODS, np.arange(6), "d", "e")


def test_concepts_average_factuals_and_methods_average_concepts(record):
    by_concept = record.by_concept()
    assert len(by_concept) == 18
    mine = record.factuals.query("concept == 2 and method == 'theirs'")["deletion"]
    row = by_concept.query("concept == 2 and method == 'theirs'").iloc[0]
    assert row["n_factuals"] == len(mine) == 5
    assert row["deletion"] == pytest.approx(mine.mean())
    assert row["deletion_se"] == pytest.approx(mine.std() / np.sqrt(5))
    means = by_concept.query("method == 'theirs'")["deletion"]
    summary = record.summary().set_index("method").loc["theirs"]
    assert (summary["n_concepts"], summary["deletion"]) == (6, pytest.approx(means.mean()))
    assert summary["deletion_se"] == pytest.approx(means.std() / np.sqrt(6))
    assert list(record.summary()["method"]) == list(METHODS)


def test_methods_are_compared_concept_by_concept(record):
    table = record.against("theirs").set_index(["method", "curve"])
    areas = record.by_concept().pivot_table(
        index="concept", columns="method", values="deletion", observed=True
    )
    row = table.loc[("ours", "deletion")]
    expected = ttest_rel(areas["ours"], areas["theirs"]).confidence_interval(0.95)
    assert (row["ci_low"], row["ci_high"]) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert row["difference"] == pytest.approx((areas["ours"] - areas["theirs"]).mean())
    assert (row["n_concepts"], row["n_better"], row["n_worse"]) == (6, 6, 0)
    assert row["p"] == pytest.approx(binomtest(6, 6).pvalue)
    assert (table.loc[("random", "deletion")][["n_better", "n_worse"]] == (0, 6)).all()
    same = table.loc[("ours", "insertion")]
    assert (same["difference"], same["n_better"], same["n_worse"], same["p"]) == (0, 0, 0, 1)
    with pytest.raises(InputError, match=r"^reference is 'nobody', expected one of ours, theirs, random\.$"):
        record.against("nobody")


def test_what_the_strongest_genes_take_away_and_bring_about(record):
    table = record.at((1, 5)).set_index(["method", "n_genes"])
    assert table.loc[("ours", 1), "necessity"] == pytest.approx(0.1)
    assert table.loc[("theirs", 5), "necessity"] == pytest.approx(0.4)
    assert table.loc[("ours", 5), "sufficiency"] == pytest.approx(0.2)
    assert table.loc[("ours", 5), "sufficiency_se"] == pytest.approx(0, abs=1e-12)
    with pytest.raises(
        InputError, match=re.escape("n_genes has [0, 6], but the curves go from 1 to 5 genes.")
    ):
        record.at((0, 3, 6))


def test_parts_that_do_not_fit_are_refused(record):
    message = "Faithfulness: deletion has shape (2, 6), expected (3, 6) (methods x concepts)."
    with pytest.raises(InputError, match=re.escape(message)):
        Faithfulness(
            record.factuals, record.deletion[:2], record.insertion[:2], METHODS, record.concepts, "d", "e"
        )
    lacking = record.to_frame().drop(columns="pair")
    with pytest.raises(InputError, match=re.escape("Faithfulness: the table lacks the columns ['pair'];")):
        Faithfulness(lacking, record.deletion, record.insertion, METHODS, record.concepts, "d", "e")
