import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from conceptome.core import CheckpointError, Edits, Encoder, InputError
from conceptome.data import demo
from conceptome.encoders.precomputed import PrecomputedEncoder


@pytest.fixture
def adata():
    cells = demo()
    cells.obsm["X_scvi"] = np.random.default_rng(0).normal(size=(cells.n_obs, 5)).astype(np.float32)
    return cells


def refusal(call):
    with pytest.raises(InputError) as caught:
        call()
    return str(caught.value)


def test_is_an_encoder():
    encoder = PrecomputedEncoder("X_scvi")
    assert isinstance(encoder, Encoder)
    assert (encoder.name, encoder.decoder, len(encoder.genes)) == ("scvi", None, 0)
    assert PrecomputedEncoder("latent").name == "latent"


def test_embeds_what_is_stored(adata):
    encoder = PrecomputedEncoder("X_scvi")
    embeddings = encoder.embed(adata)
    np.testing.assert_array_equal(embeddings.values, adata.obsm["X_scvi"])
    assert embeddings.values.dtype == np.float32
    assert list(embeddings.cell_ids) == list(adata.obs_names)
    assert (embeddings.encoder_name, embeddings.encoder_id) == ("scvi", encoder.encoder_id)
    assert encoder.d_embed == 5


@pytest.mark.parametrize(
    "convert",
    [
        sp.csr_matrix,
        sp.csr_array,
        lambda z: pd.DataFrame(z, index=demo().obs_names),
        lambda z: z.astype(np.float64),
    ],
)
def test_every_form_gives_the_same_values(adata, convert):
    expected = adata.obsm["X_scvi"]
    adata.obsm["X_scvi"] = convert(expected)
    np.testing.assert_array_equal(PrecomputedEncoder("X_scvi").embed(adata).values, expected)


def test_whole_numbers_become_float32(adata):
    adata.obsm["X_bits"] = np.ones((adata.n_obs, 3), dtype=np.int64)
    assert PrecomputedEncoder("X_bits").embed(adata).values.dtype == np.float32


def test_identity_is_that_of_the_values(adata):
    first, same, other = (PrecomputedEncoder("X_scvi") for _ in range(3))
    assert first.embed(adata).encoder_id == same.embed(adata).encoder_id
    adata.obsm["X_scvi"][0, 0] += 1
    assert other.embed(adata).encoder_id != first.encoder_id


def test_identity_stays_for_further_cells(adata):
    encoder = PrecomputedEncoder("X_scvi")
    whole = encoder.embed(adata).encoder_id
    assert encoder.embed(adata[:10]).encoder_id == whole


def test_save_then_load_keeps_identity_and_width(adata, tmp_path):
    encoder = PrecomputedEncoder("X_scvi")
    encoder.embed(adata)
    encoder.save(tmp_path / "encoder")
    loaded = PrecomputedEncoder.load(tmp_path / "encoder")
    assert vars(loaded) == vars(encoder)
    assert loaded.embed(adata[:3]).encoder_id == encoder.encoder_id
    assert json.loads((tmp_path / "encoder/config.json").read_text())["key"] == "X_scvi"


def test_load_of_nothing(tmp_path):
    with pytest.raises(CheckpointError, match="is no saved obsm encoder"):
        PrecomputedEncoder.load(tmp_path)


def test_other_width_is_refused(adata):
    encoder = PrecomputedEncoder("X_scvi")
    encoder.embed(adata)
    adata.obsm["X_scvi"] = adata.obsm["X_scvi"][:, :4]
    assert refusal(lambda: encoder.embed(adata)) == (
        "obsm['X_scvi'] has 4 columns, expected 5 as in the cells embedded before. "
        "Embed these cells with the same model."
    )


def test_absent_key_names_what_there_is(adata):
    assert refusal(lambda: PrecomputedEncoder("X_scvii").embed(adata)) == (
        "obsm has no entry 'X_scvii'; it has X_umap, X_scvi. Did you mean 'X_scvi'?"
    )


def test_values_that_are_not_finite_are_refused_with_cells(adata):
    adata.obsm["X_scvi"][[2, 4], 1] = [np.nan, np.inf]
    first, second = adata.obs_names[[2, 4]]
    assert refusal(lambda: PrecomputedEncoder("X_scvi").embed(adata)) == (
        f"obsm['X_scvi'] is NaN or infinite in 2 of 700 cells ({first}, {second}). "
        "Embed the cells again, or drop these."
    )


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        (np.zeros((700, 0)), "shape (700, 0) and type float64"),
        (np.zeros((700, 2, 2)), "shape (700, 2, 2) and type float64"),
        (pd.DataFrame({"a": ["x"] * 700}, index=demo().obs_names), "shape (700, 1) and type object"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(adata, stored, found):
    adata.obsm["X_bad"] = stored
    assert refusal(lambda: PrecomputedEncoder("X_bad").embed(adata)) == (
        f"obsm['X_bad'] has {found}, expected numbers, cells x coordinates. "
        "Store the embedding as a 2-d array of floats."
    )


def test_attribution_is_refused_with_the_reason(adata):
    encoder = PrecomputedEncoder("X_scvi")
    reason = (
        "obsm['X_scvi'] is a finished embedding. Attribution needs the model that made it, to embed cells "
        "with edited counts; everything else works without. For attribution fit an encoder (scvi or linear), "
        "or load the model from its folder (scvi:DIR)."
    )
    assert refusal(lambda: encoder.expression(adata)) == reason
    assert refusal(lambda: encoder.known(adata)) == reason
    assert refusal(lambda: encoder.embed_edits(adata, Edits.noop(3))) == reason
