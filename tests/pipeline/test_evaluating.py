"""The full evaluation of a run: interrupted, continued, reported."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import conceptome as cm
from conceptome.cli import main
from conceptome.evaluation import read_evaluation
from conceptome.pipeline import RunConfig, evaluating, run, stages

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two seeds, with two coordinates of the embedding in place of a UMAP."""
    config = RunConfig(
        data="demo", out=str(tmp_path_factory.mktemp("runs") / "run"), encoder="linear",
        encoder_options=("n_components=6",), label_key=("cell_type",), n_concepts=12, k=3, n_seeds=2,
        n_pairs=16, min_size=5, n_permutations=100,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "umap_layout", lambda embeddings, **_: embeddings.values[:, :2].astype(float))
        return run(config)


@pytest.fixture(scope="module")
def full(finished, tmp_path_factory):
    """The same run evaluated in full, interrupted before the third seed; what was done when."""
    folder = tmp_path_factory.mktemp("runs") / "full"
    shutil.copytree(finished, folder)
    measured, trained = [], []
    measure, train = cm.evaluation.measure_seed, cm.dictionaries.train

    def counted(*args, number, **others):
        if number == 2 and measured == [0, 1]:
            measured.append("interrupted")
            raise KeyboardInterrupt
        measured.append(number)
        return measure(*args, number=number, **others)

    def watched(*args, seed, **others):
        trained.append(seed)
        return train(*args, seed=seed, **others)

    asked = evaluating._gene_tests

    def few(*args):
        tests, missing = asked(*args)
        return replace(tests, n_units=3), missing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluating, "_gene_tests", few)
        patch.setattr("conceptome.evaluation.measure_seed", counted, raising=False)
        patch.setattr("conceptome.dictionaries.train", watched, raising=False)
        assert main(["evaluate", str(folder)]) == 130
        assert main(["evaluate", str(folder)]) == 0
    return folder, measured, trained


def test_a_run_measures_one_seed(finished):
    record = read_evaluation(finished / "evaluation.json")
    assert record.seeds == (0,)
    assert "run conceptome evaluate RUN" in record.missing["random_encoder"]
    assert record.missing["genes"] == "Measured by: conceptome evaluate RUN."
    concepts = pd.read_parquet(finished / "concepts.parquet")
    assert concepts["part_faithfulness"].isna().all()
    assert not list(finished.glob("faithfulness*"))
    assert {"cell_type", "phase"} <= set(record.measures["label_key"])
    assert "random_encoder" not in set(record.measures["dictionary"])
    assert "conceptome evaluate RUN" in (finished / "report.html").read_text()


def test_an_interrupted_evaluation_goes_on(full):
    folder, measured, trained = full
    assert measured == [0, 1, "interrupted", 2]
    assert trained == [2]  # the second seed is that of the stage stability
    assert not list(folder.glob("**/.parts"))
    assert read_evaluation(folder / "evaluation.json").seeds == (0, 1, 2)


def test_the_random_encoder_is_a_control(full):
    record = read_evaluation(full[0] / "evaluation.json")
    table = record.measures.set_index(["dictionary", "metric", "label_key", "label"])["value"]
    ours, random = (table[name, "mean_best_f1", "cell_type", ""] for name in ("topk", "random_encoder"))
    assert ours > random + 0.1
    assert not record.missing
    assert (record.measures.loc[record.measures["metric"] == "mean_best_f1", "sd"].notna()).all()


def test_genes_of_every_dictionary_are_tested(full):
    folder = full[0]
    record = read_evaluation(folder / "evaluation.json")
    overall = record.measures[record.measures["label_key"] == ""]
    table = overall.set_index(["dictionary", "metric"])["value"].sort_index()
    for name in ("topk", "neurons", "pca", "ica", "nmf", "kmeans", "random_sae", "random_encoder"):
        for metric in ("stability_directions", "with_drivers", "annotated"):
            assert np.isfinite(table[name, metric]), (name, metric)
    assert table["topk", "faithfulness"] > 0.2
    assert "Distinct themes" in (folder / "report.html").read_text()


def test_cards_then_know_how_faithful_their_genes_are(full):
    folder = full[0]
    concepts = pd.read_parquet(folder / "concepts.parquet").set_index("concept")
    found = cm.pipeline.storage.load_faithfulness(folder)
    assert set(concepts.index[concepts["part_faithfulness"].notna()]) == set(found.concepts)
    assert concepts.loc[found.concepts, "card_parts"].max() == 5
    rows = pd.read_parquet(folder / "faithfulness_curves.parquet")
    chosen = rows[(rows["concept"] == found.concepts[1]) & (rows["method"] == "substitute")]
    np.testing.assert_array_equal(chosen["insertion"], found.insertion[0, 1])


def test_the_report_says_what_is_no_evidence(full):
    text = (full[0] / "report.html").read_text()
    assert "over 3 seeds of the dictionary" in text
    assert '<th scope="col">random encoder</th>' in text
    assert "This metric is no evidence of understanding here: " in text


def test_the_setting_stays_and_nothing_is_repeated(full, caplog):
    folder = full[0]
    assert json.loads((folder / "manifest.json").read_text())["config"]["evaluation"] == "full"
    with caplog.at_level("INFO", logger="conceptome"):
        run(cm.pipeline.config_of(folder, {}))
    assert sum("kept" in message for message in caplog.messages) == len(stages.STAGES)


def test_the_command_tells_the_verdicts(full, capsys):
    assert main(["evaluate", str(full[0])]) == 0
    told = capsys.readouterr().out
    assert told.startswith("topk, 3 seeds:\n")
    assert "Evidence of understanding:\n" in told
    assert f"Measures: {full[0] / 'evaluation.json'}" in told


def test_perturbations_are_held_against_a_run(full, capsys):
    """Cell types stand in for perturbations: they surely differ in their concepts."""
    folder = full[0]
    words = ["--perturbation-key", "cell_type", "--control", "CD14+ Monocyte"]
    check = cm.evaluation.check_perturbations

    def quick(*args, **options):
        return check(*args, **options, n_permutations=99, n_null=20)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("conceptome.evaluation.check_perturbations", quick, raising=False)
        assert main(["evaluate", str(folder), *words]) == 0
    told = capsys.readouterr().out
    assert "perturbations move concepts, " in told
    assert "The scores of responding genes tell which way they go, share: attribution " in told
    assert told.rstrip().endswith(f"Perturbations: {folder / 'perturbations'}")
    shifts = pd.read_csv(folder / "perturbations" / "shifts.tsv", sep="\t")
    assert set(shifts["concept"]) == set(range(12))
    assert main(["evaluate", str(folder), "--control", "CD14+ Monocyte"]) == 1
    assert capsys.readouterr().err == (
        "conceptome: --perturbation-key and --control go together: the column, and its value in control "
        "cells.\n"
    )


def test_two_seeds_are_the_least(full, capsys):
    assert main(["evaluate", str(full[0]), "--evaluation-seeds", "1"]) == 1
    assert capsys.readouterr().err == "conceptome: evaluation_seeds is 1, expected at least 2.\n"
