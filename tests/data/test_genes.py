import gzip
import json

import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from conceptome.core import InputError
from conceptome.data import ensembl_ids, gene_column, gene_naming, read, strip_version, symbols

IDS = ["ENSG00000167286.12", "ENSG00000198851", "ENSG00000153563.16"]
SYMBOLS = ["CD3D", "CD3E", "CD8A"]


def cells(names, **var):
    return AnnData(X=sp.csr_matrix((2, len(names))), var=pd.DataFrame(var, index=names))


@pytest.mark.parametrize(
    ("names", "naming"),
    [
        (SYMBOLS, "symbol"),
        (["7SK", "5S_rRNA", "AL627309.1", "RP11-206L10.2", "HLA-A", "Cd3d", "MT-CO1"], "symbol"),
        (IDS, "ensembl"),
        (["ENSMUSG00000032094", "ENSMUSG00000032093.3"], "ensembl"),
        (["ENSG00000182378.14_PAR_Y"], "ensembl"),
        (["ENST00000300692.8", "ENST00000361763"], "other"),
        (["0", "1", "2"], "other"),
        (["1007_s_at", "1053_at"], "other"),
        ([""], "other"),
        ([], "other"),
        (["CD3D", "CD3E", "ENSG00000286448"], "symbol"),
        (["ENSG00000167286", "ENSG00000198851", "TdTomato"], "ensembl"),
    ],
)
def test_naming(names, naming):
    assert gene_naming(names) == naming


def test_naming_of_the_published_vocabularies(shared):
    with gzip.open(shared / "data/vocab/scgpt_default_gene_vocab.json.gz") as file:
        assert gene_naming(json.load(file)) == "symbol"
    with gzip.open(shared / "data/vocab/geneformer_30M_token_dictionary.json.gz") as file:
        assert gene_naming(json.load(file)) == "ensembl"


def test_only_versions_of_ensembl_ids_are_stripped():
    names = ["ENSG00000167286.12", "ENSMUSG00000032094.3", "AL627309.1", "RP11-206L10.2", "ENSA"]
    assert list(strip_version(names)) == [
        "ENSG00000167286", "ENSMUSG00000032094", "AL627309.1", "RP11-206L10.2", "ENSA",
    ]  # fmt: skip


def test_the_copy_on_y_stays_apart_from_the_one_on_x():
    names = strip_version(["ENSG00000182378.14", "ENSG00000182378.14_PAR_Y"])
    assert list(names) == ["ENSG00000182378", "ENSG00000182378_PAR_Y"]


def test_names_that_are_already_right_are_taken():
    assert list(symbols(cells(SYMBOLS))) == SYMBOLS
    assert list(ensembl_ids(cells(IDS))) == ["ENSG00000167286", "ENSG00000198851", "ENSG00000153563"]


@pytest.mark.parametrize("column", ["gene_symbols", "feature_name", "Gene_Name"])
def test_symbols_come_from_a_column(column):
    assert list(symbols(cells(IDS, **{column: SYMBOLS}))) == SYMBOLS


@pytest.mark.parametrize("column", ["gene_ids", "ensembl_id", "feature_id"])
def test_ids_come_from_a_column(column):
    assert list(ensembl_ids(cells(SYMBOLS, **{column: IDS}))) == list(strip_version(IDS))


def test_a_column_of_another_naming_is_passed_over():
    adata = cells(SYMBOLS, ensembl_id=SYMBOLS, gene_id=IDS)
    assert list(ensembl_ids(adata)) == list(strip_version(IDS))


def test_categorical_columns_with_gaps_give_empty_names():
    adata = cells(IDS, feature_name=pd.Categorical(["CD3D", None, "CD8A"]))
    assert list(symbols(adata)) == ["CD3D", "", "CD8A"]


def test_without_a_column_the_message_says_where_was_looked():
    with pytest.raises(InputError) as caught:
        ensembl_ids(cells(SYMBOLS, chromosome=["11", "11", "2"]))
    assert str(caught.value) == (
        "Genes are named CD3D, CD3E and 1 more, and no column of var holds Ensembl ids (looked for "
        "ensembl_id, gene_ids, gene_id, ensembl, ensembl_ids, feature_id; var has chromosome). "
        "Put them into adata.var['ensembl_id']; cm.data.translate_genes (--gene-table) finds them by a table."
    )


def test_real_ids_follow_the_genes(shared):
    adata = read(shared / "data/pbmc68k_reduced_700x765_raw.h5ad")
    reversed_ids = ensembl_ids(adata[:, ::-1])
    assert list(reversed_ids) == list(ensembl_ids(adata))[::-1]
    assert ensembl_ids(adata)[adata.var_names.get_loc("CD79A")] == "ENSG00000105369"


def test_ids_may_keep_their_version():
    assert list(ensembl_ids(cells(IDS), keep_version=True)) == IDS
    assert list(ensembl_ids(cells(SYMBOLS, gene_ids=IDS), keep_version=True)) == IDS


def test_names_from_a_named_column():
    adata = cells(SYMBOLS, other=["a", None, 3])
    assert list(gene_column(adata, "other")) == ["a", "", "3"]
    with pytest.raises(InputError) as caught:
        gene_column(adata, "othr")
    assert str(caught.value) == "var has no column 'othr'; it has other. Did you mean 'other'?"
