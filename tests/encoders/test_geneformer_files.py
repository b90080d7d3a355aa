"""Published files that are damaged, hostile or do not fit together: each refused in its own words."""

import json
import os
import pickle
import resource
import shutil

import anndata as ad
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from conceptome.core import CheckpointError
from conceptome.encoders import GeneformerEncoder

DICTIONARIES = ["token_dictionary", "gene_median_dictionary", "ensembl_mapping_dict"]


class Payload:
    """What a hostile file holds: a call of its choice when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (os.mkdir, (str(self.target),))


@pytest.fixture
def model(shared, tmp_path):
    """A copy of the published V2 files that a test may spoil, the dictionaries beside the model."""
    fixture = shared / "fixtures" / "geneformer_tiny"
    shutil.copytree(fixture / "Geneformer-V2-tiny", tmp_path / "home" / "model")
    shutil.copytree(fixture / "dictionaries_v2", tmp_path / "home" / "geneformer")
    for path in [tmp_path / "home", *(tmp_path / "home").rglob("*")]:
        path.chmod(0o700)
    return tmp_path / "home" / "model"


@pytest.fixture
def torch_file(model):
    """The weights as torch saves them, in the place of safetensors."""
    weights = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}

    def save(**changes):
        torch.save({**tensors, **changes}, model / "pytorch_model.bin")
        return model / "pytorch_model.bin"

    save()
    return save


def dictionary(model, kind):
    return model.parent / "geneformer" / f"{kind}_gc104M.pkl"


def change_dictionary(model, kind, change):
    path = dictionary(model, kind)
    table = pickle.loads(path.read_bytes())
    change(table)
    path.write_bytes(pickle.dumps(table))
    return path


def change_weights(model, change):
    weights = load_file(model / "model.safetensors")
    change(weights)
    save_file(weights, model / "model.safetensors")


def change_config(model, **changes):
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, **changes}))


def refusal(folder):
    with pytest.raises(CheckpointError) as caught:
        GeneformerEncoder.load(folder)
    return str(caught.value)


def test_the_copy_is_sound(model, shared):
    original = shared / "fixtures" / "geneformer_tiny" / "Geneformer-V2-tiny"
    assert GeneformerEncoder.load(model).encoder_id == GeneformerEncoder.load(original).encoder_id


@pytest.mark.parametrize("kind", DICTIONARIES)
def test_a_hostile_dictionary_is_refused_and_does_not_run(model, tmp_path, kind):
    target = tmp_path / "owned"
    path = dictionary(model, kind)
    path.write_bytes(pickle.dumps({**pickle.loads(path.read_bytes()), "ENSG00000000001": Payload(target)}))
    assert refusal(model) == (
        f"{path} asks for posix.mkdir, which a saved model does not need and which could run code. Nothing "
        "was run. If you trust its source, load it there and save it without that."
    )
    assert not target.exists()
    pickle.loads(path.read_bytes())  # the payload is real: it runs where it may
    assert target.exists()


def test_hostile_weights_are_refused_and_do_not_run(model, torch_file, tmp_path):
    target = tmp_path / "owned"
    path = torch_file(hostile=Payload(target))
    assert refusal(model).startswith(f"{path} asks for posix.mkdir")
    assert not target.exists()
    torch.load(path, weights_only=False)
    assert target.exists()


@pytest.mark.parametrize("kind", DICTIONARIES)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_truncated_dictionary(model, kind, share):
    path = dictionary(model, kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    message = refusal(model)
    assert message.startswith(f"{path} cannot be read (")
    assert message.endswith(
        "It is damaged, cut short, or neither a pickle nor JSON. Copy or download it again."
    )


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_truncated_weights(model, share):
    path = model / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    message = refusal(model)
    assert message.startswith(f"{path} is damaged or cut short (")
    assert message.endswith("Copy or download it again.")


def test_truncated_torch_weights(model, torch_file):
    path = torch_file()
    path.write_bytes(path.read_bytes()[:-200])
    assert refusal(model).startswith(f"{path} cannot be read (BadZipFile")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_missing_file(model, missing):
    (model / missing).unlink()
    left = ", ".join(sorted(path.name for path in model.iterdir()))
    assert refusal(model) == (
        f"{model} is no Geneformer model: expected config.json and model.safetensors (or pytorch_model.bin), "
        f"found {left}. Give one of the folders in which Geneformer is published."
    )


def test_a_missing_folder(tmp_path):
    assert "found no such folder" in refusal(tmp_path / "nowhere")


def test_torch_weights_equal_safetensors(model, torch_file, shared):
    original = GeneformerEncoder.load(shared / "fixtures" / "geneformer_tiny" / "Geneformer-V2-tiny")
    tied = original.model.weights["bert.embeddings.word_embeddings.weight"]
    torch_file(
        **{
            "cls.predictions.decoder.weight": torch.from_numpy(tied),
            "bert.embeddings.position_ids": torch.arange(512)[None],
        }
    )
    assert GeneformerEncoder.load(model).encoder_id == original.encoder_id


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cls.predictions.decoder.bias", torch.ones(1210)),
        ("bert.embeddings.position_ids", torch.zeros(1, 512, dtype=torch.int64)),
    ],
)
def test_an_extra_that_says_something_else(model, torch_file, name, value):
    path = torch_file(**{name: value})
    assert refusal(model) == (
        f"{path}: {name!r} is not what it is in Geneformer. The file is damaged or another model's."
    )


def test_missing_and_unknown_weights(model):
    def rename(weights):
        weights["classifier.weight"] = weights.pop("cls.predictions.bias")

    change_weights(model, rename)
    assert refusal(model) == (
        f"{model / 'model.safetensors'} is no BertForMaskedLM of the sizes in config.json: it lacks "
        "cls.predictions.bias; not known are classifier.weight. Give a pretrained Geneformer, not a "
        "classifier made from one."
    )


def test_weights_of_another_shape(model):
    name = "bert.encoder.layer.1.output.dense.weight"

    def cut(weights):
        weights[name] = np.ascontiguousarray(weights[name][:, :-1])

    change_weights(model, cut)
    assert refusal(model) == (
        f"{model / 'model.safetensors'}: {name!r} has shape (40, 95), but config.json asks for (40, 96). "
        "Take files that were published together."
    )


def test_weights_of_another_type(model):
    def convert(weights):
        weights["cls.predictions.bias"] = weights["cls.predictions.bias"].astype(np.int32)

    change_weights(model, convert)
    message = (
        f"{model / 'model.safetensors'} holds numbers of the type I32, expected F32. Save it in float32."
    )
    assert refusal(model) == message


def test_something_else_in_the_torch_file(model, torch_file):
    torch.save([1, 2], model / "pytorch_model.bin")
    assert refusal(model) == (
        f"{model / 'pytorch_model.bin'} holds no table of weights. Give the pytorch_model.bin that was "
        "published."
    )


@pytest.mark.parametrize(
    "name",
    ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings"],
)
@pytest.mark.parametrize("value", [10**9, -1, 2.5, "many", None, True])
def test_absurd_sizes(model, name, value):
    change_config(model, **{name: value})
    message = refusal(model)
    assert message.startswith(f"{model / 'config.json'}: {name} is {value!r}, expected a whole number from 1")


def test_sizes_that_could_be_are_compared_before_anything_is_allocated(model):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    change_config(model, hidden_size=16_000, num_hidden_layers=200, intermediate_size=65_000)
    assert "it lacks bert.encoder.layer.4" in refusal(model)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # 600 GB of weights


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"model_type": "roberta"}, "model_type is 'roberta', expected 'bert'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key', expected"),
        ({"is_decoder": True}, "is_decoder is True, expected False"),
        ({"pad_token_id": 5}, "pad_token_id is 5, expected 0"),
        ({"hidden_act": "tanh"}, "hidden_act is 'tanh', expected one of relu, gelu"),
        ({"layer_norm_eps": 0}, "layer_norm_eps is 0, expected a number between 0 and 1"),
        ({"hidden_size": 41}, "hidden_size 41 is no multiple of num_attention_heads 5"),
    ],
)
def test_settings_that_are_not_implemented(model, changes, what):
    change_config(model, **changes)
    assert refusal(model).startswith(f"{model / 'config.json'}: {what}")


@pytest.mark.parametrize(
    ("content", "what"), [("{", "is no JSON"), ("[1]", "holds list, expected an object")]
)
def test_settings_that_are_none(model, content, what):
    (model / "config.json").write_text(content)
    assert refusal(model).startswith(f"{model / 'config.json'} {what}")


def test_what_the_settings_may_say_besides(model):
    one = GeneformerEncoder.load(model).encoder_id
    change_config(model, auto_map={"AutoModel": "evil.Model"}, torch_dtype="float16", id2label={"0": "a"})
    assert GeneformerEncoder.load(model).encoder_id == one


def test_a_saved_encoder_is_checked_alike(model, tmp_path):
    GeneformerEncoder.load(model).save(tmp_path / "saved")
    path = tmp_path / "saved" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "sizes": {**config["sizes"], "hidden_size": 10**9}}))
    assert refusal(tmp_path / "saved").startswith(
        f"{path}: hidden_size is 1000000000, expected a whole number"
    )
    del config["vocabulary"]["tokens"]["<eos>"]
    path.write_text(json.dumps(config))
    assert refusal(tmp_path / "saved").startswith(f"{path} does not number its 1,209 tokens from 0 to 1,209")


def test_no_hub_is_asked(model, shared, monkeypatch):
    import socket

    def refuse(*_):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    cells = ad.read_h5ad(shared / "fixtures" / "geneformer_tiny" / "input.h5ad")[:1]
    assert GeneformerEncoder.load(model).embed(cells).values.shape == (1, 40)
