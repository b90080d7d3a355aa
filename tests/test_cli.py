"""The command line as a person meets it."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from conceptome.cli import main
from conceptome.cli.shared import at_home


def cells(n_cells=60, n_genes=40, seed=0):
    counts = np.random.default_rng(seed).poisson(1.0, (n_cells, n_genes)).astype(np.float32)
    counts[:, 0] += 1
    obs = pd.DataFrame({"cell_type": ["B", "T"] * (n_cells // 2)}, index=[f"c{i}" for i in range(n_cells)])
    return AnnData(
        sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=[f"GENE{i}" for i in range(n_genes)])
    )


def write(adata, path):
    adata.write_h5ad(path)
    return path


def log_normalised(adata):
    adata.X = sp.csr_matrix(np.log1p(adata.X.toarray() / adata.X.sum(1) * 1e4))
    return adata


def with_value(adata, value):
    dense = adata.X.toarray()
    dense[3, 5] = value
    adata.X = dense
    return adata


def duplicated(adata):
    adata.var_names = ["CD3E", "CD3E", *adata.var_names[2:]]
    return adata


def with_empty_cell(adata):
    dense = adata.X.toarray()
    dense[7] = 0
    adata.X = dense
    return adata


def no_h5ad(path):
    path.write_text("gene,cell\n")
    return path


def truncated(path):
    whole = write(cells(), path.with_name("whole.h5ad")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def foreign_hdf5(path):
    with h5py.File(path, "w") as file:
        file["matrix"] = np.zeros(3)
    return path


BAD = {
    "no such file": (lambda path: path, "does not exist"),
    "no HDF5": (no_h5ad, "HDF5"),
    "truncated": (truncated, "truncated"),
    "foreign HDF5": (foreign_hdf5, "AnnData"),
    "log-normalised": (lambda path: write(log_normalised(cells()), path), "log-normalised"),
    "NaN": (lambda path: write(with_value(cells(), np.nan), path), "NaN"),
    "negative": (lambda path: write(with_value(cells(), -1.0), path), "negative"),
    "duplicate genes": (lambda path: write(duplicated(cells()), path), "CD3E"),
    "empty cell": (lambda path: write(with_empty_cell(cells()), path), "c7"),
    "no X": (lambda path: write(AnnData(obs=cells().obs, var=cells().var), path), "X is empty"),
    "no cells": (lambda path: write(cells()[:0], path), "0 cells"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_data_ends_with_one_message_and_nothing_written(kind, tmp_path, capsys):
    make, word = BAD[kind]
    path = make(tmp_path / "data.h5ad")
    assert main(["run", str(path), "--encoder", "linear", "--out", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("conceptome: ")
    assert word in error
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--label-key", "celltype"], "cell_type"),
        (["--gene-sets", "none.gmt"], "none.gmt"),
        (["--encoder", "scvy"], "scvy"),
        (["--encoder", "obsm:X_none"], "X_none"),
        (["--encoder", "scvi:nowhere"], "nowhere"),
        (["--n-concepts", "4", "--k", "9"], "9"),
        (["--n-pairs", "0"], "n_pairs is 0"),
        (["--config", "none.toml"], "none.toml"),
    ],
)
def test_bad_options_end_with_one_message(options, word, tmp_path, capsys):
    path = write(cells(), tmp_path / "data.h5ad")
    given = [] if "--encoder" in options else ["--encoder", "linear"]
    assert main(["run", str(path), *given, "--out", str(tmp_path / "run"), *options]) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("conceptome: ")
    assert word in error[-1]
    assert not any("stopped by" in line for line in error), "one message, not two"
    found = {item.name for item in (tmp_path / "run").iterdir()} if (tmp_path / "run").exists() else set()
    assert found <= {".lock", "config.toml", "log.txt", "manifest.json"}


def test_options_that_take_several_values_may_be_repeated():
    from conceptome.cli import _parser

    words = ["run", "x.h5ad", "--out", "r", "--label-key", "a", "--label-key", "b", "c"]
    assert _parser().parse_args(words).label_key == ["a", "b", "c"]


def without_x(path):
    adata = cells()
    adata.layers["counts"] = adata.X
    adata.X = None
    return write(adata, path)


def test_counts_may_be_in_a_layer_of_a_file_without_x(tmp_path, capsys):
    assert main(["inspect", str(without_x(tmp_path / "data.h5ad"))]) == 0
    assert "raw counts: in layers['counts']" in capsys.readouterr().out


@pytest.mark.parametrize(
    "word", ["{}/data.h5ad", "--out={}/run", "scvi:{}/model", "--encoder=scvi:{}/m", "{}"]
)
def test_a_tilde_that_the_shell_has_left_is_the_home_folder(word):
    assert at_home(word.format("~")) == word.format(Path.home())
    assert at_home(word.format("a~b")) == word.format("a~b")


def test_what_only_a_later_stage_reads_is_refused_before_the_first(tmp_path, capsys):
    adata = cells()
    adata.obs["donor"] = "only"
    path, damaged = write(adata, tmp_path / "data.h5ad"), no_h5ad(tmp_path / "go.obo")
    words = ["run", str(path), "--encoder", "linear", "--out", str(tmp_path / "run")]
    assert main([*words, "--donor-key", "donor"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "conceptome: donor_key is 'donor', but obs['donor'] has the single value 'only'; holding out whole "
        "donors needs two or more. Leave donor_key out, and cells are held out."
    )
    assert main([*words, "--ontology", str(damaged)]) == 1
    assert "go.obo, line 1: found 'gene,cell', expected 'tag: value'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_out_folder_that_cannot_be_made_is_named(tmp_path, capsys):
    path = write(cells(), tmp_path / "data.h5ad")
    assert main(["run", str(path), "--encoder", "linear", "--out", str(path / "run")]) == 1
    error = capsys.readouterr().err
    last = error.splitlines()[-1]  # before it, the warning that no gene of the collection is measured
    assert last.startswith("conceptome: ")
    assert last.endswith("Choose another --out.")


def test_debug_shows_the_traceback(tmp_path, capsys):
    assert main(["run", str(tmp_path / "none.h5ad"), "--out", str(tmp_path / "run"), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_interrupt_exits_with_130(tmp_path, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("conceptome.pipeline.run", interrupt, raising=False)
    assert main(["run", "demo", "--out", str(tmp_path / "run")]) == 130
    assert "the same command continues from there" in capsys.readouterr().err


def test_wrong_usage_exits_with_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["run", "x.h5ad", "--no-such-option"])
    assert stop.value.code == 2
    assert "usage: conceptome" in capsys.readouterr().err


def test_help_names_every_setting(capsys):
    from dataclasses import fields

    from conceptome.pipeline import RunConfig

    with pytest.raises(SystemExit) as stop:
        main(["run", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for field in fields(RunConfig):
        assert field.name == "data" or f"--{field.name.replace('_', '-')}" in text


def test_inspect_describes_data_and_refuses_other_folders(tmp_path, capsys):
    assert main(["inspect", str(write(cells(), tmp_path / "data.h5ad"))]) == 0
    assert "60" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path)]) == 1
    assert "is no run folder" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "data.h5ad"), "--gene", "CD3E"]) == 1
    assert "data.h5ad is a file, expected the folder of a run." in capsys.readouterr().err


def test_the_installed_command_works():
    done = subprocess.run(
        [sys.executable, "-m", "conceptome.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("conceptome ")
