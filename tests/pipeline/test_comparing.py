"""Comparison of runs: other seeds, other datasets, other encoders, and what is refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import conceptome as cm
from conceptome.cli import main
from conceptome.core import BundleError, InputError
from conceptome.pipeline import RunConfig, compare_runs, run, runner


def finished_run(path, **changes):
    settings = {"data": "demo", "encoder": "linear", "n_concepts": 16, "k": 3, "min_size": 5}
    settings |= {"label_key": ("cell_type",), "n_permutations": 100, "n_pairs": 16}
    return run(RunConfig(out=str(path), **{**settings, **changes}), until="summarise")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run, one of another seed on its encoder, and one of another encoder, briefly trained."""
    folder = tmp_path_factory.mktemp("runs")
    needed = tuple(
        replace(stage, needs=tuple(name for name in stage.needs if name != "evaluate"))
        for stage in runner.STAGES
        if stage.name != "evaluate"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "STAGES", needed)
        patch.setattr(cm.dictionaries.TopK, "epochs", lambda *_: 30)
        return three_runs(folder)


def three_runs(folder):
    first = finished_run(folder / "first")
    seed = finished_run(folder / "seed", encoder=f"linear:{first / 'encoder'}", seed=1, n_concepts=12)
    other = finished_run(folder / "other", encoder_options=("n_components=12",), seed=2)
    return first, seed, other


@pytest.fixture(scope="module")
def found(runs):
    return compare_runs(runs, pairs="all", n_null=99)


def test_concepts_of_another_seed_are_matched_by_every_measure(runs, found):
    first, seed, _ = map(str, runs)
    table = found.pairs[(found.pairs["run_a"] == first) & (found.pairs["run_b"] == seed)]
    own = table[table["measure"] == table["matched_by"]]
    assert set(own["measure"]) == {"directions", "profiles", "activations", "terms"}
    for measure, group in own.groupby("measure"):
        assert group["concept_a"].is_unique, measure
        assert group["concept_b"].is_unique, measure
        assert group["similarity"].between(-1, 1).all(), measure
        if measure != "terms":  # three pairs with few terms each say nothing about chance
            assert group["similarity"].mean() > group["null"].mean(), measure
    assert len(own[own["measure"] == "directions"]) == 12
    judged = table[(table["matched_by"] == "directions") & (table["measure"] == "activations")]
    assert len(judged) == 12
    assert judged["similarity"].mean() > judged["null"].mean() + 0.2
    means = found.summary[(found.summary["run_b"] == seed) & (found.summary["matched_by"] == "directions")]
    assert set(means["measure"]) == {"directions", "profiles", "activations", "terms", "labels"}
    labels = means[means["measure"] == "labels"].iloc[0]
    assert labels["similarity"] > labels["null"]


def test_directions_are_the_only_thing_refused_across_encoders(runs, found):
    first, seed, other = map(str, runs)
    assert found.refused[["run_a", "run_b", "measure"]].to_numpy().tolist() == [
        [first, other, "directions"],
        [seed, other, "directions"],
    ]
    assert found.refused["reason"].unique().tolist() == [
        "the encoders differ, and directions of different embeddings do not compare"
    ]
    own = found.pairs[(found.pairs["run_b"] == other) & (found.pairs["matched_by"] == "activations")]
    assert own.loc[own["measure"] == "activations", "similarity"].mean() > 0.3
    assert "700 cells with one id in both" in found.text


def test_concepts_that_return_are_listed_for_every_run(runs, found):
    table = found.consensus
    assert set(table["run"]) <= set(map(str, runs))
    assert table["recurrence"].between(0.5, 1).all()
    assert (table["recurrence"] == 1).any()
    own = found.pairs[found.pairs["measure"] == found.pairs["matched_by"]]
    row = table[table["run"] == str(runs[0])].iloc[0]
    back = own[(own["run_a"] == str(runs[0])) & (own["concept_a"] == row["concept"]) & (own["q"] <= 0.0125)]
    assert row["recurrence"] == back["run_b"].nunique() / 2


def test_the_command_writes_tables_a_figure_and_a_text(runs, tmp_path, capsys):
    out, labels = tmp_path / "out", tmp_path / "labels.tsv"
    labels.write_text("CD14+ Monocyte\tmonocyte\n")
    words = ["compare", *map(str, runs), "--by", "directions", "--by", "terms", "--labels", str(labels)]
    assert main([*words, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "Not by directions: the encoders differ" in said
    assert said.rstrip().endswith(f"Tables, figure and text: {out}")
    pairs = pd.read_csv(out / "pairs.tsv", sep="\t")
    assert set(pairs["run_a"]) == {str(runs[0])}
    assert set(pairs["measure"]) == {"directions", "terms"}
    assert "monocyte" in set(pairs["label_a"])
    assert (out / "comparison.png").stat().st_size > 10_000
    assert (out / "comparison.txt").read_text().startswith(f"{runs[0]} and {runs[1]}")


def test_runs_that_do_not_compare_are_refused(runs, tmp_path):
    first, seed, other = runs
    with pytest.raises(InputError) as same:
        compare_runs([first, first])
    assert str(same.value).endswith("Compare runs that differ in seed, settings, cells or encoder.")
    with pytest.raises(InputError, match=r"^1 run is given, expected at least two to compare\.$"):
        compare_runs([first])
    with pytest.raises(InputError) as nothing:
        compare_runs([first, other], measures=["directions"])
    assert str(nothing.value) == (
        f"{first} and {other} cannot be compared. directions: the encoders differ, and directions of "
        "different embeddings do not compare."
    )
    with pytest.raises(BundleError, match="is no run folder"):
        compare_runs([first, tmp_path])
    broken = tmp_path / "broken"
    shutil.copytree(seed, broken)
    config = json.loads((broken / "dictionary" / "config.json").read_text())
    (broken / "dictionary" / "config.json").write_text(json.dumps(config | {"note": ""}))
    with pytest.raises(BundleError) as changed:
        compare_runs([first, broken])
    assert str(changed.value).startswith(f"{broken}: the stage 'train' is not finished, or its files have ")


def test_chance_agrees_with_chance():
    """Dictionaries of unrelated directions are as alike as chance says."""
    rng = np.random.default_rng(0)
    cells = pd.Index([f"c{i}" for i in range(300)])
    embeddings = cm.core.Embeddings(rng.normal(size=(300, 6)), cells, "e")
    sides = []
    for seed in (1, 2):
        dictionary = cm.dictionaries.RandomSaeDictionary.fit(embeddings, n_concepts=12, k=2, seed=seed)
        activations = dictionary.encode(embeddings)
        sides.append(cm.evaluation.ComparedConcepts(str(seed), dictionary, embeddings, activations))
    found = cm.evaluation.compare_concepts(*sides, n_null=99)
    assert set(found.refused) == {"profiles", "terms"}
    assert found.refused["profiles"] == "2 has no attributions" or found.refused["profiles"].endswith(
        "has no attributions"
    )
    direct = found.summary[found.summary["measure"] == "directions"].set_index("matched_by")
    assert direct.loc["directions", "similarity"] == pytest.approx(direct.loc["directions", "null"], abs=0.12)
