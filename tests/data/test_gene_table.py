import logging

import pandas as pd
import pytest
from anndata import AnnData

from conceptome.core import InputError
from conceptome.data import ensembl_ids, gene_naming, symbols, translate_genes

HGNC = """hgnc_id\tsymbol\tprev_symbol\tensembl_gene_id
HGNC:1\tCD3E\t\tENSG00000198851
HGNC:2\tMS4A1\tCD20|MS4A2\tENSG00000156738
HGNC:3\tMS4A2\tFCER1B\tENSG00000149534
HGNC:4\tATP5F1A\tATP5A1|OLD\tENSG00000152234
HGNC:5\tATP5F1B\tOLD\tENSG00000110955
HGNC:6\tTWICE\t\tENSG00000000001
HGNC:7\tTWICE\t\tENSG00000000002
HGNC:8\tNOID\t\t
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "hgnc_complete_set.txt"
    path.write_text(HGNC)
    return path


def cells(*names):
    return AnnData(var=pd.DataFrame(index=list(names)))


def test_symbols_to_ids_with_former_symbols(table, caplog):
    adata = cells("CD3E", "MS4A2", "ATP5A1", "OLD", "TWICE", "NOID", "NEW1")
    with caplog.at_level(logging.INFO, logger="conceptome"):
        found = translate_genes(adata, table)
    # MS4A2 is a symbol of today, so that it is not MS4A1 by its former one; OLD was two genes
    expected = ["ENSG00000198851", "ENSG00000149534", "ENSG00000152234", "", "", "", ""]
    assert found.tolist() == expected
    assert found.name == "ensembl_id"
    assert "3 of 7 genes have an Ensembl id by hgnc_complete_set.txt." in caplog.text
    adata.var[found.name] = found
    assert ensembl_ids(adata).tolist() == expected


def test_ids_to_symbols_whatever_the_version(table):
    adata = cells("ENSG00000198851.4", "ENSG00000149534", "ENSG00000999999")
    found = translate_genes(adata, table)
    assert found.tolist() == ["CD3E", "MS4A2", ""]
    adata.var[found.name] = found
    assert symbols(adata).tolist() == ["CD3E", "MS4A2", ""]


def test_a_table_of_commas_without_former_symbols(tmp_path, shared):
    real = pd.read_csv(
        shared / "data/vocab/gencode_v44_gene_id2name.csv.gz", header=None, names=["gene_id", "gene_name"]
    )
    path = tmp_path / "gencode.csv.gz"
    real.to_csv(path, index=False)
    found = translate_genes(cells("CD3E", "MS4A1", "no such gene"), path)
    assert found.tolist() == ["ENSG00000198851", "ENSG00000156738", ""]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tb\n1\t2\n", "has no column with Ensembl ids: looked for ensembl_gene_id, "),
        ("ensembl_id\tb\n1\t2\n", "has no column with symbols: looked for approved_symbol, "),
        ("", "cannot be read as a table (No columns to parse from file). Give a .csv, .tsv or .txt."),
        ("symbol,ensembl_id\nx,y\n", "knows none of the genes, such as CD3E. Give a table of their species."),
    ],
)
def test_what_is_no_such_table(tmp_path, content, message):
    path = tmp_path / "table.tsv"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        translate_genes(cells("CD3E"), path)
    assert str(caught.value).startswith(f"{path} {message}")


def test_a_table_that_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"There is no gene table none\.tsv\. Name a table"):
        translate_genes(cells("CD3E"), "none.tsv")
    monkeypatch.setenv("CONCEPTOME_CACHE", str(tmp_path))
    with pytest.raises(InputError) as caught:
        translate_genes(cells("CD3E"), "hgnc")
    assert str(caught.value).endswith(".txt. Run: conceptome data fetch hgnc")


def test_genes_by_number(table):
    adata = cells("1", "2", "3")
    assert gene_naming(adata.var_names) == "other"
    with pytest.raises(InputError, match="Genes are named 1, 2, 3: neither symbols nor Ensembl ids"):
        translate_genes(adata, table)


@pytest.mark.parametrize("suffix", [".zip", ".gz", ".bz2", ".xz"])
def test_a_damaged_archive_is_no_table(tmp_path, suffix):
    path = tmp_path / f"table.csv{suffix}"
    path.write_text("no archive")
    with pytest.raises(
        InputError, match=r"cannot be read as a table \(.+\)\. Give a \.csv, \.tsv or \.txt\."
    ):
        translate_genes(cells("CD3E"), path)
