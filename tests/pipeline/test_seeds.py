"""Further seeds of a run, and two runs compared."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import conceptome as cm
from conceptome.cli import main
from conceptome.core import BundleError, DictionaryMismatchError, InputError
from conceptome.pipeline import RunConfig, compare_runs, run, stages, storage
from conceptome.pipeline.folder import checksum

KEPT = ("pairs", "attributions", "de", "enrichment", "enrichment_de")


def settings(out, **changes):
    config = RunConfig(
        data="demo",
        out=str(out),
        encoder="linear",
        label_key=("cell_type",),
        n_concepts=12,
        k=3,
        n_pairs=8,
        min_size=5,
        n_permutations=100,
    )
    return replace(config, **changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with two coordinates of the embedding in place of a UMAP, to save the time of making one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "umap_layout", lambda embeddings, **_: embeddings.values[:, :2].astype(float))
        return run(settings(tmp_path_factory.mktemp("runs") / "run"))


def with_seeds(finished, path):
    """Copy a finished run and add a seed; what does not depend on it is kept."""
    shutil.copytree(finished, path)
    return settings(path, n_seeds=2)


def test_further_seeds_tell_the_stability_and_nothing_else_changes(finished, tmp_path, caplog):
    config = with_seeds(finished, tmp_path / "run")
    with caplog.at_level("INFO", logger="conceptome"):
        folder = run(config)
    repeated = [m.split("] ")[1].split(":")[0] for m in caplog.messages if " s)" in m and "] " in m]
    assert repeated == ["stability", "summarise", "report"]
    for name in KEPT:
        assert checksum(folder / f"{name}.parquet") == checksum(finished / f"{name}.parquet")
    concepts = pd.read_parquet(folder / "concepts.parquet")
    names = ["stability", "stability_null", "stability_activations"]
    assert pd.read_parquet(finished / "concepts.parquet")[names].isna().all(axis=None)
    assert concepts[names].notna().all(axis=None)
    assert concepts["stability"].max() <= 1
    assert concepts["stability"].mean() > concepts["stability_null"].mean()
    first, second = (
        cm.dictionaries.load(folder / place) for place in ("dictionary", f"seeds/{config.seed + 1}")
    )
    assert second.training["seed"] == config.seed + 1
    embeddings = storage.load_embeddings(folder / "embeddings.zarr")
    matching = cm.dictionaries.match_concepts(first, second, embeddings=embeddings, n_null=20)
    np.testing.assert_allclose(concepts["stability"], matching.similarity)
    text = (folder / "report.html").read_text()
    assert "The dictionary was trained with 2 seeds" in text
    assert "Run again with --n-seeds 5" in (finished / "report.html").read_text()


def test_finished_seeds_survive_an_interruption(finished, tmp_path, monkeypatch):
    config = with_seeds(finished, tmp_path / "run")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("conceptome.evaluation.measure_seeds", interrupted, raising=False)
        with pytest.raises(KeyboardInterrupt):
            run(config)
    monkeypatch.setattr("conceptome.dictionaries.train", interrupted, raising=False)
    folder = run(config, until="stability")
    assert (folder / "stability.parquet").exists()


@pytest.fixture(scope="module")
def another_seed(finished, tmp_path_factory):
    """A dictionary of another seed on the same encoder; its concepts are not attributed."""
    path = tmp_path_factory.mktemp("runs") / "other"
    config = settings(path, encoder=f"linear:{finished / 'encoder'}", seed=1, n_concepts=10)
    return run(config, until="train")


def test_two_runs_of_one_encoder_are_compared(finished, another_seed, tmp_path, capsys):
    table, text = compare_runs(finished, another_seed)
    assert len(table) == 10
    assert table["similarity"].is_monotonic_decreasing
    assert table["concept_b"].is_unique
    assert table["best_label_a"].notna().any()
    assert "best_label_b" not in table
    assert text.startswith(
        f"{finished} has 12 concepts, {another_seed} 10; compared by directions.\n10 matched "
    )
    out = tmp_path / "pairs.csv"
    words = ["compare", str(finished), str(another_seed), "--by", "activations", "--out", str(out)]
    assert main(words) == 0
    assert f"Table: {out}" in capsys.readouterr().out
    written = pd.read_csv(out)
    assert list(written)[:6] == ["concept_a", "concept_b", "similarity", "null", "excess", "p"]
    assert written["similarity"].mean() > written["null"].mean()


def test_runs_that_do_not_compare_are_refused(finished, another_seed, tmp_path):
    with pytest.raises(InputError) as same:
        compare_runs(finished, finished)
    assert str(same.value).endswith("Compare runs that differ in seed, settings or cells.")
    foreign = tmp_path / "foreign"
    shutil.copytree(another_seed, foreign)
    dictionary = cm.dictionaries.load(foreign / "dictionary")
    cm.dictionaries.TopKDictionary(
        dictionary.weights, dictionary.k, scale=dictionary.scale, encoder_id="another"
    ).save(foreign / "dictionary")
    manifest = json.loads((foreign / "manifest.json").read_text())
    with pytest.raises(BundleError) as changed:
        compare_runs(finished, foreign)
    assert str(changed.value).startswith(f"{foreign}: the stage 'train' is not finished, or its files have ")
    manifest["stages"]["train"]["files"]["dictionary"] = checksum(foreign / "dictionary")
    (foreign / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DictionaryMismatchError) as encoders:
        compare_runs(finished, foreign)
    assert str(encoders.value).endswith(
        "so their concepts lie in different embeddings. Run the second again with the encoder of the first: "
        f"--encoder linear:{finished / 'encoder'}"
    )
    with pytest.raises(BundleError, match="is no run folder"):
        compare_runs(finished, tmp_path)
