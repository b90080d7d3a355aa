import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from conceptome.core import Embeddings, InputError
from conceptome.dictionaries import sources
from conceptome.dictionaries.sources import Source

EXPECTED = "expected an .npy file, a zarr array or embeddings.zarr of a run"


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=(700, 5)).astype(np.float32)


def as_npy(values, path):
    np.save(path / "z.npy", values)
    return path / "z.npy"


def as_zarr(values, path):
    array = zarr.create_array(str(path / "z.zarr"), shape=values.shape, chunks=(64, 5), dtype=values.dtype)
    array[:] = values
    return str(path / "z.zarr")


def as_run(values, path):
    from conceptome.pipeline import storage

    names = pd.Index([f"cell{row}" for row in range(len(values))], dtype=object)
    record = Embeddings(values, names, "abc", "linear")
    storage.create_embeddings(path / "embeddings.zarr", record, names, chunk_cells=128)
    storage.write_embeddings(path / "embeddings.zarr", slice(0, len(values)), values)
    return path / "embeddings.zarr"


@pytest.mark.parametrize("place", [as_npy, as_zarr, as_run, lambda values, path: values.astype(np.float64)])
def test_reads_the_same_wherever_it_lies(values, tmp_path, place):
    source = Source.of(place(values, tmp_path))
    assert (source.n_cells, source.d_embed) == (700, 5)
    np.testing.assert_allclose(source.read(slice(650, 900)), values[650:], rtol=1e-7)
    np.testing.assert_allclose(np.concatenate([block for _, block in source.blocks(300)]), values, rtol=1e-7)
    wanted = np.arange(700) % 7 == 3
    np.testing.assert_allclose(source.take(wanted), values[wanted], rtol=1e-7)


def test_names_and_encoder(values, tmp_path):
    run, bare = Source.of(as_run(values, tmp_path)), Source.of(values)
    assert (run.names[3], run.encoder_id) == ("cell3", "abc")
    assert (bare.names[3], bare.encoder_id) == ("3", "")


def test_a_survey_is_that_of_numpy_whatever_the_blocks(values, monkeypatch):
    used = np.arange(700) % 3 > 0
    found = Source.of(values).survey(used)
    np.testing.assert_allclose(found.mean, values[used].mean(axis=0, dtype=np.float64), rtol=1e-10)
    centred = values[used] - found.mean
    assert found.variance == pytest.approx((centred**2).sum(axis=1).mean(), rel=1e-10)
    assert Source.of(values[::-1].copy()).survey(used).content != found.content
    monkeypatch.setattr(sources, "LARGEST_BLOCK", 256)
    assert Source.of(values).survey(used).content == found.content


def test_refuses_what_is_not_finite(values):
    values[[3, 500], 1] = np.nan
    message = "The embedding has NaN or infinite values in 2 of 700 cells, expected finite numbers."
    with pytest.raises(InputError, match=message):
        Source.of(values).survey(np.ones(700, dtype=bool))


def test_says_which_cells_cannot_be_read(values, tmp_path):
    stored = zarr.create_array(str(tmp_path / "cells.zarr"), data=values, chunks=(100, values.shape[1]))
    assert stored.shape == values.shape
    chunk = next(file for file in (tmp_path / "cells.zarr").rglob("6/0"))
    chunk.write_bytes(b"damaged")
    with pytest.raises(InputError, match="Cells 0 to 700 of the embedding cannot be read as numbers"):
        Source.of(tmp_path / "cells.zarr").survey(np.ones(700, dtype=bool))
    with pytest.raises(InputError, match="Give a dense array of numbers"):
        Source.of(sp.csr_array(values)).read(slice(0, 10))


def test_refuses_what_is_not_an_embedding(values, tmp_path):
    missing = tmp_path / "missing.npy"
    with pytest.raises(InputError, match=f"Found nothing at {missing}, {EXPECTED}"):
        Source.of(missing)
    text = tmp_path / "text.npy"
    text.write_text("cells")
    with pytest.raises(InputError, match=f"{text} is not an array .*, {EXPECTED}"):
        Source.of(text)
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(InputError, match=f"{objects} is not an array"):
        Source.of(objects)
    fortran = tmp_path / "fortran.npy"
    np.save(fortran, np.asfortranarray(values))
    with pytest.raises(InputError, match="float32 in Fortran order"):
        Source.of(fortran)
    truncated = tmp_path / "truncated.npy"
    np.save(truncated, values)
    truncated.write_bytes(truncated.read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{truncated} is not an array"):
        Source.of(truncated)
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(InputError, match=f"{folder} is not zarr .*, {EXPECTED}"):
        Source.of(folder)
    group = tmp_path / "group.zarr"
    zarr.open_group(str(group), mode="w").create_array("x", shape=(2,), dtype="f4")
    with pytest.raises(InputError, match=f"{group} is a zarr group that holds x, {EXPECTED}"):
        Source.of(group)
    with pytest.raises(InputError, match=r"An embedding is 2-d \(cells x d_embed\), found 3 dimensions"):
        Source.of(np.zeros((2, 3, 4)))
