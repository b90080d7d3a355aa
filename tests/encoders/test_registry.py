from importlib.metadata import EntryPoint

import numpy as np
import pytest

from conceptome import encoders
from conceptome.core import CheckpointError, InputError
from conceptome.data import demo
from conceptome.encoders import LinearEncoder, LinearOptions, PrecomputedEncoder, ScviOptions, registry


def test_exports_what_is_documented():
    assert set(encoders.__all__) == {
        "GeneformerEncoder",
        "GeneformerOptions",
        "LinearEncoder",
        "LinearOptions",
        "PrecomputedEncoder",
        "ScgptEncoder",
        "ScgptOptions",
        "ScviEncoder",
        "ScviOptions",
        "fit",
        "from_spec",
        "load",
        "parse_options",
        "reencode_edits",
    }
    assert all(hasattr(encoders, name) for name in encoders.__all__)


def test_fits_by_name():
    adata = demo()
    options = LinearOptions(n_components=4)
    fitted = encoders.fit("linear", adata, seed=1, options=options)
    assert fitted.d_embed == 4
    assert encoders.from_spec("linear", adata, seed=1, options=options).encoder_id == fitted.encoder_id


def test_loads_by_name(cells, folder_of):
    encoder = LinearEncoder(np.eye(3, cells.n_vars), np.zeros(3), cells.var_names)
    folder = folder_of(encoder)
    assert encoders.load("linear", folder).encoder_id == encoder.encoder_id
    assert encoders.from_spec(f"linear:{folder}", cells).encoder_id == encoder.encoder_id


def test_takes_an_embedding_by_its_key(cells):
    cells.obsm["X_umap"] = np.random.default_rng(0).normal(size=(cells.n_obs, 2))
    encoder = encoders.from_spec("obsm:X_umap", cells)
    assert isinstance(encoder, PrecomputedEncoder)
    np.testing.assert_array_equal(encoder.embed(cells).values, cells.obsm["X_umap"])


def test_finds_encoders_of_other_packages(monkeypatch, folder_of):
    added = EntryPoint("mine", "conceptome.encoders.precomputed:PrecomputedEncoder", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [added] if group == registry.GROUP else [])
    assert encoders.load("mine", folder_of(PrecomputedEncoder("X_umap"))).key == "X_umap"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "pca",
            "There is no encoder 'pca'. Available: geneformer, linear, obsm, scgpt, scvi. NAME fits it, "
            "NAME:PATH loads it.",
        ),
        (
            "scgtp:DIR",
            "There is no encoder 'scgtp'. Did you mean 'scgpt'? Available: geneformer, linear, obsm, scgpt, "
            "scvi. NAME fits it, NAME:PATH loads it.",
        ),
        ("scgpt:", "The encoder 'scgpt:' ends after the colon. Write scgpt:PATH to load it."),
        ("scgpt", "The encoder 'scgpt' cannot be fitted. Load one: scgpt:PATH."),
        (
            "linear:",
            "The encoder 'linear:' ends after the colon. Write linear:PATH to load it, or linear to fit it.",
        ),
        ("obsm", "The encoder 'obsm' cannot be fitted. Load one: obsm:PATH."),
    ],
)
def test_says_what_exists(cells, spec, message):
    with pytest.raises(InputError) as caught:
        encoders.from_spec(spec, cells)
    assert str(caught.value) == message


def test_refuses_options_of_another_encoder(cells):
    with pytest.raises(InputError) as caught:
        encoders.fit("linear", cells, options=ScviOptions())
    assert str(caught.value) == "The encoder 'linear' takes LinearOptions, found ScviOptions."


@pytest.mark.parametrize("name", ["linear", "scvi"])
def test_refuses_a_folder_that_is_not_there(cells, tmp_path, name):
    with pytest.raises(CheckpointError, match=str(tmp_path / "none")):
        encoders.from_spec(f"{name}:{tmp_path / 'none'}", cells)


def test_options_of_an_encoder_that_is_loaded(shared, cells, folder_of):
    model = shared / "fixtures" / "scgpt_tiny" / "checkpoint"
    spec = f"scgpt:{model}"
    assert encoders.from_spec(spec, cells, options=encoders.ScgptOptions(layer=1)).options.layer == 1
    with pytest.raises(InputError) as caught:
        encoders.from_spec(spec, cells, options=ScviOptions())
    assert str(caught.value) == "The encoder 'scgpt' takes ScgptOptions, found ScviOptions."
    linear = folder_of(LinearEncoder(np.eye(3, cells.n_vars), np.zeros(3), cells.var_names))
    with pytest.raises(InputError) as caught:
        encoders.from_spec(f"linear:{linear}", cells, options=LinearOptions())
    assert str(caught.value) == (
        "The encoder 'linear' takes options when it is fitted, none when it is loaded. Leave them out."
    )
