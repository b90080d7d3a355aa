"""SAELens' folder format, both ways. The reference is SAELens' own arithmetic, written out here."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from conceptome.core import CheckpointError, InputError
from conceptome.dictionaries import (
    BatchTopKDictionary,
    JumpReluDictionary,
    KMeansDictionary,
    MatryoshkaDictionary,
    NeuronDictionary,
    RandomSaeDictionary,
    ReluL1Dictionary,
    ThresholdedWeights,
    TopKDictionary,
    Weights,
    export_saelens,
    import_saelens,
)

N, D = 24, 6


@pytest.fixture
def z():
    return np.random.default_rng(1).normal(2.0, 3.0, size=(200, D)).astype(np.float32)


def maps(seed=0):
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(N, D))
    arrays = {
        "directions": directions / np.linalg.norm(directions, axis=1, keepdims=True),
        "b_dec": rng.normal(size=D),
        "w_enc": rng.normal(size=(N, D)),
        "b_enc": rng.normal(size=N),
        "mean": rng.normal(size=D),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def dictionaries():
    threshold = np.linspace(0.1, 1.0, N).astype(np.float32)
    settings = {"scale": 0.37, "encoder_id": "abc"}
    return [
        TopKDictionary(Weights(**maps()), 4, **settings),
        BatchTopKDictionary(Weights(**maps()), 0.8, **settings),
        JumpReluDictionary(ThresholdedWeights(**maps(), threshold=threshold), **settings),
        ReluL1Dictionary(Weights(**maps()), **settings),
    ]


def saelens(folder, z):
    """Encode and decode as SAELens does (its ``encode`` and ``decode`` for these architectures)."""
    config = json.loads((folder / "cfg.json").read_text())
    w = {
        name: array.astype(np.float64)
        for name, array in load_file(folder / "sae_weights.safetensors").items()
    }
    x = z - w["b_dec"] * config.get("apply_b_dec_to_input", True)
    pre = x @ w["W_enc"] + w["b_enc"]
    if config["architecture"] == "topk":
        length = np.linalg.norm(w["W_dec"], axis=1)
        if not config.get("rescale_acts_by_decoder_norm"):
            length = np.ones_like(length)
        chosen = np.argsort(-pre * length, axis=1)[:, : config["k"]]
        acts = np.zeros_like(pre)
        np.put_along_axis(acts, chosen, np.take_along_axis(np.maximum(pre, 0), chosen, 1), 1)
    else:
        acts = np.maximum(pre, 0) * (pre > w.get("threshold", 0))
    return acts, acts @ w["W_dec"] + w["b_dec"]


def write(folder, config, arrays):
    folder.mkdir(exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps(config))
    save_file(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()},
        folder / "sae_weights.safetensors",
    )


@pytest.mark.parametrize("dictionary", dictionaries(), ids=lambda dictionary: dictionary.kind)
def test_saelens_encodes_what_we_export_as_we_do(dictionary, z, tmp_path):
    export_saelens(dictionary, tmp_path)
    acts, out = saelens(tmp_path, z)
    np.testing.assert_allclose(acts, dictionary.encode(z).toarray(), atol=1e-5)
    np.testing.assert_allclose(out, dictionary.decode(dictionary.encode(z)), atol=1e-4)


@pytest.mark.parametrize("dictionary", dictionaries(), ids=lambda dictionary: dictionary.kind)
def test_there_and_back(dictionary, z, tmp_path):
    export_saelens(dictionary, tmp_path)
    back = import_saelens(tmp_path)
    assert back.scale == dictionary.scale
    assert back.encoder_id == "abc"
    np.testing.assert_allclose(back.weights.mean, dictionary.weights.mean, rtol=1e-6)
    np.testing.assert_allclose(back.encode(z).toarray(), dictionary.encode(z).toarray(), atol=1e-5)
    np.testing.assert_allclose(
        back.decode(back.encode(z)), dictionary.decode(dictionary.encode(z)), atol=1e-4
    )


def foreign(architecture, *, equal=True, **config):
    """An SAE of others: lengths of their own, biases, no metadata."""
    rng = np.random.default_rng(3)
    lengths = np.full(N, 1.7) if equal else rng.uniform(0.5, 2.0, N)
    directions = rng.normal(size=(N, D))
    directions *= (lengths / np.linalg.norm(directions, axis=1))[:, None]
    arrays = {
        "W_enc": rng.normal(size=(D, N)),
        "b_enc": rng.normal(size=N),
        "W_dec": directions,
        "b_dec": rng.normal(size=D),
    }
    if architecture == "jumprelu":
        arrays["threshold"] = rng.uniform(0, 1, N)
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    return {"architecture": architecture, "d_in": D, "d_sae": N, "k": 4, **config}, arrays


@pytest.mark.parametrize("with_cells", [False, True])
@pytest.mark.parametrize("subtracted", [False, True])
@pytest.mark.parametrize(
    ("architecture", "equal", "rescaled"),
    [("standard", False, False), ("jumprelu", False, False), ("topk", True, False), ("topk", False, True)],
)
def test_others_reconstruct_the_same(z, tmp_path, architecture, equal, rescaled, subtracted, with_cells):
    config, arrays = foreign(
        architecture, equal=equal, apply_b_dec_to_input=subtracted, rescale_acts_by_decoder_norm=rescaled
    )
    write(tmp_path, config, arrays)
    acts, out = saelens(tmp_path, z)
    back = import_saelens(tmp_path, embeddings=z if with_cells else None)
    np.testing.assert_allclose(np.linalg.norm(back.directions, axis=1), 1, rtol=1e-6)
    ours = back.encode(z)
    np.testing.assert_array_equal(ours.toarray() > 0, acts > 0)
    gain = np.linalg.norm(arrays["W_dec"], axis=1) * back.scale
    np.testing.assert_allclose(ours.toarray(), acts * gain, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(back.decode(ours), out, atol=1e-3)
    if with_cells:
        np.testing.assert_allclose(back.weights.mean, z.mean(axis=0), rtol=1e-4)


def test_a_choice_that_unit_directions_would_change_is_refused(tmp_path):
    write(tmp_path, *foreign("topk", equal=False))
    with pytest.raises(CheckpointError, match=r"which unit directions would change\. Train with"):
        import_saelens(tmp_path)


def test_what_saelens_has_no_architecture_for(z, tmp_path):
    with pytest.raises(InputError, match="SAELens has no architecture that encodes like a 'kmeans'"):
        export_saelens(KMeansDictionary.fit(z, n_clusters=4), tmp_path / "out")
    with pytest.raises(InputError, match="SAELens has no architecture that encodes like a 'random_sae'"):
        export_saelens(RandomSaeDictionary.fit(z, n_concepts=8, k=2), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_neurons_are_a_plain_autoencoder(z, tmp_path):
    export_saelens(NeuronDictionary.fit(z), tmp_path)
    acts, out = saelens(tmp_path, z)
    np.testing.assert_allclose(acts, NeuronDictionary.fit(z).encode(z).toarray(), atol=1e-5)
    np.testing.assert_allclose(out, z, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "gated"}, "the architecture is 'gated', expected one of standard, topk, jumprelu."),
        ({"normalize_activations": "layer_norm"}, "normalize_activations is 'layer_norm', which normalises"),
        ({"d_sae": 7}, "W_enc has shape (6, 24), expected finite numbers of shape (6, 7)."),
        ({"k": 0}, "k is 0, expected a whole number from 1 to d_sae = 24."),
        ({"k": "4"}, "k is '4', expected a whole number from 1 to d_sae = 24."),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, change, message):
    config, arrays = foreign("topk")
    write(tmp_path, config | change, arrays)
    with pytest.raises(CheckpointError) as caught:
        import_saelens(tmp_path)
    assert message in str(caught.value)


def test_files_that_are_missing_or_damaged(tmp_path):
    with pytest.raises(CheckpointError, match=r"cfg\.json and sae_weights\.safetensors missing"):
        import_saelens(tmp_path)
    write(tmp_path, *foreign("standard"))
    (tmp_path / "sae_weights.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(CheckpointError, match="holds a damaged or unreadable SAE"):
        import_saelens(tmp_path)
    (tmp_path / "cfg.json").write_text("[]")
    write_ok = foreign("standard")[1]
    save_file(write_ok, tmp_path / "sae_weights.safetensors")
    with pytest.raises(CheckpointError, match="the architecture is 'list'"):
        import_saelens(tmp_path)


def test_cells_of_another_width(z, tmp_path):
    write(tmp_path, *foreign("standard"))
    with pytest.raises(InputError, match="The embeddings have 5 coordinates, the SAE reads 6"):
        import_saelens(tmp_path, embeddings=z[:, :5])


@pytest.mark.parametrize("choice", [{"k": 4}, {"threshold": 0.8}])
def test_prefixes_do_not_matter_to_saelens(z, tmp_path, choice):
    dictionary = MatryoshkaDictionary(Weights(**maps()), (8, 24), **choice)
    export_saelens(dictionary, tmp_path)
    np.testing.assert_allclose(saelens(tmp_path, z)[0], dictionary.encode(z).toarray(), atol=1e-5)
