"""What the tests of enrichment share."""

import pytest

from conceptome.enrichment import read_gmt, read_obo


@pytest.fixture(scope="session")
def gene_ontology(shared):
    """The Gene Ontology, its is_a relations."""
    return read_obo(shared / "data/genesets/go_2024-01-17.isa.obo.gz")


@pytest.fixture(scope="session")
def go_bp(shared):
    """MSigDB's GO biological processes of up to 300 genes."""
    return read_gmt(shared / "data/genesets/gobp_msigdb_v2023.1.Hs.max300genes.symbols.gmt.gz")
