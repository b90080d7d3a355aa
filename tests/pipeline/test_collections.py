"""Gene sets that name genes in another way than the data, or name none of them."""

from dataclasses import replace

import pandas as pd
import pytest

from conceptome.pipeline import RunConfig
from conceptome.pipeline.collections import matched_collections


@pytest.fixture
def config(tmp_path):
    (tmp_path / "mouse.gmt").write_text("A\td\tCd3e\tCd3d\tFbgn1\nB\td\tCd3e\tMS4A1\n")
    (tmp_path / "fly.gmt").write_text("FLY\td\tFbgn1\tFbgn2\n")
    files = tuple(str(tmp_path / name) for name in ("mouse.gmt", "fly.gmt"))
    return RunConfig(data="demo", out=str(tmp_path), gene_sets=files)


def test_genes_are_named_as_the_data_do_and_the_rest_is_told(config, caplog):
    with caplog.at_level("WARNING"):
        (mouse, report), (fly, none) = matched_collections(config, pd.Index(["CD3E", "CD3D", "MS4A1"]), None)
    assert mouse.members == (("CD3E", "CD3D", "Fbgn1"), ("CD3E", "MS4A1"))
    assert report.set_index("gene")["how"].to_dict() == {"Cd3e": "case", "Cd3d": "case", "Fbgn1": "not found"}
    assert fly.members == (("Fbgn1", "Fbgn2"),)
    assert none is None
    assert caplog.messages[0].startswith("None of the 2 genes of fly (Fbgn1, Fbgn2) is among the 3 genes")


def test_former_symbols_need_a_table(config, tmp_path):
    table = tmp_path / "hgnc.tsv"
    table.write_text(
        "symbol\tensembl_gene_id\tprev_symbol\talias_symbol\nMS4A1\tENSG00000156738\tFBGN1\tCD20\n"
    )
    (tmp_path / "old.gmt").write_text("A\td\tCD20\tCD3E\n")
    config = replace(config, gene_sets=(str(tmp_path / "old.gmt"),), gene_table=str(table))
    ((sets, report),) = matched_collections(config, pd.Index(["CD3E", "MS4A1"]), None)
    assert sets.members == (("MS4A1", "CD3E"),)
    assert report["how"].tolist() == ["symbol"]
