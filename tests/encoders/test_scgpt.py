"""Parity with the original scGPT, and the promises that every encoder makes."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData

from conceptome.core import CheckpointError, Edits, InputError, ScoredDecoder
from conceptome.encoders import ScgptEncoder, ScgptOptions, load, reencode_edits
from conceptome.testing import ContractError, check_encoder

KEY = "feature_name"


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "fixtures" / "scgpt_tiny"


@pytest.fixture(scope="module")
def counts(folder):
    return ad.read_h5ad(folder / "input.h5ad")


@pytest.fixture(scope="module")
def distinct(counts):
    """The cells with values that have no ties, so that the original's bins are not random."""
    return AnnData(X=counts.layers["distinct"], obs=counts.obs, var=counts.var)


@pytest.fixture(scope="module")
def expected(folder):
    return np.load(folder / "expected_distinct.npz")


@pytest.fixture(scope="module")
def encoder(folder):
    return ScgptEncoder.load(folder / "checkpoint", options=ScgptOptions(gene_key=KEY))


@pytest.fixture(scope="module")
def encoder_of_x(folder):
    return ScgptEncoder.load(folder / "checkpoint", options=ScgptOptions(reads="x", gene_key=KEY))


def with_options(encoder, **options):
    return ScgptEncoder(encoder.model, options=ScgptOptions(**{"gene_key": KEY, **options}))


def sequences_of(encoder, adata):
    columns, tokens = encoder._columns(adata)
    return encoder._tokeniser.cells(encoder.expression(adata)[:, columns], tokens, adata.obs_names)


def run(encoder, tokens, values, real, **settings):
    """Put the original's own tokens through the network."""
    network = encoder._network
    arrays = (torch.as_tensor(array) for array in (tokens.astype(np.int64), values, real))
    with torch.no_grad():
        return network.pool(
            *arrays, **{"layer": network.sizes.n_layers, "pooling": "cls", **settings}
        ).numpy()


def unit(z):
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def test_embedding(encoder_of_x, distinct, expected):
    embeddings = encoder_of_x.embed(distinct)
    assert embeddings.values.dtype == np.float32
    assert embeddings.encoder_name == "scgpt"
    np.testing.assert_allclose(embeddings.values, expected["X_scGPT"], atol=2e-6)


def test_tokens_and_bins(encoder_of_x, distinct, expected):
    sequences = sequences_of(encoder_of_x, distinct)
    pad = encoder_of_x.model.vocabulary.index("<pad>")
    tokens, values = sequences.padded(np.arange(48), 642, pad_token=pad, pad_value=-2.0)
    np.testing.assert_array_equal(tokens, expected["src"])
    np.testing.assert_array_equal(values, expected["values"])
    np.testing.assert_array_equal(tokens == pad, expected["pad_mask"])


def test_vocabulary(encoder_of_x, distinct, expected):
    columns, tokens = encoder_of_x._columns(distinct)
    found = np.full(distinct.n_vars, -1)
    found[columns] = tokens
    np.testing.assert_array_equal(found, expected["gene_ids_in_vocab"])
    np.testing.assert_array_equal(encoder_of_x.known(distinct), expected["gene_ids_in_vocab"] >= 0)
    assert np.sum(distinct.var[KEY][encoder_of_x.known(distinct)] == "B2M") == 2
    assert "cd3d" not in set(distinct.var[KEY][encoder_of_x.known(distinct)])


def test_embedding_before_the_division_by_its_length(encoder, expected):
    z = run(encoder, expected["src"], expected["values"], ~expected["pad_mask"])
    np.testing.assert_allclose(z, expected["cell_emb_unnormalised"], atol=2e-5)


def test_hidden_states_of_every_layer(encoder, expected):
    network = encoder._network
    rows = expected["hidden_cells"]
    n_positions = expected["hidden_states"].shape[2]
    tokens = torch.as_tensor(expected["src"][rows, :n_positions].astype(np.int64))
    values = torch.as_tensor(expected["values"][rows, :n_positions])
    real = torch.as_tensor(~expected["pad_mask"][rows, :n_positions])
    with torch.no_grad():
        for n_layers, hidden in enumerate(expected["hidden_states"]):
            ours = network(network.inputs(tokens, values), real, n_layers=n_layers)
            np.testing.assert_allclose(ours[real].numpy(), hidden[real.numpy()], atol=2e-5)


def test_heads(encoder, expected):
    network = encoder._network
    tokens = torch.as_tensor(expected["src"].astype(np.int64))
    values, real = torch.as_tensor(expected["values"]), torch.as_tensor(~expected["pad_mask"])
    with torch.no_grad():
        hidden = network(network.inputs(tokens, values), real, n_layers=network.sizes.n_layers)
        by_gene = network.decoder(hidden)
        by_cell = torch.stack(
            [
                network.mvc_decoder(network.encoder(row), cell[None])[:, 0]
                for row, cell in zip(tokens, hidden[:, 0], strict=True)
            ]
        )
    np.testing.assert_allclose(by_gene[real], expected["mlm_output"][real.numpy()], atol=2e-5)
    np.testing.assert_allclose(by_cell[real], expected["mvc_output"][real.numpy()], atol=5e-5)


def test_gradients_reach_the_values(encoder, expected):
    network = encoder._network
    rows = slice(0, 4)
    tokens = torch.as_tensor(expected["src"][rows].astype(np.int64))
    real = torch.as_tensor(~expected["pad_mask"][rows])
    values = torch.as_tensor(expected["values"][rows]).requires_grad_()
    x = network.inputs(tokens, values)
    x.retain_grad()
    z = network(x, real, n_layers=network.sizes.n_layers)[:, 0]
    (z @ torch.as_tensor(expected["grad_w"]).float()).sum().backward()
    gene = real.numpy().copy()
    gene[:, 0] = False
    np.testing.assert_allclose(values.grad[gene], expected["grad_values"][rows][gene], rtol=1e-3, atol=1e-6)
    by_token = (x.grad * x).sum(-1).detach()
    np.testing.assert_allclose(
        by_token[real], expected["grad_x_input_per_token"][rows][real.numpy()], rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("edit", ["values", "binned"])
def test_removal_of_a_gene(encoder_of_x, distinct, expected, edit):
    encoder = with_options(encoder_of_x, reads="x", edit=edit)
    names = distinct.var[KEY].to_numpy()
    for number, gene in enumerate(expected["ko_genes"]):
        columns = np.flatnonzero(names == gene)
        n = distinct.n_obs
        edits = Edits(
            np.arange(n), np.arange(n + 1) * len(columns), np.tile(columns, n), np.zeros(n * len(columns))
        )
        z = encoder.embed_edits(distinct, edits)
        if edit == "values":
            np.testing.assert_allclose(z, expected["ko_rebinned_X_scGPT"][number], atol=2e-6)
            length = unit(expected["ko_rebinned_unnormalised"][number])
            np.testing.assert_allclose(z, length, atol=2e-6)
        else:
            np.testing.assert_allclose(z, unit(expected["ko_tokendrop_unnormalised"][number]), atol=2e-6)


def test_a_cut_sequence(encoder_of_x, distinct, expected):
    """The original cuts at random: its own tokens are embedded, with the bins of the whole cell."""
    pad = encoder_of_x.model.vocabulary.index("<pad>")
    tokens, values = expected["sub_src"], expected["sub_values"]
    z = run(encoder_of_x, tokens, values, tokens != pad)
    np.testing.assert_allclose(unit(z), expected["sub_X_scGPT"], atol=2e-6)
    for row in range(len(tokens)):
        bins = dict(zip(expected["src"][row], expected["values"][row], strict=True))
        duplicated = {t for t in tokens[row] if np.sum(expected["src"][row] == t) > 1}
        gene = [t not in duplicated for t in tokens[row]]
        np.testing.assert_array_equal(values[row][gene], [bins[t] for t in tokens[row][gene]])


def test_bins_of_counts_are_among_those_the_original_may_draw(encoder, folder, counts):
    allowed = np.load(folder / "expected_counts.npz")
    pad = encoder.model.vocabulary.index("<pad>")
    for binning in ("deterministic", "stochastic"):
        sequences = sequences_of(with_options(encoder, binning=binning), counts)
        tokens, values = sequences.padded(np.arange(48), 642, pad_token=pad, pad_value=-2.0)
        np.testing.assert_array_equal(tokens, allowed["src"])
        gene = allowed["bin_lo"] >= 0
        assert (values[gene] >= allowed["bin_lo"][gene]).all()
        assert (values[gene] <= allowed["bin_hi"][gene]).all()
        if binning == "deterministic":
            middle = np.floor((allowed["bin_lo"] + allowed["bin_hi"]) / 2 + 0.5)
            np.testing.assert_array_equal(values[gene], middle[gene])
        else:
            position = (values - allowed["bin_lo"])[gene] / np.maximum(
                allowed["bin_hi"] - allowed["bin_lo"], 1
            )[gene]
            wide = (allowed["bin_hi"] - allowed["bin_lo"])[gene] >= 5
            assert abs(position[wide].mean() - 0.5) < 0.02


def test_embedding_of_counts_lies_within_the_originals_scatter(encoder, folder, counts):
    runs = np.load(folder / "expected_counts.npz")
    for binning in ("deterministic", "stochastic"):
        z = with_options(encoder, binning=binning).embed(counts).values
        cosine = (z * unit(runs["many_runs_mean"])).sum(axis=1)
        assert cosine.min() > runs["cosine_between_runs_min"]
    z = run(encoder, runs["src"], runs["run_values"], runs["src"] != encoder.model.vocabulary.index("<pad>"))
    np.testing.assert_allclose(z, runs["run_cell_emb_unnormalised"], atol=2e-5)
    np.testing.assert_allclose(unit(z), runs["run_X_scGPT"], atol=2e-6)


@pytest.mark.parametrize("name", ["best_model_fa2_wrapped.pt", "best_model_native_inproj.pt"])
def test_other_names_of_the_attention(encoder, folder, tmp_path, name):
    for file in ("args.json", "vocab.json"):
        (tmp_path / file).write_bytes((folder / "checkpoint" / file).read_bytes())
    (tmp_path / "best_model.pt").write_bytes((folder / "checkpoint_variants" / name).read_bytes())
    other = ScgptEncoder.load(tmp_path, options=encoder.options)
    assert other.encoder_id == encoder.encoder_id


def test_only_the_first_position_is_as_good_as_all(encoder, expected):
    network = encoder._network
    tokens = torch.as_tensor(expected["src"].astype(np.int64))
    values, real = torch.as_tensor(expected["values"]), torch.as_tensor(~expected["pad_mask"])
    x = network.inputs(tokens, values).detach()
    for n_layers in range(4):
        whole = network(x, real, n_layers=n_layers)[:, :1].detach()
        alone = network(x, real, n_layers=n_layers, only_cls=True).detach()
        torch.testing.assert_close(alone, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", ["average", "weighted"])
def test_pooling_is_over_genes(encoder_of_x, distinct, expected, pooling):
    z = with_options(encoder_of_x, reads="x", pooling=pooling, layer=2).embed(distinct).values
    rows, hidden = expected["hidden_cells"], expected["hidden_states"][2]
    for row, states in zip(rows, hidden, strict=True):
        n = int((~expected["pad_mask"][row]).sum())
        weight = expected["values"][row, 1:n] if pooling == "weighted" else np.ones(n - 1)
        mean = (weight[:, None] * states[1:n]).sum(axis=0)
        np.testing.assert_allclose(z[row], mean / np.linalg.norm(mean), atol=1e-5)


def test_layers_from_either_end(encoder):
    assert with_options(encoder, layer=-1).encoder_id == with_options(encoder, layer=3).encoder_id
    assert with_options(encoder, layer=1).encoder_id == with_options(encoder, layer=-3).encoder_id
    with pytest.raises(InputError, match="layer is 0, but the input of the first layer is the same at <cls>"):
        with_options(encoder, layer=0)
    with pytest.raises(InputError) as caught:
        with_options(encoder, layer=4)
    assert str(caught.value) == (
        "layer is 4, but the model has 3 layers: expected 0 (input of the first) to 3 (output of the last), "
        "or -1 to -4 from the end."
    )


def test_what_changes_the_embedding_changes_the_identity(encoder):
    same = with_options(encoder, edit="binned", gene_key="symbol")
    assert same.encoder_id == encoder.encoder_id
    for change in ({"pooling": "average"}, {"layer": 1}, {"binning": "none"}, {"max_length": 100}):
        assert with_options(encoder, **change).encoder_id != encoder.encoder_id


def test_neither_company_nor_batch_size_matters(encoder, counts):
    z = encoder.embed(counts).values
    np.testing.assert_array_equal(encoder.embed(counts, batch_size=5).values, z)
    some = counts[[40, 3, 17]]
    np.testing.assert_array_equal(encoder.embed(some).values, z[[40, 3, 17]])


def random_edits(adata, known, n=60, seed=0):
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, adata.n_obs, n)
    genes = rng.integers(0, adata.n_vars, n)
    values = rng.poisson(1.0, n).astype(np.float64)
    return Edits.single(cells, genes, values), known[genes]


@pytest.mark.parametrize("options", [{}, {"pooling": "average"}, {"layer": 1}, {"binning": "none"}])
def test_edits_are_as_good_as_building_the_cell(encoder, counts, options):
    chosen = with_options(encoder, **options)
    edits, known = random_edits(counts, chosen.known(counts))
    z = chosen.embed_edits(counts, edits)
    np.testing.assert_allclose(z, reencode_edits(chosen, counts, edits), atol=1e-6)
    np.testing.assert_array_equal(chosen.embed_edits(counts, edits, batch_size=7), z)
    untouched = chosen.embed_edits(counts, Edits.noop(counts.n_obs))
    np.testing.assert_array_equal(untouched, chosen.embed(counts).values)
    np.testing.assert_array_equal(z[~known], untouched[edits.cells[~known]])
    assert np.abs(z[known] - untouched[edits.cells[known]]).max() > 1e-4


@pytest.mark.parametrize("options", [{"binning": "stochastic"}, {"edit": "binned"}, {"max_length": 40}])
def test_an_edit_to_the_own_value_changes_nothing(encoder, counts, options):
    chosen = with_options(encoder, **options)
    expression = chosen.expression(counts)
    rng = np.random.default_rng(1)
    cells, genes = rng.integers(0, counts.n_obs, 50), rng.integers(0, counts.n_vars, 50)
    own = Edits.single(cells, genes, np.asarray(expression[cells, genes]).ravel())
    z = chosen.embed_edits(counts, own)
    np.testing.assert_array_equal(z, chosen.embed_edits(counts, Edits.noop(counts.n_obs))[cells])


def test_draws_are_shared_by_a_cell_and_its_edits(encoder, counts):
    """Only genes whose range of bins moves may change their bin; with fresh draws most would."""
    chosen = with_options(encoder, binning="stochastic")
    columns, tokens = chosen._columns(counts)
    from conceptome.encoders.cells import edits_by_cell

    gene = int(columns[0])
    values = chosen.expression(counts)[:, columns]
    edits = Edits.single(np.arange(10), np.full(10, gene), np.full(10, 2.0))
    (part,) = edits_by_cell(values, edits, columns, n_genes=counts.n_vars, batch_size=64)
    edited = chosen._tokeniser.edits(part, tokens, counts.obs_names[part.cells], edit="values")
    before = sequences_of(chosen, counts)
    other = sequences_of(with_options(encoder, binning="stochastic", seed=1), counts)

    def bins(sequences, row):
        span = slice(sequences.indptr[row], sequences.indptr[row + 1])
        return dict(zip(sequences.tokens[span], sequences.values[span], strict=True))

    def moved(one, two, row):
        first, second = bins(one, row), bins(two, row)
        return np.mean([first[token] != second[token] for token in first.keys() & second.keys()])

    assert np.mean([moved(before, edited, row) for row in range(10)]) < 0.3
    assert np.mean([moved(before, other, row) for row in range(10)]) > 0.5


def test_long_cells_keep_their_highest_genes_and_nobody_refills(encoder, counts):
    chosen = with_options(encoder, max_length=40)
    columns, tokens = chosen._columns(counts)
    values = chosen.expression(counts)[:, columns].toarray()
    sequences = sequences_of(chosen, counts)
    assert (sequences.lengths == 40).all()
    row = values[0]
    highest = np.sort(np.lexsort((tokens, -row))[:39])
    np.testing.assert_array_equal(sequences.tokens[1:40], tokens[highest])

    from conceptome.encoders.cells import edits_by_cell

    first, absent = int(columns[highest[0]]), int(columns[np.flatnonzero(row == 0)[0]])
    lowest = int(columns[np.flatnonzero((row > 0) & ~np.isin(np.arange(len(row)), highest))[0]])
    edits = Edits.single(
        np.zeros(4, dtype=int), np.array([first, absent, absent, lowest]), np.array([0.0, 1000, 0.5, 1000])
    )
    full = chosen.expression(counts)[:, columns]
    (part,) = edits_by_cell(full, edits, columns, n_genes=counts.n_vars, batch_size=64)
    edited = chosen._tokeniser.edits(part, tokens, counts.obs_names[part.cells], edit="values")
    assert edited.lengths.tolist() == [39, 41, 40, 41]  # left, entered, too low to enter, entered


def test_a_cell_that_loses_its_last_gene_is_its_first_position(encoder, counts):
    adata = AnnData(X=np.array([[3.0, 0.0]], dtype=np.float32), var=pd.DataFrame(index=["CLDN15", "PCBP2"]))
    chosen = with_options(encoder, gene_key=None, pooling="average")
    z = chosen.embed_edits(adata, Edits.single(np.array([0]), np.array([0]), np.array([0.0])))
    assert np.isfinite(z).all()
    with pytest.raises(InputError) as caught:
        chosen.embed(AnnData(X=np.zeros((1, 2), dtype=np.float32), var=adata.var))
    assert "express no gene that scGPT knows: 0" in str(caught.value) or "no raw counts" in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"pooling": "weighted", "layer": 2}, {"binning": "stochastic"}])
def test_keeps_the_promises_of_an_encoder(encoder, counts, options):
    check_encoder(with_options(encoder, **options), counts[:20].copy())


@pytest.mark.parametrize(
    ("options", "promise"),
    [({"edit": "binned"}, "edits"), ({"max_length": 60}, "edits")],
)
def test_alternatives_that_break_a_promise_on_purpose(encoder, counts, options, promise):
    """An edit that leaves the other bins, or the other genes kept, is not the edited cell embedded anew."""
    with pytest.raises(ContractError) as caught:
        check_encoder(with_options(encoder, **options), counts[:20].copy())
    assert str(caught.value).count("\n- ") == 1
    assert f"- {promise}: " in str(caught.value)


def test_an_empty_cell_is_named(encoder, counts):
    adata = counts[:3].copy()
    adata.X[1] = 0
    with pytest.raises(InputError) as caught:
        encoder.embed(adata)
    name = counts.obs_names[1]
    assert str(caught.value) == f"1 cells express no gene that scGPT knows: {name}. Leave them out."


def test_save_and_load(encoder, counts, tmp_path):
    chosen = with_options(encoder, layer=2, edit="binned")
    chosen.save(tmp_path / "saved")
    again = load("scgpt", tmp_path / "saved")
    assert again.encoder_id == chosen.encoder_id
    assert again.options == chosen.options
    np.testing.assert_array_equal(again.embed(counts).values, chosen.embed(counts).values)
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {"config.json", "weights.safetensors"}


def test_a_saved_encoder_with_sizes_that_do_not_fit(encoder, tmp_path):
    encoder.save(tmp_path)
    config = (tmp_path / "config.json").read_text().replace('"d_hidden": 128', '"d_hidden": 130')
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(
        CheckpointError, match=r"linear1.weight' has shape \(128, 64\), the settings ask for \(130"
    ):
        load("scgpt", tmp_path)


def test_decoder_restores_the_length(encoder_of_x, distinct, expected):
    decoder = encoder_of_x.decoder
    predicted = decoder.expression(expected["X_scGPT"], distinct)
    assert predicted.shape == (48, len(decoder.genes))
    assert decoder.genes.equals(encoder_of_x.genes)
    with pytest.raises(InputError, match=r"has shape \(47, 64\), expected \(48, 64\): one row for each"):
        decoder.expression(expected["X_scGPT"][1:], distinct)
    position = {token: number for number, token in enumerate(encoder_of_x._tokens)}
    for row in range(48):
        gene = [t in position for t in expected["src"][row]]
        ours = predicted[row, [position[t] for t in expected["src"][row][gene]]]
        np.testing.assert_allclose(ours, expected["mvc_output"][row][gene], atol=5e-5)
    assert with_options(encoder_of_x, pooling="average").decoder is None
    assert with_options(encoder_of_x, layer=1).decoder is None


def test_the_loss_compares_the_head_of_the_original_with_its_input(encoder_of_x, distinct, expected):
    decoder = encoder_of_x.decoder
    assert isinstance(decoder, ScoredDecoder)
    loss = decoder.loss(expected["X_scGPT"], distinct)
    for row in range(48):
        gene = np.isin(expected["src"][row], encoder_of_x._tokens) & (expected["values"][row] > 0)
        errors = expected["mvc_output"][row][gene] - expected["values"][row][gene]
        assert loss[row] == pytest.approx((errors**2).mean(), rel=1e-4)


def test_bfloat16_is_near(encoder, counts):
    z = encoder.embed(counts).values
    fast = with_options(encoder, precision="bfloat16")
    rough = fast.embed(counts).values
    assert np.abs(rough - z).max() < 1e-2
    assert np.abs(rough - z).max() > 1e-5
    exact = fast.embed_edits(counts, Edits.noop(counts.n_obs))
    np.testing.assert_array_equal(exact, z)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device here")
def test_cuda_agrees(encoder, counts):
    z = encoder.embed(counts).values
    np.testing.assert_allclose(encoder.embed(counts, device="cuda").values, z, atol=1e-3)


def test_reads_x_leaves_the_callers_x_alone(encoder_of_x, distinct):
    """Stored zeros, unsorted and repeated entries are put in order in a copy, whatever the type of X."""
    first = distinct[:1].X
    n_stored = first.nnz + 2
    columns = np.concatenate([first.indices[::-1], [first.indices[0], 0]]).astype(np.int32)
    data = np.concatenate([first.data[::-1], [0.0, 0.0]])
    for dtype in (np.float32, np.float64):
        x = sp.csr_matrix((data.astype(dtype), columns, np.array([0, n_stored])), shape=first.shape)
        untidy = AnnData(X=x, obs=distinct.obs[:1], var=distinct.var)
        before = [array.copy() for array in (untidy.X.data, untidy.X.indices, untidy.X.indptr)]
        found = encoder_of_x.embed(untidy).values
        np.testing.assert_allclose(found, encoder_of_x.embed(distinct[:1]).values, atol=1e-6)
        for array, kept in zip((untidy.X.data, untidy.X.indices, untidy.X.indptr), before, strict=True):
            np.testing.assert_array_equal(array, kept)


def test_reads_x_of_a_file_on_disk(encoder_of_x, distinct, tmp_path):
    AnnData(X=distinct.X[:2], obs=distinct.obs[:2], var=distinct.var).write_h5ad(tmp_path / "x.h5ad")
    found = encoder_of_x.embed(ad.read_h5ad(tmp_path / "x.h5ad", backed="r")).values
    np.testing.assert_array_equal(found, encoder_of_x.embed(distinct[:2]).values)


def test_reads_x_refuses_cells_without_x(encoder_of_x, distinct):
    with pytest.raises(InputError) as caught:
        encoder_of_x.embed(AnnData(obs=distinct.obs, var=distinct.var))
    assert str(caught.value) == (
        "The AnnData has no X, which the encoder was told to read. Put the values there."
    )


def test_reads_x_refuses_what_is_no_expression(encoder_of_x, distinct):
    broken = distinct.copy()
    broken.X = broken.X.toarray() - 1
    with pytest.raises(InputError, match="X has values that are negative, NaN or infinite"):
        encoder_of_x.embed(broken)


def test_options_are_checked():
    with pytest.raises(InputError, match="max_length is 1, expected at least 2"):
        ScgptOptions(max_length=1)


def test_a_column_that_is_not_there(encoder, counts):
    with pytest.raises(InputError, match="var has no column 'feature_names'"):
        with_options(encoder, gene_key="feature_names").embed(counts)


def test_a_device_that_is_not_there(encoder, counts, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="PyTorch finds no CUDA device here"):
        encoder.embed(counts, device="cuda")
    with pytest.raises(InputError, match="PyTorch finds no CUDA device here"):
        encoder.embed_edits(counts, Edits.noop(1), device="cuda")
