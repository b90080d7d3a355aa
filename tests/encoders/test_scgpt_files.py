"""Published files that are damaged, hostile or do not fit together: each refused in its own words."""

import json
import os
import pickle
import re
import shutil
import zipfile

import numpy as np
import pytest
import torch

from conceptome.core import CheckpointError
from conceptome.encoders import ScgptEncoder


@pytest.fixture
def model(shared, tmp_path):
    """A copy of the published files that a test may spoil."""
    folder = tmp_path / "model"
    shutil.copytree(shared / "fixtures" / "scgpt_tiny" / "checkpoint", folder)
    for path in [folder, *folder.iterdir()]:
        path.chmod(0o700)
    return folder


def refusal(folder):
    with pytest.raises(CheckpointError) as caught:
        ScgptEncoder.load(folder)
    return str(caught.value)


def set_args(folder, **changes):
    args = json.loads((folder / "args.json").read_text())
    (folder / "args.json").write_text(json.dumps({**args, **changes}))


def save_weights(folder, change):
    weights = torch.load(folder / "best_model.pt", weights_only=True)
    change(weights)
    torch.save(weights, folder / "best_model.pt")


class Payload:
    """What a hostile file holds: a call of its choice when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (os.mkdir, (str(self.target),))


def test_a_hostile_file_is_refused_and_does_not_run(model, tmp_path):
    target = tmp_path / "owned"
    weights = torch.load(model / "best_model.pt", weights_only=True)
    torch.save({**weights, "encoder.embedding.weight": Payload(target)}, model / "best_model.pt")
    message = refusal(model)
    assert message.startswith(f"{model / 'best_model.pt'} asks for posix.mkdir")
    assert "Nothing was run." in message
    assert not target.exists()
    torch.load(model / "best_model.pt", weights_only=False)  # the payload is real: it runs where it may
    assert target.exists()


def test_a_bare_pickle_is_no_torch_file(model, tmp_path):
    target = tmp_path / "owned"
    (model / "best_model.pt").write_bytes(pickle.dumps(Payload(target)))
    assert "cannot be read (BadZipFile" in refusal(model)
    assert not target.exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file(model, share):
    content = (model / "best_model.pt").read_bytes()
    (model / "best_model.pt").write_bytes(content[: int(share * len(content))])
    message = refusal(model)
    assert message.startswith(f"{model / 'best_model.pt'} cannot be read (")
    assert message.endswith(
        "It is damaged, cut short, or not in the zip format of torch.save. Copy or save it again."
    )


@pytest.mark.parametrize("name", ["args.json", "vocab.json", "best_model.pt"])
def test_a_missing_file(model, name):
    (model / name).unlink()
    others = [other for other in ("args.json", "best_model.pt", "vocab.json") if other != name]
    assert refusal(model) == (
        f"{model} is no scGPT model: {name} missing; found {', '.join(others)}. Give the folder with "
        "args.json, vocab.json and best_model.pt as published."
    )


def test_a_folder_that_is_not_there(tmp_path):
    assert "found no such folder" in refusal(tmp_path / "none")


def test_a_vocabulary_of_another_model(model):
    vocabulary = json.loads((model / "vocab.json").read_text())
    (model / "vocab.json").write_text(json.dumps({**vocabulary, "NEW1": len(vocabulary)}))
    assert refusal(model) == (
        f"{model / 'best_model.pt'} embeds 1,503 tokens, but vocab.json has 1,504 (special tokens included). "
        "The vocabulary is another model's; take the vocab.json published with the weights."
    )


@pytest.mark.parametrize(
    "vocabulary", [{"A": 0, "B": 0}, {"A": 0, "B": "1"}, {"A": 0, "B": 7}, {"A": True}, {"A": [0]}]
)
def test_a_vocabulary_that_does_not_count(model, vocabulary):
    (model / "vocab.json").write_text(json.dumps(vocabulary))
    assert "does not number its" in refusal(model)


@pytest.mark.parametrize("content", ["", "{", "[1]", "[" * 100_000])
def test_settings_that_are_no_json(model, content):
    (model / "args.json").write_text(content)
    assert refusal(model).startswith(f"{model / 'args.json'} ")


@pytest.mark.parametrize("key", ["embsize", "nheads", "d_hid", "nlayers"])
@pytest.mark.parametrize("value", [10**9, 0, -1, "64", 64.0, None, True])
def test_absurd_sizes_are_refused_before_anything_is_allocated(model, key, value):
    set_args(model, **{key: value})
    assert refusal(model).startswith(
        f"{model / 'args.json'}: {key} is {value!r}, expected a whole number from 1"
    )


def test_sizes_of_another_model(model):
    set_args(model, d_hid=256)
    assert refusal(model) == (
        f"{model / 'best_model.pt'}: the array 'transformer_encoder.layers.0.linear1.weight' has shape "
        "(128, 64), the settings ask for (256, 64). The file is damaged."
    )


def test_heads_that_do_not_divide_the_embedding(model):
    set_args(model, nheads=5)
    assert refusal(model) == f"{model / 'args.json'}: embsize 64 is no multiple of nheads 5."


def test_a_layer_that_is_missing(model):
    save_weights(model, lambda weights: weights.pop("transformer_encoder.layers.2.norm2.bias"))
    assert "'transformer_encoder.layers.2.norm2.bias' is missing" in refusal(model)


def test_layers_that_the_settings_do_not_name(model):
    set_args(model, nlayers=2)
    message = refusal(model)
    assert "weights that are not known: transformer_encoder.layers.2" in message
    assert message.endswith("The model was made with other settings than args.json says, or is no scGPT.")


@pytest.mark.parametrize("name", ["bn.weight", "dsbn.bns.0.weight", "batch_encoder.embedding.weight"])
def test_fine_tuned_parts_that_change_the_embedding(model, name):
    save_weights(model, lambda weights: weights.update({name: torch.ones(64)}))
    message = refusal(model)
    assert f"weights that are not known: {name}. They belong to a fine-tuned model" in message


def test_a_file_that_holds_something_else(model):
    torch.save([1, 2], model / "best_model.pt")
    assert refusal(model).startswith(f"{model / 'best_model.pt'} holds no table of weights.")


@pytest.mark.parametrize("value", ["low", None, float("nan"), 1e39, 10**400], ids=range(5))
def test_a_padding_value_that_is_no_number(model, value):
    set_args(model, pad_value=value)
    assert refusal(model) == f"{model / 'args.json'}: pad_value is {value!r}, expected a number."


@pytest.mark.parametrize(
    "change", [{3: torch.ones(2)}, {"encoder.enc_norm.bias": np.array(["x"] * 64)}], ids=["name", "text"]
)
def test_a_table_of_other_things(model, change):
    weights = torch.load(model / "best_model.pt", weights_only=True)
    torch.save({**weights, **change}, model / "best_model.pt")
    assert refusal(model) == (
        f"{model / 'best_model.pt'} holds no table of weights. Give the best_model.pt that was published."
    )


def test_a_number_in_the_place_of_a_table(model):
    save_weights(model, lambda weights: weights.update({"encoder.embedding.weight": torch.tensor(1.0)}))
    assert "the array 'encoder.embedding.weight' has shape ()" in refusal(model)


def test_a_weight_that_is_nan(model):
    save_weights(model, lambda weights: weights["encoder.enc_norm.bias"][3].fill_(float("nan")))
    assert refusal(model) == (
        f"{model / 'best_model.pt'}: the array 'encoder.enc_norm.bias' holds NaN or infinite numbers. The "
        "file is damaged."
    )


def test_weights_under_the_names_of_two_versions(model):
    save_weights(model, lambda weights: weights.update({"module.encoder.enc_norm.bias": torch.ones(64)}))
    assert refusal(model) == (
        f"{model / 'best_model.pt'} holds weights twice, under names of different versions. Take it as it "
        "was published."
    )


def test_a_settings_file_of_absurd_size(model, monkeypatch):
    monkeypatch.setattr("conceptome.encoders.published.LARGEST_JSON", 10)
    assert re.fullmatch(r".*args\.json has [\d,]+ bytes, expected at most 10\.", refusal(model))


@pytest.fixture
def saved(model, tmp_path):
    ScgptEncoder.load(model).save(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": {"n_layers": 10**9}}, "n_layers is 1000000000, expected a whole number from 1 to 256."),
        ({"sizes": {"n_heads": 5}}, "embsize 64 is no multiple of nheads 5."),
        ({"pad_token": "<none>"}, "names the padding '<none>', which vocab.json lacks. They do not fit."),
        ({"pad_value": "low"}, "pad_value is 'low', expected a number."),
        ({"vocabulary": ["<pad>", "<cls>"]}, "should list 1,503 tokens, each once, '<cls>' among them."),
        ({"vocabulary": 3}, "does not hold the settings of this encoder (TypeError:"),
    ],
)
def test_a_saved_encoder_is_checked_alike(saved, changes, message):
    path = saved / "config.json"
    config = json.loads(path.read_text())
    if "sizes" in changes:
        changes = {"sizes": {**config["sizes"], **changes["sizes"]}}
    path.write_text(json.dumps({**config, **changes}))
    assert message in refusal(saved)
    path.write_text("[" * 100_000)
    assert "holds a damaged encoder" in refusal(saved)


def test_padding_that_the_vocabulary_lacks(model):
    set_args(model, pad_token="<none>")
    assert "names the padding '<none>', which vocab.json lacks" in refusal(model)


def test_special_tokens_are_appended(model):
    vocabulary = json.loads((model / "vocab.json").read_text())
    plain = {token: index for token, index in vocabulary.items() if not token.startswith("<")}
    (model / "vocab.json").write_text(json.dumps(plain))
    assert ScgptEncoder.load(model).model.vocabulary[-3:] == ("<pad>", "<cls>", "<eoc>")


def test_heads_may_be_absent(model):
    def drop(weights):
        for name in [name for name in weights if name.startswith(("mvc_decoder.", "decoder."))]:
            del weights[name]

    save_weights(model, drop)
    encoder = ScgptEncoder.load(model)
    assert encoder.decoder is None
    save_weights(model, lambda weights: weights.update({"mvc_decoder.W.weight": torch.ones(64, 64)}))
    assert "'mvc_decoder.gene2query.weight' is missing" in refusal(model)


def test_half_precision_is_read_as_float32(model):
    def halve(weights):
        for name in weights:
            weights[name] = weights[name].bfloat16()

    full = ScgptEncoder.load(model).model.weights["encoder.embedding.weight"]
    save_weights(model, halve)
    half = ScgptEncoder.load(model).model.weights["encoder.embedding.weight"]
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, full, rtol=2**-8)


def test_a_zip_bomb_is_refused(model):
    with zipfile.ZipFile(model / "best_model.pt") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(model / "best_model.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    assert "is compressed, which torch.save never does" in refusal(model)
