import numpy as np
import pytest
from sklearn.decomposition import PCA

from conceptome import encoders
from conceptome.core import CheckpointError, Decoder, InputError, ScoredDecoder
from conceptome.encoders import LinearEncoder, LinearOptions


@pytest.fixture
def fitted(cells):
    return LinearEncoder.fit(cells, options=LinearOptions(n_components=6))


def log_normalised(cells):
    counts = cells.X.toarray().astype(np.float64)
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)


def test_inverts_the_components_as_scikit_learn_does(fitted, cells):
    values = log_normalised(cells)
    pca = PCA(6, svd_solver="full").fit(values)
    expected = pca.inverse_transform(pca.transform(values))
    assert isinstance(fitted.decoder, Decoder)
    found = fitted.decoder.expression(fitted.embed(cells).values, cells)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_all_components_give_the_expression_back(cells):
    few = cells[:20].copy()
    encoder = LinearEncoder.fit(few, options=LinearOptions(n_components=19))
    columns = few.var_names.get_indexer(encoder.genes)
    found = encoder.decoder.expression(encoder.embed(few).values, few)
    np.testing.assert_allclose(found, log_normalised(few)[:, columns], atol=1e-4)


def test_saved_and_loaded_decodes_the_same(fitted, cells, folder_of):
    again = encoders.load("linear", folder_of(fitted))
    assert again.encoder_id == fitted.encoder_id
    z = fitted.embed(cells).values
    np.testing.assert_array_equal(again.decoder.expression(z, cells), fitted.decoder.expression(z, cells))


def test_bare_weights_have_no_decoder(cells, folder_of):
    encoder = LinearEncoder(np.eye(3, cells.n_vars), np.zeros(3), cells.var_names)
    assert encoder.decoder is None
    assert encoders.load("linear", folder_of(encoder)).decoder is None


def test_refuses_rows_without_cells(fitted, cells):
    with pytest.raises(InputError) as caught:
        fitted.decoder.expression(np.zeros((4, 6)), cells)
    assert str(caught.value) == (
        "The embedding has shape (4, 6), expected (60, 6): one row for each of the cells that are passed "
        "with it."
    )


def test_refuses_a_centre_of_another_length(fitted, folder_of):
    from safetensors.numpy import load_file, save_file

    folder = folder_of(fitted)
    arrays = load_file(folder / "weights.safetensors")
    save_file({**arrays, "centre": arrays["centre"][:-1]}, folder / "weights.safetensors")
    with pytest.raises(CheckpointError, match=r"the array 'centre' has shape \(39,\), the settings ask for"):
        LinearEncoder.load(folder)


def test_the_loss_is_the_mean_squared_error_of_each_cell(fitted, cells):
    z = fitted.embed(cells).values
    expected = ((fitted.decoder.expression(z, cells) - log_normalised(cells)) ** 2).mean(axis=1)
    assert isinstance(fitted.decoder, ScoredDecoder)
    np.testing.assert_allclose(fitted.decoder.loss(z, cells), expected)
    assert fitted.decoder.loss(np.zeros_like(z), cells).mean() > expected.mean()
