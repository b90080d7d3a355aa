"""Which gene of the model each column of the data is."""

import logging

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from conceptome.core import InputError
from conceptome.encoders.geneformer_vocabulary import GeneformerVocabulary

IDS = [f"ENSG{number:011d}" for number in range(1, 11)]


def vocabulary(mapping=None, symbols=None, without_median=()):
    tokens = {"<pad>": 0, "<mask>": 1, **{gene: token + 2 for token, gene in enumerate(IDS)}}
    medians = {gene: 1.0 for gene in IDS if gene not in without_median}
    return GeneformerVocabulary(tokens, medians, mapping, symbols)


def cells(names, **columns):
    var = pd.DataFrame({name: np.asarray(column, dtype=object) for name, column in columns.items()})
    var.index = pd.Index(names)
    return AnnData(X=np.ones((2, len(names)), dtype=np.float32), var=var)


def locate(vocabulary, adata, gene_key=None):
    return vocabulary.locate(adata, gene_key=gene_key).tolist()


def test_genes_have_a_token_and_a_median():
    found = vocabulary(without_median=IDS[:2])
    assert list(found.genes) == IDS[2:]
    np.testing.assert_array_equal(found.gene_tokens, np.arange(4, 12))
    assert locate(found, cells(IDS)) == [-1, -1, *range(8)]


def test_an_id_without_mapping_stands_for_itself():
    assert locate(vocabulary(), cells([*IDS[::-1], "ENSG99999999999"])) == [*range(9, -1, -1), -1]


def test_a_mapping_is_complete():
    mapping = {IDS[0]: IDS[0], "ENSG00000000099": IDS[0], IDS[1]: "ENSG00000000098", IDS[2]: IDS[3]}
    found = locate(vocabulary(mapping), cells([IDS[0], "ENSG00000000099", IDS[1], IDS[2], IDS[3]]))
    assert found == [0, 0, -1, 3, -1]  # two columns of one gene; no target; renamed; not in the mapping


def test_ids_may_be_in_lower_case_in_a_named_column():
    adata = cells([f"g{n}" for n in range(10)], id=[gene.lower() for gene in IDS])
    assert locate(vocabulary(), adata, gene_key="id") == list(range(10))
    adata.var.loc["g3", "id"] = None
    assert locate(vocabulary(), adata, gene_key="id") == [0, 1, 2, -1, *range(4, 10)]


def test_refuses_a_column_that_is_not_there():
    with pytest.raises(InputError) as caught:
        locate(vocabulary(), cells(IDS, gene_ids=IDS), gene_key="gene_id")
    assert str(caught.value) == "var has no column 'gene_id'; it has gene_ids. Did you mean 'gene_ids'?"


def test_an_id_with_a_version_is_not_read_but_reported(caplog):
    adata = cells([f"{IDS[0]}.14", *IDS[1:]])
    with caplog.at_level(logging.WARNING):
        assert locate(vocabulary(), adata) == [-1, *range(1, 10)]
    assert caplog.messages == [
        f"1 of 10 Ensembl ids carry a version (such as {IDS[0]}.14) and are not read, as in the published "
        "tokeniser. To read them: adata.var['id'] = conceptome.data.ensembl_ids(adata), and gene_key='id'."
    ]


def test_genes_of_no_model_do_not_hide_that_all_others_have_versions():
    others = [f"ENSG9{number:010d}.1" for number in range(90)]
    with pytest.raises(InputError, match=r"^10 of 100 Ensembl ids carry a version"):
        locate(vocabulary(), cells([*(f"{gene}.2" for gene in IDS), *others]))


def test_refuses_ids_that_all_have_versions_and_says_how_to_remove_them():
    adata = cells([f"{gene}.2" for gene in IDS])
    with pytest.raises(InputError) as caught:
        locate(vocabulary(), adata)
    assert str(caught.value) == (
        f"10 of 10 Ensembl ids carry a version (such as {IDS[0]}.2), which Geneformer does not read. Remove "
        "the versions: adata.var['id'] = conceptome.data.ensembl_ids(adata), and gene_key='id'."
    )
    from conceptome import data

    adata.var["id"] = data.ensembl_ids(adata)
    assert locate(vocabulary(), adata, gene_key="id") == list(range(10))


def test_symbols_are_read_by_the_table_of_the_model(caplog):
    symbols = {f"GENE{n}A": gene for n, gene in enumerate(IDS)}
    adata = cells([*symbols, "FOREIGN"])
    with caplog.at_level(logging.INFO):
        assert locate(vocabulary(symbols=symbols), adata) == [*range(10), -1]
    assert caplog.messages == [
        "The data name genes by symbols; the model's table of symbols has an Ensembl id for 10 of 11."
    ]


def test_symbols_need_such_a_table():
    with pytest.raises(InputError, match="no column of var holds Ensembl ids"):
        locate(vocabulary(), cells([f"GENE{n}A" for n in range(10)]))


def test_ids_win_over_symbols():
    adata = cells([f"GENE{n}A" for n in range(10)], gene_ids=IDS)
    assert locate(vocabulary(symbols={"GENE0A": IDS[5]}), adata) == list(range(10))


def test_refuses_data_of_another_kind():
    foreign = [f"ENSMUSG{number:011d}" for number in range(1, 11)]
    with pytest.raises(InputError, match=r"That is an overlap of 0\.0%\. At least 20% are needed"):
        locate(vocabulary(), cells(foreign))
