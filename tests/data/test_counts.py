import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from conceptome.core import InputError
from conceptome.data import counts as module
from conceptome.data import counts_source, demo, library_size, raw_counts, read

ADVICE = (
    "Conceptome needs the counts before normalisation: put them into adata.layers['counts'], "
    "or use the file from before sc.pp.normalize_total and sc.pp.log1p."
)
small_counts = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 8), st.integers(1, 6)), elements=st.integers(0, 5).map(float)
)


def named(x, **parts):
    n_cells, n_genes = x.shape
    adata = AnnData(X=x, **parts)
    adata.obs_names = [f"cell{i}" for i in range(n_cells)]
    adata.var_names = [f"GENE{i}" for i in range(n_genes)]
    return adata


def normalised(counts):
    dense = np.asarray(counts, dtype=np.float64)
    return np.log1p(dense / np.maximum(dense.sum(axis=1, keepdims=True), 1) * 1e4).astype(np.float32)


def refusal(adata, **options):
    with pytest.raises(InputError) as caught:
        raw_counts(adata, **options)
    return str(caught.value)


@pytest.fixture
def table():
    return np.random.default_rng(0).poisson(1.0, (30, 12)).astype(np.float32)


FORMS = {
    "dense": named,
    "float64": lambda t: named(t.astype(np.float64)),
    "int64": lambda t: named(t.astype(np.int64)),
    "csr_matrix": lambda t: named(sp.csr_matrix(t)),
    "csc_matrix": lambda t: named(sp.csc_matrix(t)),
    "csr_array": lambda t: named(sp.csr_array(t)),
    "csc_array": lambda t: named(sp.csc_array(t)),
    "layer": lambda t: named(normalised(t), layers={"counts": sp.csc_matrix(t)}),
    "no X": lambda t: without_x(named(t, layers={"counts": t})),
    "raw": lambda t: with_raw(named(normalised(t)), named(sp.csr_matrix(np.hstack([t, t])))),
    "raw of the same genes": lambda t: with_raw(named(normalised(t)), named(t)),
    "view": lambda t: named(np.vstack([t, t]))[: len(t)],
}


def without_x(adata):
    adata.X = None
    return adata


def with_raw(adata, raw):
    adata.raw = raw
    return adata


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_counts(table, form):
    counts = raw_counts(FORMS[form](table))
    assert isinstance(counts, sp.csr_array)
    assert counts.dtype == np.float32
    assert counts.has_canonical_format
    np.testing.assert_array_equal(counts.toarray(), table)


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_backed_gives_the_same_counts_piece_by_piece(table, convert, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    named(convert(table)).write_h5ad(tmp_path / "x.h5ad")
    backed = read(tmp_path / "x.h5ad", backed=True)
    np.testing.assert_array_equal(raw_counts(backed).toarray(), table)
    np.testing.assert_array_equal(raw_counts(backed[5:9]).toarray(), table[5:9])
    np.testing.assert_array_equal(library_size(backed), table.sum(axis=1))


def test_backed_raw_is_read_too(table, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    with_raw(named(normalised(table))[:, ::2].copy(), named(sp.csr_matrix(table))).write_h5ad(
        tmp_path / "x.h5ad"
    )
    backed = read(tmp_path / "x.h5ad", backed=True)
    assert counts_source(backed) == "raw"
    np.testing.assert_array_equal(raw_counts(backed).toarray(), table[:, ::2])


def test_a_late_fraction_in_a_backed_file_is_found(table, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    table[-1, -1] = 0.5
    named(sp.csr_matrix(table)).write_h5ad(tmp_path / "x.h5ad")
    message = refusal(read(tmp_path / "x.h5ad", backed=True))
    assert message.startswith("No raw counts found: X holds non-integer values such as 0.5 (max ")


@given(table=small_counts, data=st.data())
@settings(max_examples=50, deadline=None)
def test_permuting_cells_and_genes_permutes_counts(table, data):
    cells = np.array(data.draw(st.permutations(range(table.shape[0]))))
    genes = np.array(data.draw(st.permutations(range(table.shape[1]))))
    adata = named(sp.csr_matrix(table))
    permuted = raw_counts(adata[cells, genes])
    np.testing.assert_array_equal(permuted.toarray(), raw_counts(adata).toarray()[np.ix_(cells, genes)])
    np.testing.assert_array_equal(library_size(adata[cells]), library_size(adata)[cells])


@given(table=small_counts, data=st.data())
@settings(max_examples=50, deadline=None)
def test_raw_is_aligned_to_var_names(table, data):
    genes = data.draw(st.lists(st.integers(0, table.shape[1] - 1), min_size=1, unique=True))
    full = named(sp.csr_matrix(table))
    adata = with_raw(named(normalised(table) + np.float32(0.5))[:, genes].copy(), full)
    assert counts_source(adata) == "raw"
    np.testing.assert_array_equal(raw_counts(adata).toarray(), table[:, genes])


def test_stored_zeros_and_repeated_entries_are_made_canonical():
    x = sp.csr_matrix((np.array([3.0, 0.0, 1.0, 2.0]), [2, 0, 1, 1], [0, 2, 4]), shape=(2, 3))
    adata = named(x)
    counts = raw_counts(adata)
    assert counts.toarray().tolist() == [[0, 0, 3], [0, 3, 0]]
    assert counts.nnz == 2


def test_the_callers_matrix_is_neither_changed_nor_shared():
    adata = demo()
    before = adata.X.copy()
    counts = raw_counts(adata)
    assert not np.shares_memory(counts.data, adata.X.data)
    assert not np.shares_memory(counts.indices, adata.X.indices)
    counts.data[:] = -1
    assert (before != adata.X).nnz == 0


def test_source_is_named(table):
    assert counts_source(named(table)) == "X"
    assert counts_source(FORMS["layer"](table)) == "layers['counts']"
    assert counts_source(FORMS["raw"](table)) == "raw"


def test_a_layer_can_be_chosen(table):
    adata = named(table, layers={"spliced": table * 2})
    np.testing.assert_array_equal(raw_counts(adata, layer="spliced").toarray(), table * 2)


def test_a_chosen_layer_must_hold_counts(table):
    adata = named(table, layers={"scaled": -table})
    assert refusal(adata, layer="scaled") == (
        f"No raw counts found: layers['scaled'] holds negative values (min {-table.max():.4g}): "
        f"it looks scaled or centred. {ADVICE}"
    )


def test_absent_layer(table):
    adata = named(table, layers={"spliced": table})
    assert refusal(adata, layer="splced") == (
        "The AnnData has no layer 'splced'; layers found: spliced. Did you mean 'spliced'?"
    )


def test_log_normalised_data_are_refused_with_what_was_found():
    adata = demo()
    adata.X = sp.csr_matrix(normalised(adata.X.toarray()))
    message = refusal(adata)
    assert message == (
        f"No raw counts found: X holds non-integer values such as {adata.X.data[0]:.4g} "
        f"(max {adata.X.data.max():.4g}): it looks log-normalised. {ADVICE}"
    )


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (-0.5, "X holds negative values (min -0.5): it looks scaled or centred"),
        (-2.0, "X holds negative values (min -2): it looks scaled or centred"),
        (812.25, "X holds non-integer values such as 812.2 (max 812.2): it looks normalised or corrected"),
        (np.nan, "X holds 1 values that are NaN or infinite"),
        (np.inf, "X holds 1 values that are NaN or infinite"),
        (1j, "X holds values of type complex64"),
        (2.0**30, "X holds values up to 1.074e+09, more than a gene's count in one cell can be"),
    ],
)
@pytest.mark.parametrize("convert", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_values_that_are_no_counts(table, value, found, convert):
    table = table.astype(np.result_type(table, value))
    table[3, 4] = value
    assert refusal(named(convert(table))) == f"No raw counts found: {found}. {ADVICE}"


def test_every_place_is_named_in_the_refusal(table):
    adata = named(normalised(table), layers={"counts": table + np.float32(0.5)})
    adata = with_raw(adata[:, :6].copy(), named(table)[:, 3:].copy())
    message = refusal(adata)
    assert "X holds non-integer values such as" in message
    assert "; layers['counts'] holds non-integer values such as" in message
    assert "; raw lacks 3 of the 6 genes in var_names (GENE0, GENE1, GENE2). " in message


def test_raw_that_repeats_names_is_refused(table):
    raw = named(table)
    raw.var_names = ["TWIN", "TWIN", *raw.var_names[2:]]
    message = refusal(with_raw(named(normalised(table)), raw))
    assert message.endswith(f"; raw repeats the gene names TWIN. {ADVICE}")


def test_another_layer_of_integers_is_suggested(table):
    adata = named(normalised(table), layers={"scaled": -table, "umi": table})
    assert refusal(adata).endswith(
        "layers['umi'] holds non-negative integers; if these are the raw counts, set "
        "adata.layers['counts'] = adata.layers['umi']."
    )


def test_nothing_at_all():
    assert refusal(AnnData(obs={"a": [1, 2]}, var={"b": [1]})) == (
        f"No raw counts found: X is empty, and there is neither layers['counts'] nor raw. {ADVICE}"
    )


def test_indices_that_point_outside_are_refused(tmp_path):
    named(sp.csr_matrix(np.eye(4, dtype=np.float32))).write_h5ad(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad", "a") as file:
        file["X/indices"][2] = 99999
    for backed in (False, True):
        message = refusal(read(tmp_path / "x.h5ad", backed=backed))
        assert message == f"No raw counts found: X is damaged (indices must be < 4). {ADVICE}"


def test_library_size_is_exact_where_float32_is_not():
    adata = named(np.array([[2.0**24, 1.0]]))
    assert library_size(adata).tolist() == [2.0**24 + 1]


def test_a_concatenation_keeps_its_counts(table):
    adata = ad.concat([named(sp.csr_matrix(table)), named(sp.csr_matrix(table * 2))], index_unique="-")
    np.testing.assert_array_equal(raw_counts(adata).toarray(), np.vstack([table, table * 2]))
