import logging
import shutil

import anndata as ad
import numpy as np
import pytest
import torch
from torch import nn

from conceptome import encoders
from conceptome.core import CheckpointError, Edits, Encoder, InputError
from conceptome.encoders import ScviEncoder, reencode_edits

MODELS = ["A", "B", "C"]


def fixture_of(shared, model):
    folder = shared / "fixtures/scvi_tiny"
    return folder / f"model_{model}", np.load(folder / f"expected_{model}.npz")


def by_torch(encoder, counts, codes):
    """The network of scvi-tools, layer by layer in torch float64, batch norm not folded."""
    settings = encoder.architecture
    state = {name: torch.from_numpy(array).double() for name, array in encoder._state.items()}
    codes = torch.from_numpy(codes)
    hidden = torch.log1p(torch.from_numpy(counts)) if settings.log_variational else torch.from_numpy(counts)
    for number in range(settings.n_layers):
        prefix = f"z_encoder.encoder.fc_layers.Layer {number}"
        if number == 0:
            hidden = torch.cat([hidden, codes], dim=1)
        elif settings.deeply_inject_covariates:
            hidden = torch.cat([hidden, codes[:, len(settings.continuous) :]], dim=1)
        hidden = nn.functional.linear(hidden, state[f"{prefix}.0.weight"], state[f"{prefix}.0.bias"])
        if settings.use_batch_norm in ("both", "encoder"):
            names = ("running_mean", "running_var", "weight", "bias")
            hidden = nn.functional.batch_norm(
                hidden, *(state[f"{prefix}.1.{name}"] for name in names), eps=1e-3
            )
        if settings.use_layer_norm in ("both", "encoder"):
            hidden = nn.functional.layer_norm(hidden, hidden.shape[1:])
        hidden = nn.functional.relu(hidden)
    weight, bias = (state[f"z_encoder.mean_encoder.{name}"] for name in ("weight", "bias"))
    return nn.functional.linear(hidden, weight, bias).numpy()


def test_is_an_encoder(scvi):
    assert isinstance(scvi, Encoder)
    assert scvi.decoder is None  # this one has the weights of the encoder only


def test_embeds_as_torch_does(scvi, cells):
    codes = scvi.architecture.codes(cells.obs)
    expected = by_torch(scvi, cells.X.toarray().astype(np.float64), codes)
    np.testing.assert_allclose(scvi.embed(cells).values, expected, rtol=1e-5, atol=1e-5)


def test_edited_cells_equal_cells_built_one_by_one(scvi, cells, make_edits, edited_counts):
    edits = make_edits(cells, 1500)
    codes = scvi.architecture.codes(cells.obs)[edits.cells]
    expected = by_torch(scvi, edited_counts(cells, edits), codes)
    np.testing.assert_allclose(scvi.embed_edits(cells, edits), expected, rtol=1e-10, atol=1e-10)


def test_an_edit_that_changes_nothing_gives_the_very_same_bits(scvi, cells):
    rows = np.arange(cells.n_obs)
    genes = rows % cells.n_vars
    same = Edits.single(rows, genes, cells.X.toarray()[rows, genes].astype(np.float64))
    noop = scvi.embed_edits(cells, Edits.noop(cells.n_obs))
    np.testing.assert_array_equal(scvi.embed_edits(cells, same), noop)
    np.testing.assert_array_equal(noop.astype(np.float32), scvi.embed(cells).values)


def test_batch_size_changes_no_bit(scvi, make_cells, make_edits):
    cells = make_cells(1300)
    edits = make_edits(cells, 2000)
    embedded, edited = scvi.embed(cells).values, scvi.embed_edits(cells, edits)
    for batch_size in (1, 513, 10_000):
        np.testing.assert_array_equal(scvi.embed(cells, batch_size=batch_size).values, embedded)
        np.testing.assert_array_equal(scvi.embed_edits(cells, edits, batch_size=batch_size), edited)


def test_unknown_genes_have_no_effect(cells, make_scvi):
    encoder = make_scvi(cells.var_names[:30])
    np.testing.assert_array_equal(encoder.known(cells), np.arange(cells.n_vars) < 30)
    foreign = Edits.single(np.arange(10), np.full(10, 35), np.full(10, 99.0))
    noop = encoder.embed_edits(cells, Edits.noop(10))
    np.testing.assert_array_equal(encoder.embed_edits(cells, foreign), noop)


def test_a_fractional_count_may_be_set(cells, make_scvi):
    encoder = make_scvi(cells.var_names)
    counts = cells.X.toarray().astype(np.float64)[:1]
    counts[0, 3] = 1.75
    found = encoder.embed_edits(cells, Edits.single(np.array([0]), np.array([3]), np.array([1.75])))
    np.testing.assert_allclose(found, by_torch(encoder, counts, np.zeros((1, 0))), rtol=1e-12)


def test_refuses_negative_counts(cells, make_scvi):
    edit = Edits.single(np.array([1]), np.array([4]), np.array([-2.0]))
    with pytest.raises(InputError, match=r"Edits set negative counts \(lowest -2\) in the cells cell1"):
        make_scvi(cells.var_names).embed_edits(cells, edit)


@pytest.mark.parametrize("model", MODELS)
class TestModelsOfScviTools:
    def test_latent_means(self, shared, model):
        folder, expected = fixture_of(shared, model)
        cells = ad.read_h5ad(folder.parent / "train.h5ad")
        found = encoders.load("scvi", folder).embed(cells).values
        np.testing.assert_allclose(found, expected["qz_mean"], atol=1e-5)

    def test_latent_variances(self, shared, model):
        folder, expected = fixture_of(shared, model)
        cells = ad.read_h5ad(folder.parent / "train.h5ad")
        found = ScviEncoder.load(folder).variance(cells, batch_size=1)
        np.testing.assert_allclose(found, expected["qz_var"], atol=1e-5)

    def test_cells_with_other_genes(self, shared, model):
        folder, expected = fixture_of(shared, model)
        cells = ad.read_h5ad(folder.parent / "query_missing_genes.h5ad")
        found = ScviEncoder.load(folder).embed(cells).values
        np.testing.assert_allclose(found, expected["query_qz_mean_known_batch"], atol=1e-5)

    def test_knock_outs(self, shared, model):
        folder, expected = fixture_of(shared, model)
        cells = ad.read_h5ad(folder.parent / "train.h5ad")
        encoder = ScviEncoder.load(folder)
        rows = np.arange(cells.n_obs)
        for gene, reference in zip(expected["ko_genes"], expected["ko_qz_mean"], strict=True):
            column = cells.var_names.get_loc(str(gene)) if not np.issubdtype(type(gene), np.integer) else gene
            edits = Edits.single(rows, np.full(len(rows), column), np.zeros(len(rows)))
            np.testing.assert_allclose(encoder.embed_edits(cells, edits), reference, atol=1e-5)

    def test_saved_and_loaded_is_the_same(self, shared, model, folder_of):
        folder, _ = fixture_of(shared, model)
        encoder = ScviEncoder.load(folder)
        again = encoders.load("scvi", folder_of(encoder))
        assert again.encoder_id == encoder.encoder_id
        assert again.architecture == encoder.architecture
        assert again._state.keys() == encoder._state.keys()
        assert {"decoder.px_decoder.fc_layers.Layer 0.0.weight", "px_r"} <= again._state.keys()

    def test_incremental_equals_plain(self, shared, model, make_edits):
        folder, _ = fixture_of(shared, model)
        cells = ad.read_h5ad(folder.parent / "train.h5ad")
        encoder = ScviEncoder.load(folder)
        edits = make_edits(cells, 800)
        found = encoder.embed_edits(cells, edits)
        np.testing.assert_allclose(found, reencode_edits(encoder, cells, edits), rtol=1e-5, atol=1e-6)


def test_unseen_batches_take_the_reference(shared, caplog):
    folder, expected = fixture_of(shared, "B")
    cells = ad.read_h5ad(folder.parent / "train.h5ad")
    as_trained = cells.obs["batch"].to_numpy() == "pbmc5k"
    cells.obs["batch"] = "hospital"
    encoder = ScviEncoder.load(folder, reference={"batch": "pbmc5k"})
    with caplog.at_level(logging.WARNING):
        found = encoder.embed(cells).values
    np.testing.assert_allclose(found[as_trained], expected["qz_mean"][as_trained], atol=1e-5)
    assert np.abs(found - expected["qz_mean"])[~as_trained].max() > 0.01
    assert caplog.messages == [
        "The encoder has never seen obs['batch'] = hospital: those cells are encoded as 'pbmc5k', one of the "
        "known pbmc10k, pbmc5k."
    ]


def test_unseen_batches_take_the_mean_over_batches(shared, caplog):
    folder, _ = fixture_of(shared, "B")
    cells = ad.read_h5ad(folder.parent / "train.h5ad")
    encoder = ScviEncoder.load(folder, reference={"batch": "mean"})
    cells.obs["batch"] = "hospital"
    with caplog.at_level(logging.WARNING):
        found = encoder.embed(cells).values
    halves = np.full((cells.n_obs, 2), 0.5)
    expected = by_torch(encoder, cells.X.toarray().astype(np.float64), halves)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert caplog.messages == [
        "The encoder has never seen obs['batch'] = hospital: those cells are encoded as the mean over all "
        "pbmc10k, pbmc5k."
    ]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_new_batch_that_the_latent_ignores(shared, seed):
    folder, expected = fixture_of(shared, "A")
    cells = ad.read_h5ad(folder.parent / "query_missing_genes.h5ad")
    cells.obs["batch"] = "unassigned"
    found = ScviEncoder.load(folder).embed(cells).values
    np.testing.assert_allclose(found, expected[f"query_qz_mean_unassigned_seed{seed}"], atol=1e-5)


def test_a_model_that_scvi_tools_gave_a_new_batch(shared):
    """The recipe of the CELLxGENE Census: its own column of weights, in every layer."""
    folder, expected = fixture_of(shared, "B")
    cells = ad.read_h5ad(folder.parent / "query_missing_genes.h5ad")
    cells.obs["batch"] = "unassigned"
    encoder = ScviEncoder.load(folder.with_name("model_B_query_unassigned"))
    found = encoder.embed(cells).values
    np.testing.assert_allclose(found, expected["query_qz_mean_unassigned_seed0"], atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_new_batch_drawn_by_scvi_tools(shared, folder_of, seed):
    import scvi

    folder, expected = fixture_of(shared, "B")
    cells = ad.read_h5ad(folder.parent / "query_missing_genes.h5ad")
    cells.obs["batch"] = "unassigned"
    prepared = cells.copy()
    scvi.settings.seed = seed
    scvi.model.SCVI.prepare_query_anndata(prepared, str(folder))
    model = scvi.model.SCVI.load_query_data(prepared, str(folder), accelerator="cpu")
    found = ScviEncoder.load(folder_of(model)).embed(cells).values
    np.testing.assert_allclose(found, expected[f"query_qz_mean_unassigned_seed{seed}"], atol=1e-5)


def test_a_model_in_ensembl_ids_reads_symbols_by_the_table_of_the_data(shared, tmp_path):
    """As models of the CELLxGENE Census name their genes, with the Census' own column of var."""
    folder, expected = fixture_of(shared, "B")
    cells = ad.read_h5ad(folder.parent / "train.h5ad")
    saved = torch.load(folder / "model.pt", weights_only=False)
    ids = np.array([f"ENSG{number:011d}" for number in range(cells.n_vars)], dtype=object)
    saved["var_names"] = ids
    torch.save(saved, tmp_path / "model.pt")
    encoder = ScviEncoder.load(tmp_path)
    cells.var["feature_id"] = ids
    shuffled = cells[:, ::-1].copy()
    np.testing.assert_allclose(encoder.embed(shuffled).values, expected["qz_mean"], atol=1e-5)
    shuffled.var_names = shuffled.var["feature_id"] + ".7"
    np.testing.assert_allclose(encoder.embed(shuffled).values, expected["qz_mean"], atol=1e-5)


def test_the_reference_is_part_of_the_identity(shared):
    folder, _ = fixture_of(shared, "B")
    ids = {ScviEncoder.load(folder, reference={"batch": b}).encoder_id for b in ("pbmc5k", "pbmc10k")}
    assert len(ids) == 2


def test_a_batch_is_not_asked_for_where_it_is_not_read(shared, caplog):
    folder, expected = fixture_of(shared, "A")
    cells = ad.read_h5ad(folder.parent / "train.h5ad")
    del cells.obs["batch"]
    found = ScviEncoder.load(folder).embed(cells).values
    np.testing.assert_allclose(found, expected["qz_mean"], atol=1e-5)
    assert not caplog.messages


def test_refuses_an_unknown_reference(shared):
    folder, _ = fixture_of(shared, "B")
    with pytest.raises(InputError) as caught:
        ScviEncoder.load(folder, reference={"batch": "hospital"})
    message = (
        "The model has no category 'hospital' of 'batch'. It knows batch: pbmc10k, pbmc5k; 'mean' takes the "
        "average."
    )
    assert str(caught.value) == message


def test_refuses_a_folder_without_a_model(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(CheckpointError) as caught:
        ScviEncoder.load(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no scVI model: expected model.pt (scvi-tools) or config.json (Conceptome), found "
        "notes.txt. Give the folder that save() wrote."
    )


def test_says_how_to_convert_saves_of_old(tmp_path):
    for name in ("model_params.pt", "attr.pkl", "var_names.csv"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"run scvi\.model\.SCVI\.convert_legacy_save"):
        ScviEncoder.load(tmp_path)


def test_refuses_weights_of_another_shape(shared, tmp_path):
    folder, _ = fixture_of(shared, "A")
    saved = torch.load(folder / "model.pt", weights_only=False)
    name = "z_encoder.mean_encoder.weight"
    saved["model_state_dict"][name] = saved["model_state_dict"][name][:, :-1]
    torch.save(saved, tmp_path / "model.pt")
    with pytest.raises(CheckpointError) as caught:
        ScviEncoder.load(tmp_path)
    message = f"the array {name!r} has shape (10, 63), the settings ask for (10, 64). The file is damaged."
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"n_hidden": 10**12}, "the settings ask for (10, 1000000000000). The file is damaged."),
        ({"n_layers": 2}, "'z_encoder.encoder.fc_layers.Layer 1.0.weight' is missing"),
        ({"n_layers": 10**9}, "The settings of the scVI model say n_layers=1000000000, which no model has."),
    ],
)
def test_refuses_sizes_that_the_weights_do_not_have(shared, tmp_path, sizes, message):
    """Nothing of the size that the settings name is made before that."""
    folder, _ = fixture_of(shared, "A")
    saved = torch.load(folder / "model.pt", weights_only=False)
    saved["attr_dict"]["init_params_"]["non_kwargs"] |= sizes
    torch.save(saved, tmp_path / "model.pt")
    with pytest.raises(CheckpointError) as caught:
        ScviEncoder.load(tmp_path)
    assert message in str(caught.value)


def test_refuses_missing_weights(shared, tmp_path):
    folder, _ = fixture_of(shared, "A")
    saved = torch.load(folder / "model.pt", weights_only=False)
    del saved["model_state_dict"]["z_encoder.mean_encoder.bias"]
    torch.save(saved, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"'z_encoder\.mean_encoder\.bias' is missing"):
        ScviEncoder.load(tmp_path)


def test_refuses_a_file_of_something_else(tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError) as caught:
        ScviEncoder.load(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'model.pt'} holds no model that scvi-tools (0.15 or later) saved: KeyError "
        "'attr_dict'. Give the folder that SCVI.save() wrote."
    )


def test_loads_the_file_itself(shared):
    folder, _ = fixture_of(shared, "A")
    assert ScviEncoder.load(folder / "model.pt").encoder_id == ScviEncoder.load(folder).encoder_id


def test_refuses_a_truncated_file(shared, tmp_path):
    folder, _ = fixture_of(shared, "A")
    content = (folder / "model.pt").read_bytes()
    for size in (0, 100, len(content) // 2, len(content) - 10):
        (tmp_path / "model.pt").write_bytes(content[:size])
        with pytest.raises(CheckpointError, match="It is damaged, cut short"):
            ScviEncoder.load(tmp_path)


def test_loading_needs_no_scvi_tools(shared, tmp_path, monkeypatch):
    folder, _ = fixture_of(shared, "A")
    shutil.copy(folder / "model.pt", tmp_path / "model.pt")
    for name in ("scvi", "torch"):
        monkeypatch.setitem(__import__("sys").modules, name, None)  # an import of it fails
    assert ScviEncoder.load(tmp_path).d_embed == 10
