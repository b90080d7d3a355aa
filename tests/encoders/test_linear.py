import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptome import encoders
from conceptome.core import CheckpointError, Edits, Encoder, InputError
from conceptome.data import demo
from conceptome.encoders import LinearEncoder, LinearOptions

NORMALISATIONS = [(1e4, True), (1e4, False), (None, True), (None, False)]


def make_linear(adata, d_embed=5, seed=0, **options):
    rng = np.random.default_rng(seed)
    weights, bias = rng.normal(size=(d_embed, adata.n_vars)), rng.normal(size=d_embed)
    return LinearEncoder(weights, bias, adata.var_names, options=LinearOptions(**options))


def by_formula(encoder, counts):
    """The definition, densely."""
    options = encoder.options
    values = (
        counts if options.target_sum is None else counts * options.target_sum / counts.sum(1, keepdims=True)
    )
    return (np.log1p(values) if options.log1p else values) @ encoder.weights.T + encoder.bias


def test_is_an_encoder(cells):
    assert isinstance(make_linear(cells), Encoder)


@pytest.mark.parametrize(("target_sum", "log1p"), NORMALISATIONS)
def test_embeds_by_its_formula(cells, target_sum, log1p):
    encoder = make_linear(cells, target_sum=target_sum, log1p=log1p)
    embeddings = encoder.embed(cells)
    expected = by_formula(encoder, cells.X.toarray().astype(np.float64))
    np.testing.assert_allclose(embeddings.values, expected, rtol=1e-6, atol=1e-5)
    assert embeddings.values.dtype == np.float32
    assert (embeddings.encoder_id, embeddings.encoder_name) == (encoder.encoder_id, "linear")
    assert list(embeddings.cell_ids) == list(cells.obs_names)


@pytest.mark.parametrize(("target_sum", "log1p"), NORMALISATIONS)
def test_edited_cells_equal_cells_built_one_by_one(cells, make_edits, edited_counts, target_sum, log1p):
    encoder = make_linear(cells, target_sum=target_sum, log1p=log1p)
    edits = make_edits(cells, 1500)
    expected = by_formula(encoder, edited_counts(cells, edits))
    np.testing.assert_allclose(encoder.embed_edits(cells, edits), expected, rtol=1e-11, atol=1e-11)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 30))
def test_any_edit_equals_the_formula(seed, n_edits):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.0, size=(7, 12)).astype(np.float64)
    counts[:, 0] += 1
    adata = AnnData(counts, var=pd.DataFrame(index=[f"G{g}X" for g in range(12)]))
    rows, genes = rng.integers(0, 7, n_edits), rng.integers(1, 12, n_edits)
    values = rng.choice([0.0, 0.5, 1.0, 3.25, 100.0], n_edits)
    encoder = make_linear(adata, seed=seed)
    edited = counts[rows]
    edited[np.arange(n_edits), genes] = values
    found = encoder.embed_edits(adata, Edits.single(rows, genes, values))
    np.testing.assert_allclose(found, by_formula(encoder, edited), rtol=1e-11, atol=1e-11)


def test_an_edit_that_changes_nothing_gives_the_very_same_bits(cells):
    encoder = make_linear(cells)
    rows = np.arange(cells.n_obs)
    genes = rows % cells.n_vars
    same = Edits.single(rows, genes, cells.X.toarray()[rows, genes].astype(np.float64))
    plain = encoder.embed_edits(cells, Edits.noop(cells.n_obs))
    np.testing.assert_array_equal(encoder.embed_edits(cells, same), plain)
    np.testing.assert_allclose(plain, encoder.embed(cells).values, rtol=1e-6, atol=1e-5)


def test_batch_size_changes_no_bit(cells, make_edits):
    encoder = make_linear(cells)
    edits = make_edits(cells, 2000)
    reference = encoder.embed_edits(cells, edits)
    for batch_size in (1, 513, 10_000):
        np.testing.assert_array_equal(encoder.embed_edits(cells, edits, batch_size=batch_size), reference)
    np.testing.assert_array_equal(encoder.embed(cells, batch_size=7).values, encoder.embed(cells).values)


def test_a_changed_total_moves_the_other_genes_only_where_counts_are_edited(cells):
    gene, other = 3, 4
    weights = np.zeros((1, cells.n_vars))
    weights[0, other] = 1.0
    edit = Edits.single(np.array([0]), np.array([gene]), np.array([50.0]))
    total_recomputed = LinearEncoder(weights, np.zeros(1), cells.var_names)
    fixed = LinearEncoder(weights, np.zeros(1), cells.var_names, options=LinearOptions(edit="normalised"))
    for encoder, moves in ((total_recomputed, True), (fixed, False)):
        noop = encoder.embed_edits(cells, Edits.noop(1))
        assert (encoder.embed_edits(cells, edit) != noop).all() == moves


def test_normalised_edits_set_one_normalised_value(cells):
    encoder = make_linear(cells, edit="normalised")
    values = encoder.expression(cells).toarray()
    counts = cells.X.toarray().astype(np.float64)
    np.testing.assert_allclose(values, np.log1p(counts * 1e4 / counts.sum(1, keepdims=True)), rtol=1e-12)
    rows, genes = np.arange(cells.n_obs), np.arange(cells.n_obs) % cells.n_vars
    values[rows, genes] = 2.5
    found = encoder.embed_edits(cells, Edits.single(rows, genes, np.full(cells.n_obs, 2.5)))
    np.testing.assert_allclose(found, values @ encoder.weights.T + encoder.bias, rtol=1e-11)


@pytest.mark.parametrize("edit", ["values", "normalised"])
def test_unknown_genes_have_no_effect_and_no_part_in_the_total(cells, edit):
    encoder = make_linear(cells[:, :30], edit=edit)
    known = np.arange(cells.n_vars) < 30
    np.testing.assert_array_equal(encoder.known(cells), known)
    foreign = Edits.single(np.arange(10), np.full(10, 35), np.full(10, 99.0))
    noop = encoder.embed_edits(cells, Edits.noop(10))
    np.testing.assert_array_equal(encoder.embed_edits(cells, foreign), noop)
    np.testing.assert_array_equal(encoder.embed(cells).values, encoder.embed(cells[:, :30].copy()).values)


def test_missing_genes_are_read_as_zero(cells):
    encoder = make_linear(cells)
    fewer, zeroed = cells[:, 5:].copy(), cells.copy()
    zeroed.X = zeroed.X.toarray() * (np.arange(cells.n_vars) >= 5)
    kept = np.asarray(fewer.X.sum(1)).ravel() > 0
    np.testing.assert_allclose(
        encoder.embed(fewer[kept]).values, encoder.embed(zeroed[kept]).values, rtol=1e-6
    )


def test_golden_knock_outs_of_the_bare_map(shared):
    golden = np.load(shared / "fixtures/attribution_golden/general.npz")
    x, weights = golden["X"], golden["We"]
    genes = pd.Index([f"gene{g}x" for g in range(x.shape[1])])
    options = LinearOptions(target_sum=None, log1p=False)
    encoder = LinearEncoder(weights, golden["be"], genes, options=options)
    adata = AnnData(x, var=pd.DataFrame(index=genes))
    n_cells, n_genes = x.shape
    rows, columns = np.repeat(np.arange(n_cells), n_genes), np.tile(np.arange(n_genes), n_cells)
    edited = encoder.embed_edits(adata, Edits.single(rows, columns, np.zeros(rows.size)))
    noop = encoder.embed_edits(adata, Edits.noop(n_cells))
    effect = (noop[rows] - edited) @ golden["Ws"].T
    np.testing.assert_allclose(effect.reshape(n_cells, n_genes, -1), golden["ko_delta_pre"], atol=1e-9)


def test_fits_the_principal_components_of_scikit_learn():
    from sklearn.decomposition import PCA

    adata = demo()
    encoder = encoders.fit("linear", adata, options=LinearOptions(n_components=6))
    counts = adata[:, encoder.genes].X.toarray().astype(np.float64)
    values = np.log1p(counts * 1e4 / counts.sum(1, keepdims=True))
    full = PCA(6, svd_solver="full").fit(values)
    np.testing.assert_allclose(encoder.weights, full.components_, atol=1e-8)
    np.testing.assert_allclose(encoder.embed(adata).values, full.transform(values), atol=1e-4)
    largest = np.abs(encoder.weights).argmax(axis=1)
    assert (encoder.weights[np.arange(6), largest] > 0).all()


def test_the_same_seed_gives_the_same_encoder():
    adata = demo()
    first, second = (LinearEncoder.fit(adata, seed=3) for _ in range(2))
    assert first.encoder_id == second.encoder_id
    assert first.encoder_id != LinearEncoder.fit(adata[:600], seed=3).encoder_id


def test_identity_follows_what_decides_the_embedding(cells):
    encoder = make_linear(cells)
    assert make_linear(cells, edit="normalised").encoder_id == encoder.encoder_id
    others = [make_linear(cells, log1p=False), make_linear(cells, target_sum=1e3), make_linear(cells, seed=1)]
    assert len({encoder.encoder_id, *(other.encoder_id for other in others)}) == 4


def test_fit_leaves_out_genes_without_counts(cells):
    cells.X = cells.X.toarray() * (np.arange(cells.n_vars) != 7)
    encoder = LinearEncoder.fit(cells, options=LinearOptions(n_components=3))
    assert list(encoder.genes) == list(cells.var_names.delete(7))


def test_saved_and_loaded_is_the_same(cells, folder_of):
    encoder = make_linear(cells, edit="normalised", target_sum=5e3)
    loaded = encoders.load("linear", folder_of(encoder))
    assert loaded.encoder_id == encoder.encoder_id
    assert loaded.options == encoder.options
    np.testing.assert_array_equal(loaded.embed(cells).values, encoder.embed(cells).values)


def test_refuses_a_damaged_folder(cells, folder_of):
    folder = folder_of(make_linear(cells))
    config = json.loads((folder / "config.json").read_text())
    config["options"]["n_components"] = 9
    (folder / "config.json").write_text(json.dumps(config))
    message = "'weights' has shape (5, 40), the settings ask for (9, 40). The file is damaged."
    with pytest.raises(CheckpointError) as caught:
        LinearEncoder.load(folder)
    assert message in str(caught.value)


def test_refuses_settings_it_does_not_know(cells, folder_of):
    folder = folder_of(make_linear(cells))
    config = json.loads((folder / "config.json").read_text())
    config["options"]["whiten"] = True
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as caught:
        LinearEncoder.load(folder)
    assert "does not hold the settings of this encoder (TypeError: " in str(caught.value)
    assert "'whiten'" in str(caught.value)


def test_refuses_empty_cells_by_name(cells):
    cells.X = cells.X.toarray() * (np.arange(cells.n_obs) != 2)[:, None]
    encoder = make_linear(cells)
    message = (
        "1 cells have no counts in the genes of the encoder: cell2. Leave them out: they cannot be scaled."
    )
    with pytest.raises(InputError) as caught:
        encoder.embed(cells)
    assert str(caught.value) == message


def test_refuses_edits_that_leave_nothing(cells):
    counts = np.zeros((2, cells.n_vars))
    counts[:, 4] = 3
    adata = AnnData(counts, obs=cells.obs.iloc[:2], var=cells.var)
    edit = Edits.single(np.array([1]), np.array([4]), np.array([0.0]))
    with pytest.raises(InputError, match="1 cells would have no counts left after an edit: cell1"):
        make_linear(adata).embed_edits(adata, edit)


def test_refuses_negative_counts(cells):
    edit = Edits.single(np.array([1]), np.array([4]), np.array([-2.0]))
    with pytest.raises(InputError) as caught:
        make_linear(cells).embed_edits(cells, edit)
    message = "Edits set negative counts (lowest -2) in the cells cell1. Give counts of 0 or more."
    assert str(caught.value) == message


def test_components_follow_from_small_data(cells):
    assert LinearEncoder.fit(cells).d_embed == 39  # 60 cells x 40 genes


def test_refuses_too_many_components(cells):
    with pytest.raises(InputError) as caught:
        LinearEncoder.fit(cells, options=LinearOptions(n_components=50))
    assert str(caught.value) == (
        "LinearOptions(n_components=50) needs more than that many cells and genes; found 60 cells and 40 "
        "genes with counts. Ask for fewer components."
    )


def test_refuses_batches(cells):
    with pytest.raises(InputError, match=r"cannot use batch_key='donor'\. Leave it out, or fit 'scvi'"):
        LinearEncoder.fit(cells, batch_key="donor")


def test_refuses_sizes_that_do_not_fit(cells):
    with pytest.raises(
        InputError, match=r"weights \(2, 39\), bias \(2,\) and 40 genes \(40 distinct\) do not fit"
    ):
        LinearEncoder(np.zeros((2, 39)), np.zeros(2), cells.var_names)


def test_options_are_frozen():
    with pytest.raises(AttributeError):
        LinearOptions().log1p = False
    assert replace(LinearOptions(), log1p=False).log1p is False
