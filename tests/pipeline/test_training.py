"""Dictionaries and sweeps from files on disk, as ``conceptome train`` makes them."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr
from anndata import AnnData
from filelock import FileLock
from PIL import Image

from conceptome import dictionaries
from conceptome.cli import main
from conceptome.core import BundleError, CheckpointError, InputError
from conceptome.dictionaries import rounds, sources
from conceptome.pipeline import training
from conceptome.pipeline.families import family_options
from conceptome.pipeline.folder import RunFolder
from conceptome.pipeline.seeds import describe_training
from conceptome.pipeline.trainees import Trainees, read_trainees

N_CELLS = 80
QUICK = ["--max-epochs", "3"]


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    counts = sp.csr_matrix(1 + rng.poisson(2.0, (N_CELLS, 30)).astype(np.float32))
    obs = pd.DataFrame(
        {"donor": np.resize(["a", "b", "c"], N_CELLS)}, index=[f"c{i}" for i in range(N_CELLS)]
    )
    adata = AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"GENE{i}" for i in range(30)]))
    adata.obsm["X_own"] = rng.normal(size=(N_CELLS, 4)).astype(np.float32)
    return adata


@pytest.fixture(scope="module")
def h5ad(cells, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "cells.h5ad"
    cells.write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def run_folder(h5ad, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    options = ["--encoder", "linear", "--encoder-options", "n_components=4"]
    assert main(["embed", str(h5ad), "--out", str(folder), *options]) == 0
    return folder


def test_an_obsm_entry_becomes_embeddings(h5ad, cells):
    found = read_trainees(h5ad, obsm="X_own", groups="donor")
    np.testing.assert_array_equal(found.embeddings.values, cells.obsm["X_own"])
    assert found.embeddings.cell_ids.tolist() == cells.obs_names.tolist()
    assert found.groups == cells.obs["donor"].tolist()
    command = f"conceptome run {h5ad} --out RUN --encoder obsm:X_own --donor-key donor"
    assert found.run_command == command


def test_a_run_folder_gives_its_embeddings_and_the_donors_of_its_cells(run_folder, cells):
    alone = read_trainees(run_folder)
    assert alone.embeddings == run_folder / "embeddings.zarr"
    assert alone.groups is None
    assert alone.run_command == f"conceptome run --config {run_folder / 'config.toml'}"
    found = read_trainees(run_folder, groups="donor")
    assert found.groups == cells.obs["donor"].tolist()
    assert found.run_command == f"{alone.run_command} --donor-key donor"


def test_a_run_without_embeddings_says_how_to_go_on(run_folder, tmp_path):
    folder = RunFolder.existing(run_folder)
    folder.path = tmp_path
    folder.manifest["stages"].pop("embed")
    folder.save_manifest()
    with pytest.raises(BundleError) as error:
        read_trainees(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: the stage 'embed' is not finished, or its files have changed. Continue with: "
        f"conceptome run --config {run_folder / 'config.toml'}"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "{} has X_own in obsm. Name one of them with --obsm."),
        ({"obsm": "X_won"}, "obsm has no entry 'X_won'; it has X_own. Did you mean 'X_own'?"),
        (
            {"obsm": "X_own", "groups": "patient"},
            "obs has no column 'patient'; it has donor.",
        ),
    ],
)
def test_what_is_not_in_the_file_is_named_beside_what_is(h5ad, options, message):
    with pytest.raises(InputError) as error:
        read_trainees(h5ad, **options)
    assert str(error.value) == message.format(h5ad)


def test_a_file_without_embedding_and_donors_with_gaps(cells, tmp_path):
    bare = cells.copy()
    del bare.obsm["X_own"]
    bare.write_h5ad(tmp_path / "bare.h5ad")
    with pytest.raises(InputError, match=r"has no embedding in obsm\. Make one with: conceptome embed "):
        read_trainees(tmp_path / "bare.h5ad")
    gaps = cells.copy()
    gaps.obs["donor"] = [None, *gaps.obs["donor"].iloc[1:]]
    gaps.write_h5ad(tmp_path / "gaps.h5ad")
    with pytest.raises(InputError) as error:
        read_trainees(tmp_path / "gaps.h5ad", obsm="X_own", groups="donor")
    assert str(error.value) == (
        "obs['donor'] is empty in 1 of 80 cells. Fill it in, or choose another column."
    )


def test_an_array_takes_no_columns(run_folder, tmp_path):
    np.save(tmp_path / "z.npy", np.zeros((60, 3)))
    assert read_trainees(tmp_path / "z.npy").embeddings == tmp_path / "z.npy"
    with pytest.raises(InputError) as error:
        read_trainees(tmp_path / "z.npy", groups="donor")
    assert str(error.value) == (
        f"{tmp_path / 'z.npy'} is an array, not an .h5ad file, so that --groups has no meaning. Leave "
        "--groups out."
    )
    with pytest.raises(InputError, match="is a run folder, so that --obsm has no meaning"):
        read_trainees(run_folder, obsm="X_own")


def test_a_dictionary_is_trained_once_and_names_the_next_step(h5ad, tmp_path, capsys, monkeypatch):
    words = ["train", str(h5ad), "--obsm", "X_own", "--out", str(tmp_path / "d"), "--n-concepts", "6", *QUICK]
    assert main(words) == 0
    first = capsys.readouterr().out
    assert f"{tmp_path / 'd'} (topk; 6 concepts, " in first
    assert "held-out R2 " in first
    assert first.endswith(
        f"Next: conceptome run {h5ad} --out RUN --encoder obsm:X_own --n-concepts 6 --k 2\n"
        "It trains for up to 1,000 epochs instead of 3.\n"
    )
    names = {item.name for item in (tmp_path / "d").iterdir()}
    assert names - {".lock"} == {"config.json", "weights.safetensors", "task.json"}
    assert dictionaries.load(tmp_path / "d").n_concepts == 6
    monkeypatch.setattr(dictionaries, "train", None, raising=False)
    assert main(words) == 0
    assert capsys.readouterr().out == first


def test_the_next_step_says_what_a_run_does_otherwise(h5ad, run_folder, tmp_path, capsys, monkeypatch):
    options = dictionaries.TopK(6, 2)
    monkeypatch.setattr(type(options), "epochs", lambda self, n_train: self.max_epochs or 3)
    own = ["train", str(h5ad), "--obsm", "X_own", "--out", str(tmp_path / "own"), "--n-concepts", "6"]
    assert main([*own, "--seed", "4"]) == 0
    assert capsys.readouterr().out.endswith(" --encoder obsm:X_own --n-concepts 6 --k 2 --seed 4\n")
    of_run = ["train", str(run_folder), "--n-concepts", "6"]
    command = f"Next: conceptome run --config {run_folder / 'config.toml'} --n-concepts 6 --k 2\n"
    assert main([*of_run, "--out", str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out.endswith(command)
    assert main([*of_run, "--out", str(tmp_path / "b"), "--seed", "4", "--max-epochs", "2"]) == 0
    assert capsys.readouterr().out.endswith(
        f"{command}It trains with the seed of its embedding, 0 instead of 4 and for up to 3 epochs instead "
        "of 2.\n"
    )


def test_epochs_are_passes_over_the_cells_however_they_are_read(cells, monkeypatch):
    options = dictionaries.TopK(6, 2, max_epochs=3)
    whole = dictionaries.train(cells.obsm["X_own"], options, progress=False)
    monkeypatch.setattr(sources, "BLOCK_ROWS", 10)
    monkeypatch.setattr(rounds, "ROUND_BYTES", 40 * 4 * 4)
    streamed = dictionaries.train(cells.obsm["X_own"], options, progress=False)
    assert len(streamed.training["progress"]) == 2 * len(whole.training["progress"]) == 6
    for dictionary in (whole, streamed):
        assert describe_training(dictionary).endswith(" after 3 epochs")
    streamed.training["progress"].pop()
    assert describe_training(streamed).endswith(" after 2.5 epochs")
    whole.training["options"]["axes"] = 1.0
    assert describe_training(whole).endswith(" after 3 epochs from principal axes")


def test_another_result_is_not_overwritten(h5ad, tmp_path, capsys):
    words = ["train", str(h5ad), "--obsm", "X_own", "--out", str(tmp_path / "d"), "--n-concepts", "6", *QUICK]
    assert main(words) == 0
    assert main([*words, "--seed", "4"]) == 1
    assert "holds the results of another task: seed was 0 and is 4." in capsys.readouterr().err
    assert main([*words, "--sweep"]) == 1
    assert "task was 'dictionary' and is 'sweep'" in capsys.readouterr().err
    (tmp_path / "mine.txt").write_text("notes")
    assert main([*words[:4], "--out", str(tmp_path)]) == 1
    assert "holds other files and no task.json" in capsys.readouterr().err


def test_a_folder_in_use_is_refused(h5ad, tmp_path, capsys):
    words = ["train", str(h5ad), "--obsm", "X_own", "--out", str(tmp_path / "d"), "--n-concepts", "6", *QUICK]
    assert main(words) == 0
    with FileLock(tmp_path / "d" / ".lock"):
        assert main(words) == 1
    assert capsys.readouterr().err == (
        f"conceptome: {tmp_path / 'd'} is in use by another conceptome process. Wait for it, or name another "
        "folder.\n"
    )


def test_an_interrupted_training_goes_on_from_its_checkpoint(cells, tmp_path, monkeypatch):
    trainees = Trainees(cells.obsm["X_own"], None)
    options = dictionaries.TopK(6, 2, max_epochs=4)

    def interrupted(self, path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(dictionaries.TopKDictionary, "save", interrupted)
        training.train_into(tmp_path / "d", trainees, options, seed=0, device="cpu")
    assert (tmp_path / "d" / "training.safetensors").is_file()
    with pytest.raises(CheckpointError, match="is not a dictionary"):
        dictionaries.load(tmp_path / "d")
    found = training.train_into(tmp_path / "d", trainees, options, seed=0, device="cpu")
    assert (
        found.dictionary_id == dictionaries.train(cells.obsm["X_own"], options, progress=False).dictionary_id
    )
    assert not (tmp_path / "d" / "training.safetensors").exists()


def test_a_sweep_leaves_tables_plot_and_recommendation(run_folder, tmp_path, capsys):
    out = tmp_path / "sweep"
    sizes = ["--n-concepts", "4", "8", "--k", "2", "--n-seeds", "2", "--n-workers", "1", *QUICK]
    assert main(["train", str(run_folder), "--out", str(out), "--sweep", "--groups", "donor", *sizes]) == 0
    text = capsys.readouterr().out
    table, said = pd.read_csv(out / "settings.csv"), json.loads((out / "recommendation.json").read_text())
    assert table["n_concepts"].tolist() == [8, 4]
    pd.testing.assert_frame_equal(pd.read_parquet(out / "settings.parquet"), table, check_dtype=False)
    assert len(pd.read_csv(out / "trained.csv")) == 4
    chosen = int(table["n_concepts"][table["recommended"]].iloc[0])
    assert said["options"]["n_concepts"] == chosen
    assert dictionaries.load(out / said["dictionary"]).n_concepts == chosen
    assert f"Recommended: {said['reason']}" in text
    assert text.endswith(
        f"Next: conceptome run --config {run_folder / 'config.toml'} --donor-key donor "
        f"--n-concepts {chosen} --k 2\nIt trains for up to 1,000 epochs instead of 3.\n"
    )
    with Image.open(out / "sweep.png") as picture:
        assert picture.size == (700, 1080)
        assert len(np.unique(np.asarray(picture).reshape(-1, 4), axis=0)) > 50
    assert not (out / ".partial").exists()


def test_other_families_and_arrays_are_loaded_in_python(cells, tmp_path, capsys):
    store = zarr.create_array(tmp_path / "z.zarr", shape=(N_CELLS, 4), dtype="float32")
    store[:] = cells.obsm["X_own"]
    out = tmp_path / "d"
    words = ["train", str(tmp_path / "z.zarr"), "--out", str(out), "--family", "matryoshka", *QUICK]
    assert main([*words, "--n-concepts", "8", "--k", "2"]) == 0
    assert f"Next (in Python): dictionary = cm.dictionaries.load({str(out)!r})" in capsys.readouterr().out
    assert isinstance(dictionaries.load(out), dictionaries.MatryoshkaDictionary)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--n-seeds", "5"], "--n-seeds is for a sweep. Add --sweep, or leave --n-seeds out."),
        (["--n-workers", "2"], "--n-workers is for a sweep. Add --sweep, or leave --n-workers out."),
        (["--k", "2", "3"], "--k has 2 values, a dictionary has one. Give one, or add --sweep."),
        (
            ["--family", "relu_l1", "--k", "2"],
            "The family relu_l1 has no k. Leave it out, or choose another family.",
        ),
        (
            ["--n-concepts", "2", "--k", "3"],
            "k is 3, expected 1 to n_concepts = 2. ",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(h5ad, tmp_path, capsys, options, message):
    words = ["train", str(h5ad), "--obsm", "X_own", "--out", str(tmp_path / "d"), *options]
    assert main(words) == 1
    assert capsys.readouterr().err.startswith(f"conceptome: {message}")
    assert not (tmp_path / "d").exists()


def test_every_family_has_a_name():
    options = {"topk": "TopK", "batch_topk": "BatchTopK", "jumprelu": "JumpReLU", "matryoshka": "Matryoshka"}
    for name, family in (options | {"relu_l1": "ReluL1"}).items():
        made = family_options(name, {"max_epochs": 7})
        assert type(made).__name__ == family
        assert made.max_epochs == 7
