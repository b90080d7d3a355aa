import numpy as np
import pandas as pd
import pytest

from conceptome.core import ENRICHMENT_COLUMNS, Attributions, DifferentialExpression, Enrichment
from conceptome.evaluation import name_concepts

GENES = pd.Index(["CD79A", "MS4A1", "LYZ", "NKG7", "GNLY"])


def attributions(scores, drives):
    shape = np.shape(scores)
    matrix = np.asarray(scores, dtype=float)
    zeros = np.zeros(shape)
    numbers = dict.fromkeys(
        ("se", "ci_low", "ci_high", "effect_act", "effect_pre", "sign_consistency", "p", "q"), zeros
    )
    return Attributions(
        attribution=matrix,
        n_differing=np.zeros(shape, dtype=np.int64),
        drives=np.asarray(drives, dtype=bool),
        floor=np.zeros(shape[0]),
        null_driver_rate=np.zeros(shape[0]),
        n_pairs=np.full(shape[0], 10),
        status=np.array(["ok"] * shape[0], dtype=object),
        concepts=np.arange(shape[0]),
        genes=GENES,
        dictionary_id="d",
        encoder_id="e",
        null_attribution=zeros,
        null_se=zeros,
        **numbers,
    )


def expression(score):
    matrix = np.asarray(score, dtype=float)
    names = ("log_fold_change", "score", "p", "q", "t", "p_t", "q_t")
    return DifferentialExpression(
        **dict.fromkeys(names, matrix), concepts=np.arange(len(matrix)), genes=GENES, dictionary_id="d"
    )


def terms(*rows):
    """Rows of (concept, name, nes, q)."""
    table = pd.DataFrame(rows, columns=["concept", "term", "nes", "q_global"])
    table = table.assign(collection="c", name=table["term"])
    return Enrichment(table.reindex(columns=ENRICHMENT_COLUMNS))


LABELS = pd.DataFrame(
    {
        "concept": [0, 1],
        "best_label": ["B", "NK"],
        "best_label_f1": [0.8, 0.3],
        "best_label_share": [0.9, 0.9],
    }
)


def test_label_term_and_genes_make_the_name():
    drives = [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1], [0] * 5]
    scores = [[0.3, 0.2, 0.4, 0, 0], [0, 0, 0, 0.1, -0.5], [0.0] * 5]
    found = name_concepts(
        [0, 1, 2],
        labels=LABELS,
        attributions=attributions(scores, drives),
        enrichment=terms((0, "GOBP_B_CELL_ACTIVATION", 2.0, 0.01), (1, "CYTOTOXICITY", 1.5, 0.2)),
        enrichment_de=terms((0, "GOBP_B_CELL_ACTIVATION", 1.8, 0.001)),
        de=expression([[2, 2, -3, 0, 0], [0] * 5, [0] * 5]),
    ).set_index("concept")
    assert found["auto_name"].tolist() == ["B: B cell activation", "NKG7", "unexplained"]
    assert found.loc[0, "confidence"] == pytest.approx((0.8 + 1.0 + 3 / 6) / 3)
    assert found.loc[1, "confidence"] == pytest.approx(1 / 4 / 3)
    assert found.loc[2, "confidence"] == 0
    assert found.loc[0, "evidence"] == (
        "marks B (F1 0.80); B cell activation (q 0.01, by expression too); driven by CD79A, MS4A1, LYZ↓"
    )
    assert found.loc[2, "evidence"] == ""


def test_what_the_cells_lack_is_said_and_comes_last():
    by_attribution = terms((0, "T_CELL", 3.0, 0.001), (0, "B_CELL", 1.5, 0.04), (1, "T_CELL", 3.0, 0.001))
    by_expression = terms((0, "T_CELL", -2.0, 0.001), (0, "B_CELL", 1.0, 0.3), (1, "T_CELL", -2.0, 0.001))
    found = name_concepts([0, 1], enrichment=by_attribution, enrichment_de=by_expression)
    assert found["auto_name"].tolist() == ["B cell", "low T cell"]
    assert found["evidence"].tolist() == [
        "B cell (q 0.04)",
        "T cell, whose genes the cells lack (q 0.001, by expression too)",
    ]
    assert found["confidence"].tolist() == pytest.approx([0.6 / 3, 0.6 / 3])


def test_what_expression_finds_too_comes_first():
    by_attribution = terms((0, "APICAL_JUNCTION", 2.0, 0.001), (0, "CYTOTOXICITY", 1.5, 0.04))
    by_expression = terms((0, "APICAL_JUNCTION", 1.0, 0.3), (0, "CYTOTOXICITY", 1.0, 0.01))
    found = name_concepts([0], enrichment=by_attribution, enrichment_de=by_expression)
    assert found["auto_name"].item() == "cytotoxicity"


def test_opponents_name_nothing():
    found = name_concepts(
        [0],
        attributions=attributions([[-0.5, 0, 0, 0, 0]], [[1, 0, 0, 0, 0]]),
        enrichment=terms((0, "B_CELL", -2.0, 0.001)),
    )
    assert found["auto_name"].tolist() == ["unexplained"]


def test_a_label_without_a_term_takes_genes():
    found = name_concepts(
        [0], labels=LABELS, attributions=attributions([[0.1, 0.3, 0, 0, 0]], [[1, 1, 0, 0, 0]])
    )
    assert found["auto_name"].tolist() == ["B (MS4A1, CD79A)"]


def test_nothing_known_names_nothing():
    found = name_concepts([3, 5])
    assert found["concept"].tolist() == [3, 5]
    assert (found["auto_name"] == "unexplained").all()


def test_flagged_terms_give_way_where_null_controls_call_them():
    rows = terms((0, "GOBP_CYTOPLASMIC_TRANSLATION", 3.0, 0.001), (0, "GOBP_B_CELL_ACTIVATION", 1.5, 0.04))
    table = rows.table.assign(flag=["ribosomal", ""])
    columns = ["control", "flag", "alpha", "rate", "n_tests", "ci_low", "ci_high"]
    for ci_low, name in ((0.2, "B cell activation"), (0.01, "cytoplasmic translation")):
        calibration = pd.DataFrame(
            [("null-pair scores", "ribosomal", 0.05, 0.3, 100, ci_low, 0.4)], columns=columns
        )
        found = name_concepts([0], enrichment=Enrichment(table, "d", calibration))
        assert found["auto_name"].item() == name
    alone = Enrichment(table.iloc[:1], "d", calibration.assign(ci_low=0.2))
    found = name_concepts([0], enrichment=alone)
    assert found["auto_name"].item() == "cytoplasmic translation"
    assert found["confidence"].item() == pytest.approx(0.2 / 3)
    assert found["evidence"].item() == (
        "cytoplasmic translation (q 0.001, but ribosomal terms are called where nothing is)"
    )


def test_a_label_that_few_of_its_cells_have_is_evidence_but_no_name():
    labels = LABELS.assign(best_label_f1=[0.8, 0.8], best_label_share=[0.12, 0.5])
    found = name_concepts([0, 1], labels=labels, enrichment=terms((0, "CYTOLYSIS", 2.0, 0.01)))
    assert found["auto_name"].tolist() == ["cytolysis", "NK"]
    assert (
        found["evidence"][0] == "strongest in B (F1 0.80), where 12% of its activation is; cytolysis (q 0.01)"
    )
    assert found["confidence"].tolist() == pytest.approx([(0.8 * 0.12 + 0.6) / 3, 0.8 / 3])
