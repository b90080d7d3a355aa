import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptome.core import CheckpointError
from conceptome.dictionaries import NeuronDictionary, PcaDictionary, TopKDictionary, Weights, load
from conceptome.dictionaries.storage import moved_into


def make(seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    shapes = {"w_enc": (8, 4), "b_enc": 8, "directions": (8, 4), "b_dec": 4, "mean": 4}
    weights = Weights(**{name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()})
    return TopKDictionary(weights, k=3, scale=rng.uniform(0.1, 3), encoder_id="e", training={"seed": seed})


@given(seed=st.integers(0, 1000), dtype=st.sampled_from([np.float32, np.float64]))
@settings(max_examples=15, deadline=None)
def test_saving_and_loading_is_the_identity(tmp_path_factory, seed, dtype):
    path = tmp_path_factory.mktemp("dictionary")
    saved = make(seed, dtype)
    saved.save(path)
    loaded = load(path)
    assert isinstance(loaded, TopKDictionary)
    assert loaded.dictionary_id == saved.dictionary_id
    assert loaded.settings() == saved.settings()
    assert loaded.training == saved.training
    for name, array in saved.weights.arrays().items():
        np.testing.assert_array_equal(loaded.weights.arrays()[name], array, strict=True)


@pytest.mark.parametrize("family", [NeuronDictionary, PcaDictionary])
def test_baselines_come_back_as_what_they_were(tmp_path, family):
    z = np.random.default_rng(0).normal(size=(60, 4))
    saved = family.fit(z)
    saved.save(tmp_path)
    loaded = load(tmp_path)
    assert type(loaded) is family
    np.testing.assert_array_equal(loaded.encode(z).toarray(), saved.encode(z).toarray())


def test_the_id_follows_the_content():
    assert make(0).dictionary_id == make(0).dictionary_id
    assert make(0).dictionary_id != make(1).dictionary_id
    one = make(0)
    other = TopKDictionary(one.weights, k=2, scale=one.scale, encoder_id="e")
    assert other.dictionary_id != one.dictionary_id


def test_refuses_a_folder_without_a_dictionary(tmp_path):
    with pytest.raises(CheckpointError) as error:
        load(tmp_path / "none")
    assert str(error.value) == (
        f"{tmp_path / 'none'} is not a dictionary: it has no config.json. "
        "Give a folder written by dictionary.save."
    )


def test_refuses_broken_settings(tmp_path):
    make().save(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read .* Restore the folder"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="names no 'kind' and 'dictionary_id'"):
        load(tmp_path)


def test_refuses_damaged_or_missing_weights(tmp_path):
    make().save(tmp_path)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match=r"weights\.safetensors cannot be read"):
        load(tmp_path)
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"weights\.safetensors cannot be read"):
        load(tmp_path)


def test_refuses_changed_content(tmp_path):
    saved = make()
    saved.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "k": 2}))
    with pytest.raises(CheckpointError) as error:
        load(tmp_path)
    changed = TopKDictionary(saved.weights, k=2, scale=saved.scale, encoder_id="e").dictionary_id
    assert str(error.value) == (
        f"{tmp_path} has changed since it was saved: its content is {changed}, its name "
        f"{saved.dictionary_id}. Restore the folder or train again."
    )


@pytest.mark.parametrize("change", [{"colour": "red"}, {"scale": "red"}, {"k": 99}])
def test_refuses_settings_it_does_not_know(tmp_path, change):
    make().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(CheckpointError, match="settings do not fit a 'topk' dictionary"):
        load(tmp_path)


def test_refuses_a_kind_that_is_not_installed(tmp_path):
    make().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "kind": "foreign"}))
    with pytest.raises(CheckpointError, match="holds a dictionary of kind 'foreign'; installed are"):
        load(tmp_path)
    with pytest.raises(CheckpointError, match="holds a 'foreign' dictionary with the weights"):
        TopKDictionary.load(tmp_path)


def test_files_are_moved_when_all_are_whole_and_the_last_one_tells(tmp_path, monkeypatch):
    folder, moved, replace = tmp_path / "new", [], Path.replace
    monkeypatch.setattr(Path, "replace", lambda file, to: moved.append(file.name) or replace(file, to))

    def write(*names, error=False):
        with moved_into(folder, last="b") as scratch:
            assert list(scratch.iterdir()) == []
            for name in names:
                (scratch / name).write_text(name)
            if error:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write("a", "b", error=True)
    assert not moved
    write("c", "b", "a")
    assert sorted(item.name for item in folder.iterdir()) == ["a", "b", "c"]
    assert moved[-1] == "b"
    (folder / "notes").write_text("kept")
    write("a")
    assert (folder / "notes").read_text() == "kept"
