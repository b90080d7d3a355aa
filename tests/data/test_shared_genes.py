"""Genes of two datasets that are the same."""

import pandas as pd
import pytest

from conceptome.core import InputError
from conceptome.data.shared_genes import share_genes


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "genes.tsv"
    rows = [
        ("symbol", "ensembl_gene_id", "prev_symbol", "alias_symbol"),
        ("CD3E", "ENSG00000198851", "", ""),
        ("ISG15", "ENSG00000187608", "G1P2", ""),
        ("MS4A1", "ENSG00000156738", "", "CD20"),
    ]
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n")
    return path


def test_names_are_compared_as_they_are_then_whatever_their_case():
    found = share_genes(pd.Index(["CD3E", "Isg15", "x"]), pd.Index(["ISG15", "y", "CD3E"]))
    assert (found.a.tolist(), found.b.tolist()) == ([0, 1], [2, 0])
    assert found.ways == {"by name": 1, "whatever the case": 1}
    assert (found.only_a.tolist(), found.only_b.tolist()) == (["x"], ["y"])
    assert found.describe() == (
        "2 genes are shared (1 by name, 1 whatever the case); 1 are only in the first, 1 only in the second."
    )


def test_versions_of_ids_do_not_count_and_repeated_names_match_nothing():
    ids = pd.Index(["ENSG00000198851.4", "ENSG00000187608"])
    found = share_genes(ids, pd.Index(["ENSG00000187608.7", "ENSG00000198851"]))
    assert found.b.tolist() == [1, 0]
    repeated = share_genes(pd.Index(["A1", "B1", "B1"]), pd.Index(["B1", "A1"]))
    assert repeated.a.tolist() == [0]


def test_a_table_translates_and_knows_former_symbols(table):
    symbols = pd.Index(["G1P2", "CD3E", "CD20", "other"])
    ids = pd.Index(["ENSG00000156738", "ENSG00000187608", "ENSG00000198851"])
    found = share_genes(symbols, ids, table=table)
    assert (found.a.tolist(), found.b.tolist()) == ([0, 1, 2], [1, 2, 0])
    assert found.ways["by the gene table"] == 3
    with pytest.raises(InputError) as without:
        share_genes(symbols, ids)
    assert str(without.value).endswith("Give a gene table (--gene-table), such as hgnc, that translates.")


def test_datasets_without_a_common_gene_are_refused():
    with pytest.raises(InputError, match=r"^No gene is shared: the first has A1, the second B1\.$"):
        share_genes(pd.Index(["A1"]), pd.Index(["B1"]))
