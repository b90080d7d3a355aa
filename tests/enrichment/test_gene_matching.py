import logging

import pandas as pd
import pytest

from conceptome.core import InputError
from conceptome.enrichment import GeneSets, match_genes

HGNC = """hgnc_id\tsymbol\tprev_symbol\talias_symbol\tensembl_gene_id
HGNC:1\tCXCL8\tIL8\tSCYB8|NAP-1\tENSG00000169429
HGNC:2\tMS4A1\tCD20\tB1\tENSG00000156738
HGNC:3\tCENPU\tMLF1IP\t\tENSG00000151725
HGNC:4\tONE\tSHARED\t\tENSG00000000001
HGNC:5\tTWO\tSHARED\t\tENSG00000000002
"""
SETS = GeneSets.from_mapping(
    {
        "old": ["IL8", "CXCL8", "CD20", "MLF1IP"],
        "case": ["ms4a1", "Cd3e", "Twin"],
        "lost": ["SHARED", "NOWHERE", "MLF1IP"],
    }
)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "hgnc.txt"
    path.write_text(HGNC)
    return path


def test_by_symbol_of_today_then_by_case(table, caplog):
    data = ["CXCL8", "MS4A1", "CD3E", "MLF1IP", "ONE", "TWO", "twin", "TWIN"]
    with caplog.at_level(logging.INFO, logger="conceptome"):
        sets, report = match_genes(SETS, data, table=table)
    assert sets.members == (
        ("CXCL8", "MS4A1", "MLF1IP"),  # IL8 and CXCL8 are one gene
        ("MS4A1", "CD3E", "Twin"),  # twin or TWIN: not decided
        ("SHARED", "NOWHERE", "MLF1IP"),
    )
    expected = pd.DataFrame(
        [
            ("CD20", "MS4A1", "symbol", 1),
            ("Cd3e", "CD3E", "case", 1),
            ("IL8", "CXCL8", "symbol", 1),
            ("NOWHERE", "", "not found", 1),
            ("SHARED", "", "not found", 1),
            ("Twin", "", "not found", 1),
            ("ms4a1", "MS4A1", "case", 1),
        ],
        columns=["gene", "found_as", "how", "n_terms"],
    )
    pd.testing.assert_frame_equal(report, expected)
    assert caplog.messages == [
        "custom: 2 of 9 genes have the data's names, 4 were found by another, 3 were not found "
        "(NOWHERE, SHARED, Twin)."
    ]


def test_data_with_former_symbols_and_without_a_table(table):
    new = GeneSets.from_mapping({"new": ["CENPU", "CXCL8"]})
    sets, _ = match_genes(new, ["MLF1IP", "NAP-1"], table=table)
    assert sets.members == (("MLF1IP", "NAP-1"),)
    _, report = match_genes(new, ["MLF1IP", "cxcl8"])
    assert report.set_index("gene")["how"].to_dict() == {"CENPU": "not found", "CXCL8": "case"}


def test_nothing_in_common_is_refused():
    with pytest.raises(InputError) as error:
        match_genes(SETS, ["ENSG00000169429"])
    assert str(error.value) == (
        "None of the 9 genes of custom (IL8, CXCL8, CD20 and 6 more) is among the 1 genes of the data "
        "(ENSG00000169429). Give symbols of the same species, such as those of cm.data.symbols(adata)."
    )
