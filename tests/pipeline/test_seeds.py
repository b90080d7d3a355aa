"""Training that is interrupted, and further seeds of a run."""

import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import safetensors

import conceptome as cm
from conceptome.dictionaries.checkpoint import Journal
from conceptome.pipeline import RunConfig, run, stages, storage
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
    recurring = ["recurring_directions", "recurring_activations"]
    names = ["stability", "stability_null", "stability_activations", *recurring]
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
    cells = storage.load_stability(folder / "stability.parquet").of("activations")
    same = cm.dictionaries.match_concepts(first, second, by="activations", embeddings=embeddings, n_null=20)
    expected = (same.similarity >= 0.7) & (same.p <= 0.05)
    assert 0 < expected.sum() < config.n_concepts
    np.testing.assert_array_equal(concepts["recurring_activations"], expected)
    np.testing.assert_array_equal(cells["recurrence"] == 1, expected)
    text = (folder / "report.html").read_text()
    assert text.count("returns with every seed") == expected.sum()
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


OPTIONS = cm.dictionaries.TopK(n_concepts=12, k=3, max_epochs=20)


@pytest.fixture
def trained_seeds(monkeypatch):
    """Seeds that are trained from here on: for a few epochs, with a checkpoint after each."""
    seeds, train = [], cm.dictionaries.train

    def counted(embeddings, options, *, seed, checkpoint, **others):
        seeds.append(seed)
        options = replace(options, max_epochs=OPTIONS.max_epochs)
        often = cm.dictionaries.Checkpoint(checkpoint, every_rounds=1)
        return train(embeddings, options, seed=seed, checkpoint=often, **others)

    monkeypatch.setattr("conceptome.dictionaries.train", counted, raising=False)
    return seeds


def trained_at_once(folder, seed):
    """Train a dictionary of a run without interruption; the split is by cell, as there are no donors."""
    embeddings = storage.load_embeddings(folder / "embeddings.zarr")
    return cm.dictionaries.train(
        embeddings, OPTIONS, seed=seed, checkpoint=folder.parent / "once.safetensors"
    )


def weights(folder):
    return (folder / "weights.safetensors").read_bytes()


def test_only_missing_seeds_are_trained(finished, tmp_path, trained_seeds):
    config = with_seeds(finished, tmp_path / "run")
    folder = run(config, until="stability")
    assert trained_seeds == [1]
    first = weights(folder / "seeds" / "1")
    run(replace(config, n_seeds=3), until="stability")
    assert trained_seeds == [1, 2]
    assert sorted(path.name for path in (folder / "seeds").iterdir()) == ["1", "2"]
    assert weights(folder / "seeds" / "1") == first != weights(folder / "seeds" / "2")
    assert len(storage.load_stability(folder / "stability.parquet").r2) == 3
    run(config, until="stability")
    assert trained_seeds == [1, 2]
    assert [path.name for path in (folder / "seeds").iterdir()] == ["1"]
    (folder / "seeds" / "1" / "weights.safetensors").write_bytes(b"damaged")
    run(replace(config, n_seeds=3), until="stability")
    assert trained_seeds == [1, 2, 1, 2]
    assert weights(folder / "seeds" / "1") == first
    run(replace(config, k=2), until="stability")
    assert trained_seeds == [1, 2, 1, 2, 0, 1]
    assert weights(folder / "seeds" / "1") != first


def test_a_seed_interrupted_in_the_middle_continues(finished, tmp_path, trained_seeds, monkeypatch):
    config = replace(with_seeds(finished, tmp_path / "run"), n_seeds=3)
    write, written = Journal.write, []

    def interrupted(journal, *state):
        write(journal, *state)
        written.append(journal.path.name)
        if written.count("2.safetensors") == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config, until="stability")
    (kept,) = (tmp_path / "run" / ".unfinished" / "stability").glob("*/seeds")
    assert sorted(path.name for path in kept.iterdir()) == ["1", "training"]
    first = weights(kept / "1")
    folder = run(config, until="stability")
    assert trained_seeds == [1, 2, 2]
    assert weights(folder / "seeds" / "1") == first
    second = cm.dictionaries.load(folder / "seeds" / "2")
    assert second.dictionary_id == trained_at_once(folder, 2).dictionary_id
    assert not (folder / ".unfinished").exists()
    assert sorted(path.name for path in (folder / "seeds").iterdir()) == ["1", "2"]


KILLED = """
import json, os, signal, sys
from dataclasses import replace
from conceptome import dictionaries
from conceptome.dictionaries.checkpoint import Journal
from conceptome.pipeline import RunConfig, run

train, write, written = dictionaries.train, Journal.write, []

def often(embeddings, options, *, checkpoint, **others):
    checkpoint = dictionaries.Checkpoint(checkpoint, every_rounds=1)
    return train(embeddings, replace(options, max_epochs=20), checkpoint=checkpoint, **others)

def killed(journal, *state):
    write(journal, *state)
    written.append(journal)
    if len(written) == 5:
        os.kill(os.getpid(), signal.SIGKILL)

dictionaries.train, Journal.write = often, killed
run(RunConfig(**json.loads(sys.argv[1])), until="train")
"""


def test_a_killed_run_continues_in_the_middle_of_training(tmp_path, trained_seeds, caplog):
    config = settings(tmp_path / "run")
    child = subprocess.run([sys.executable, "-c", KILLED, json.dumps(asdict(config))], check=False)
    assert child.returncode == -signal.SIGKILL
    (checkpoint,) = (tmp_path / "run").glob(".unfinished/train/*/training/0.safetensors")
    with safetensors.safe_open(checkpoint, framework="np") as file:
        assert len(json.loads(file.metadata()["numbers"])["log"]) == 5
    with caplog.at_level("INFO", logger="conceptome"):
        folder = run(config, until="train")
    assert "embed: kept" in caplog.text
    found = cm.dictionaries.load(folder / "dictionary")
    assert found.dictionary_id == trained_at_once(folder, 0).dictionary_id
    assert len(found.training["progress"]) == OPTIONS.max_epochs
    assert not (folder / ".unfinished").exists()
    assert re.search(
        r"train: 12 concepts, 3\.0 per cell, \d+ dead; held-out R2 0\.\d{3} after 20 epochs", caplog.text
    )
