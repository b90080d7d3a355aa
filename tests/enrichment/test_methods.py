import numpy as np
import pandas as pd
import pytest

from conceptome.enrichment import enrich, gsea, ora, themes, ulm

SIZES = {"min_size": 5, "max_size": 400}


@pytest.mark.parametrize("source", ["attributions", "de"])
def test_one_face_for_the_three_tests(demo_records, source):
    scores, sets = getattr(demo_records, source), demo_records.gene_sets
    direct = {
        "gsea": gsea(scores, sets, n_permutations=200, seed=3, **SIZES),
        "ulm": ulm(scores, sets, seed=3, **SIZES),
        "ora": ora(scores, sets, seed=3, **SIZES),
    }
    for method, expected in direct.items():
        found = enrich(scores, sets, method=method, n_permutations=200, seed=3, **SIZES)
        pd.testing.assert_frame_equal(found.table, expected.table, check_exact=True)
        pd.testing.assert_frame_equal(found.calibration, expected.calibration, check_exact=True)
        assert (found.method, found.rank_by) == (expected.method, expected.rank_by)
        assert found.dictionary_id == scores.dictionary_id
        assert np.isfinite(found.effect).all()


def test_of_expression_the_genes_that_are_higher_are_selected(demo_records):
    de, sets = demo_records.de, demo_records.gene_sets
    for drivers, sign in (("supporting", 1), ("opposing", -1)):
        table = ora(de, sets, drivers=drivers).table
        for row in table[~table["no_signal"]].itertuples():
            at = int(np.flatnonzero(de.concepts == row.concept)[0])
            genes = de.genes.get_indexer(row.leading_edge.split(";"))
            assert (de.q[at, genes] <= 0.05).all()
            assert (sign * de.score[at, genes] > 0).all()
        assert (~table["no_signal"]).any()


def test_linear_models_name_the_genes_with_their_sign(demo_records):
    record = demo_records.attributions
    table = ulm(record, demo_records.gene_sets).table
    scores = record.scores()
    for row in table[table["leading_edge"] != ""].itertuples():
        carried = scores.loc[row.concept, row.leading_edge.split(";")]
        assert (np.sign(carried) == np.sign(row.es)).all()
        assert carried.abs().is_monotonic_decreasing
    assert (table["leading_edge"] != "").mean() > 0.5


@pytest.mark.parametrize("method", ["ulm", "ora"])
def test_findings_without_a_running_sum_make_themes_too(demo_records, method):
    record = enrich(demo_records.de, demo_records.gene_sets, method=method, min_size=5)
    found = themes(record)
    n_found = (record.table["q_global"] <= 0.05).sum()
    assert len(found) == n_found > 10
    assert found.groupby("concept")["theme"].nunique().max() > 1
    for (_, _), rows in found.groupby(["concept", "theme"]):
        assert rows["es"].gt(0).nunique() == 1
