"""Embedding straight to disk: the same numbers as at once, resumable, from a file that stays on disk."""

import json

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import conceptome as cm
from conceptome.cli import main
from conceptome.core import InputError
from conceptome.encoders import LinearEncoder
from conceptome.pipeline import RunConfig, describe_run, embedding, run
from conceptome.pipeline.storage import load_embeddings


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A saved encoder, and what it says of the demo's cells."""
    folder = tmp_path_factory.mktemp("encoder")
    encoder = cm.encoders.fit("linear", cm.data.demo(), options=cm.encoders.LinearOptions(n_components=6))
    encoder.save(folder)
    return folder, encoder.embed(cm.data.demo())


@pytest.fixture
def embedded_cells(monkeypatch):
    """The number of cells in each call of an encoder; chunks are small."""
    calls = []
    embed = LinearEncoder.embed

    def counted(self, adata, **options):
        calls.append(adata.n_obs)
        return embed(self, adata, **options)

    monkeypatch.setattr(LinearEncoder, "embed", counted)
    monkeypatch.setattr(embedding, "CHUNK_CELLS", 100)
    return calls


def settings(out, folder, **changes):
    return RunConfig(**{"data": "demo", "out": str(out), "encoder": f"linear:{folder}", **changes})


def interrupt_after(monkeypatch, n_chunks):
    write = embedding.storage.write_embeddings
    written = []

    def interrupted(path, rows, values):
        if len(written) == n_chunks:
            raise KeyboardInterrupt
        written.append(rows)
        write(path, rows, values)

    monkeypatch.setattr(embedding.storage, "write_embeddings", interrupted)


def test_chunks_give_what_one_call_gives(fitted, tmp_path, embedded_cells):
    folder = run(settings(tmp_path / "run", fitted[0]), until="embed")
    record = load_embeddings(folder / "embeddings.zarr")
    np.testing.assert_array_equal(record.values, fitted[1].values)
    assert record.cell_ids.equals(fitted[1].cell_ids)
    assert record.encoder_id == fitted[1].encoder_id
    assert record.encoder_name == "linear"
    assert embedded_cells == [100] * 7
    entry = json.loads((folder / "manifest.json").read_text())["stages"]["embed"]
    assert entry["message"].startswith("700 cells, 6 coordinates (")
    assert entry["cells_per_second"] > 0
    assert sorted(path.name for path in folder.iterdir()) == [
        *(".lock", "config.toml", "embeddings.zarr", "encoder", "log.txt", "manifest.json")
    ]
    assert "train      not done" in describe_run(folder)


def test_what_later_stages_were_made_with_is_kept(fitted, tmp_path):
    config = settings(tmp_path / "run", fitted[0], n_concepts=9, label_key=("cell_type",), seed=1)
    run(config, until="embed")
    folder = run(settings(tmp_path / "run", fitted[0], seed=2), until="embed")
    kept = json.loads((folder / "manifest.json").read_text())["config"]
    assert (kept["n_concepts"], kept["label_key"], kept["seed"]) == (9, ["cell_type"], 2)
    assert "n_concepts = 9" in (folder / "config.toml").read_text()


def test_an_interrupted_embedding_goes_on(fitted, tmp_path, embedded_cells, monkeypatch):
    config = settings(tmp_path / "run", fitted[0])
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            run(config, until="embed")
    assert not (tmp_path / "run" / "embeddings.zarr").exists()
    embedded_cells.clear()
    folder = run(config, until="embed")
    assert embedded_cells == [100] * 4
    np.testing.assert_array_equal(load_embeddings(folder / "embeddings.zarr").values, fitted[1].values)
    assert not (folder / ".unfinished").exists()


def test_other_settings_start_anew(fitted, tmp_path, embedded_cells, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            run(settings(tmp_path / "run", fitted[0]), until="embed")
    embedded_cells.clear()
    run(settings(tmp_path / "run", fitted[0], seed=1), until="embed")
    assert embedded_cells == [100] * 7
    assert not (tmp_path / "run" / ".unfinished").exists()


@pytest.mark.parametrize("kind", ["csr", "csc", "dense", "layer", "raw"])
def test_files_of_every_kind(fitted, tmp_path, embedded_cells, kind):
    adata = cm.data.demo()
    counts = adata.X.copy()
    if kind in ("layer", "raw"):
        adata.X = sp.csr_matrix(np.log1p(counts.toarray() / 3))
        if kind == "layer":
            adata.layers["counts"] = counts
        else:
            adata.raw = ad.AnnData(counts[:, ::-1], obs=adata.obs, var=adata.var.iloc[::-1])
    elif kind != "csr":
        adata.X = counts.toarray() if kind == "dense" else sp.csc_matrix(counts)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    folder = run(settings(tmp_path / "run", fitted[0], data=str(tmp_path / "cells.h5ad")), until="embed")
    np.testing.assert_array_equal(load_embeddings(folder / "embeddings.zarr").values, fitted[1].values)
    assert embedded_cells == [100] * 7


def test_a_fitted_encoder_takes_options(tmp_path):
    config = settings(tmp_path / "run", "", encoder="linear", encoder_options=("n_components=5",))
    folder = run(config, until="embed")
    assert load_embeddings(folder / "embeddings.zarr").values.shape == (700, 5)


def test_an_embedding_of_the_data(tmp_path):
    adata = cm.data.demo()
    adata.obsm["X_own"] = np.random.default_rng(0).normal(size=(700, 3))
    adata.write_h5ad(tmp_path / "cells.h5ad")
    config = settings(tmp_path / "run", "", data=str(tmp_path / "cells.h5ad"), encoder="obsm:X_own")
    record = load_embeddings(run(config, until="embed") / "embeddings.zarr")
    np.testing.assert_array_equal(record.values, adata.obsm["X_own"])
    encoder = cm.encoders.load("obsm", tmp_path / "run" / "encoder")
    assert encoder.encoder_id == record.encoder_id
    assert encoder.d_embed == 3


def test_the_command(fitted, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["embed", "demo", "--out", str(out), "--encoder", f"linear:{fitted[0]}"]
    assert main(words) == 0
    assert capsys.readouterr().out == f"Embeddings: {out / 'embeddings.zarr'}\n"
    assert main([*words, "--encoder-options", "layer=2"]) == 1
    assert "has no option 'layer'" in capsys.readouterr().err


def test_chunks_of_counts_must_be_where_they_are_said_to_be():
    adata = cm.data.demo()
    with pytest.raises(InputError) as caught:
        next(cm.data.count_chunks(adata, place="layers['spliced']"))
    assert "spliced" in str(caught.value)
    adata.layers["counts"] = sp.csr_matrix(np.log1p(adata.X.toarray()))
    with pytest.raises(
        InputError, match=r"layers\['counts'\] holds non-integer values .* in the cells 0 to 50"
    ):
        next(cm.data.count_chunks(adata, place="layers['counts']", n_rows=50))


def test_cells_that_cannot_be_embedded_are_named_before_any_is(fitted, tmp_path, embedded_cells):
    adata = cm.data.demo()
    encoder = cm.encoders.load("linear", fitted[0])
    known = encoder.known(adata)
    adata = adata[:, np.argsort(~known, kind="stable")].copy()
    counts = adata.X.toarray()
    foreign = np.zeros((adata.n_obs, 1), dtype=np.float32)
    foreign[[450, 690]] = 5
    counts[[450, 690]] = 0
    cells = ad.AnnData(np.hstack([counts, foreign]), obs=adata.obs)
    cells.var_names = [*adata.var_names, "FOREIGN"]
    cells.write_h5ad(tmp_path / "cells.h5ad")
    config = settings(tmp_path / "run", fitted[0], data=str(tmp_path / "cells.h5ad"))
    with pytest.raises(InputError) as caught:
        run(config, until="embed")
    assert str(adata.obs_names[450]) in str(caught.value)
    assert str(adata.obs_names[690]) in str(caught.value)
    assert embedded_cells == [2]


def test_reading_x_has_no_meaning_in_a_run(shared, tmp_path):
    model = f"scgpt:{shared / 'fixtures' / 'scgpt_tiny' / 'checkpoint'}"
    config = settings(tmp_path / "run", "", encoder=model, encoder_options=("reads=x",))
    with pytest.raises(InputError, match="The encoder option reads=x has no effect in a run"):
        run(config, until="embed")


def test_an_encoder_half_saved_is_made_again(fitted, tmp_path, monkeypatch):
    save = LinearEncoder.save
    calls = []

    def cut(self, path):
        calls.append(path)
        if len(calls) == 1:
            path.mkdir(parents=True)
            (path / "config.json").write_text("{}")
            raise KeyboardInterrupt
        save(self, path)

    monkeypatch.setattr(LinearEncoder, "save", cut)
    with pytest.raises(KeyboardInterrupt):
        run(settings(tmp_path / "run", fitted[0]), until="embed")
    folder = run(settings(tmp_path / "run", fitted[0]), until="embed")
    assert load_embeddings(folder / "embeddings.zarr").encoder_id == fitted[1].encoder_id
    assert len(calls) == 2
