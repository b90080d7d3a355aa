import json

import numpy as np
import pytest

from conceptome.core import CheckpointError
from conceptome.encoders.storage import load_folder, reading_settings, require_shapes, save_folder

CONFIG = {"encoder": "linear", "options": {"log1p": True}}


def test_what_is_saved_is_loaded(tmp_path):
    weights = {"w": np.arange(6.0).reshape(2, 3).T, "n": np.array(3), "b": np.zeros(0, dtype=np.float32)}
    save_folder(tmp_path / "deep" / "model", CONFIG, weights)
    config, found = load_folder(tmp_path / "deep" / "model", "linear")
    assert config == {**CONFIG, "format": 1}
    for name, array in weights.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("missing", ["config.json", "weights.safetensors"])
def test_names_the_missing_file(tmp_path, missing):
    save_folder(tmp_path, CONFIG, {"w": np.zeros(2)})
    (tmp_path / missing).unlink()
    with pytest.raises(CheckpointError) as caught:
        load_folder(tmp_path, "linear")
    assert str(caught.value) == (
        f"{tmp_path} is no saved linear encoder: {missing} missing. Give the folder that encoder.save() "
        "wrote."
    )


@pytest.mark.parametrize("damaged", ["config.json", "weights.safetensors"])
def test_refuses_damaged_files(tmp_path, damaged):
    save_folder(tmp_path, CONFIG, {"w": np.zeros(200)})
    content = (tmp_path / damaged).read_bytes()
    (tmp_path / damaged).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="holds a damaged encoder"):
        load_folder(tmp_path, "linear")


@pytest.mark.parametrize("change", [{"encoder": "scvi"}, {"format": 99}])
def test_refuses_other_kinds_and_formats(tmp_path, change):
    save_folder(tmp_path, CONFIG, {"w": np.zeros(2)})
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "format": 1, **change}))
    with pytest.raises(CheckpointError, match="expected encoder 'linear' in format 1"):
        load_folder(tmp_path, "linear")


def test_refuses_wrong_shapes():
    with pytest.raises(CheckpointError) as caught:
        require_shapes("model", {"w": np.zeros((2, 3))}, {"w": (3, 2)})
    message = "model: the array 'w' has shape (2, 3), the settings ask for (3, 2). The file is damaged."
    assert str(caught.value) == message
    require_shapes("model", {"w": np.zeros((2, 3)), "more": np.zeros(1)}, {"w": (2, 3)})


def test_names_the_setting_that_cannot_be_read(tmp_path):
    with pytest.raises(CheckpointError) as caught, reading_settings(tmp_path):
        _ = {}["genes"]
    assert str(caught.value) == (
        f"{tmp_path / 'config.json'} does not hold the settings of this encoder (KeyError: 'genes'). "
        "Save the encoder again with this version."
    )
