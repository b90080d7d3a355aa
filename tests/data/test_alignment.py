import logging

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

from conceptome.core import InputError
from conceptome.data import align, demo, read, symbols

GENES = [f"GENE{letter}" for letter in "ABCDEFGHIJ"]


def cells(names, **var):
    return AnnData(X=sp.csr_matrix((2, len(names))), var=pd.DataFrame(var, index=names))


def index(names):
    return pd.Index(names, dtype=object)


def refusal(model_genes, adata, **options):
    with pytest.raises(InputError) as caught:
        align(index(model_genes), adata, **options)
    return str(caught.value)


def test_columns_missing_and_dropped():
    alignment = align(
        index(["GENEC", "GENEX", "GENEA", "GENEB", "GENEE"]),
        cells(["GENEA", "EXTRA", "GENEC", "GENEE", "GENEB"]),
    )
    assert alignment.columns.tolist() == [2, -1, 0, 4, 3]
    assert alignment.known.tolist() == [True, False, True, True, True]
    assert list(alignment.missing) == ["GENEX"]
    assert list(alignment.dropped) == ["EXTRA"]
    assert (alignment.n_matched, alignment.overlap, alignment.naming) == (4, 0.8, "symbol")
    assert alignment.describe() == (
        "4 of the model's 5 genes are in the data (matched by symbol); 1 of the data's 5 genes are not used."
    )


@given(order=st.permutations(range(len(GENES))), model_order=st.permutations(range(len(GENES))))
@settings(max_examples=30, deadline=None)
def test_columns_point_at_the_gene_of_that_name(order, model_order):
    data, model = index(GENES)[list(order)], index(GENES)[list(model_order)]
    columns = align(model, cells(data)).columns
    assert list(data[columns]) == list(model)


def test_versions_are_ignored_on_both_sides():
    ids = [f"ENSG{i:011d}" for i in range(5)]
    data = cells([f"{name}.{i + 1}" for i, name in enumerate(ids)])
    assert align(index([f"{name}.9" for name in ids[::-1]]), data).columns.tolist() == [4, 3, 2, 1, 0]


def test_real_data_are_read_in_either_naming(shared):
    adata = read(shared / "data/pbmc3k_10x_raw.h5ad")
    known = adata.var["ensembl_id"].astype(str)
    ids = index(known[known.str.startswith("ENSG")])
    by_id = align(ids, adata)
    assert (by_id.naming, by_id.n_matched) == ("ensembl", len(ids))
    renamed = adata[:, by_id.known].copy()
    renamed.var["gene_symbols"] = renamed.var_names
    renamed.var_names = renamed.var["ensembl_id"].astype(str)
    by_symbol = align(index(symbols(renamed)), renamed)
    assert (by_symbol.naming, by_symbol.overlap) == ("symbol", 1.0)
    assert by_symbol.columns.tolist() == list(range(renamed.n_vars))


def test_the_demo_against_itself():
    adata = demo()
    alignment = align(adata.var_names, adata)
    assert alignment.columns.tolist() == list(range(765))
    assert not len(alignment.missing)


def test_repeated_model_genes_are_refused():
    assert (
        refusal(["GENEA", "GENEB", "GENEA"], cells(GENES)) == "The model lists genes more than once: GENEA."
    )


def test_ambiguous_columns_are_refused_with_names():
    data = cells(GENES, feature_name=GENES)
    data.var_names = ["GENEA", "GENEA", "GENEB", "GENEB", *GENES[4:]]
    assert refusal(["GENEA", "GENEE", "GENEF"], data) == (
        "1 genes that the model needs name more than one column of the data: GENEA. "
        "Sum those columns or keep one of each."
    )


def test_repeats_that_the_model_does_not_need_do_no_harm():
    data = cells(GENES)
    data.var_names = ["OTHER", "OTHER", *GENES[2:]]
    alignment = align(index(GENES[2:]), data)
    assert alignment.columns.tolist() == list(range(2, 10))


def test_empty_symbols_match_nothing():
    data = cells([f"ENSG{i:011d}" for i in range(4)], gene_symbols=["GENEA", None, None, "GENEB"])
    assert align(index(["GENEA", "GENEB"]), data).columns.tolist() == [0, 3]


def test_small_overlap_is_refused_with_examples_of_both_sides():
    model = ["GENEA", *[f"MODEL{i}" for i in range(9)]]
    assert refusal(model, cells(GENES)) == (
        "1 of the model's 10 genes are in the data (matched by symbol); 9 of the data's 10 genes are not "
        "used. That is an overlap of 10.0%. At least 20% are needed. The model has names such as GENEA, "
        "MODEL0, MODEL1 and 7 more; the data GENEA, GENEB, GENEC and 7 more."
    )


def test_another_species_is_suspected_when_only_the_case_differs():
    mouse = [name.capitalize() for name in GENES]
    assert refusal(GENES, cells(mouse)).endswith(
        " Ignoring case, 10 match: are data and model of one species?"
    )


def test_overlap_relative_to_the_smaller_list():
    vocabulary = GENES + [f"MORE{i}" for i in range(990)]
    assert "overlap of 1.0%" in refusal(vocabulary, cells(GENES))
    assert align(index(vocabulary), cells(GENES), relative_to="smaller").overlap == 1.0


def test_medium_overlap_warns_once(caplog):
    model, data = index(GENES), cells(GENES[:7])
    with caplog.at_level(logging.WARNING, logger="conceptome.data"):
        align(model, data)
        align(model, data)
    assert [record.message for record in caplog.records] == [
        "7 of the model's 10 genes are in the data (matched by symbol); 0 of the data's 7 genes are not "
        "used. That is an overlap of 70.0%. Missing from the data: GENEH, GENEI, GENEJ."
    ]


def test_a_model_without_genes_is_refused():
    assert "overlap of 0.0%" in refusal([], cells(GENES))


def test_names_of_no_known_kind_are_compared_as_they_are():
    alignment = align(index(["3", "1"]), cells(["1", "2", "3"]))
    assert alignment.naming == "other"
    assert np.array_equal(alignment.columns, [2, 0])


def test_genes_renamed_in_place_are_read_anew():
    data = cells(GENES)
    assert align(index(GENES), data).columns.tolist() == list(range(10))
    data.var_names = GENES[::-1]
    assert align(index(GENES), data).columns.tolist() == list(range(9, -1, -1))
    data.var_names = [f"ENSG{i:011d}.1" for i in range(10)]
    data.var["gene_symbols"] = GENES
    assert align(index(GENES), data).columns.tolist() == list(range(10))
    data.var["gene_symbols"] = GENES[::-1]
    assert align(index(GENES), data).columns.tolist() == list(range(9, -1, -1))
