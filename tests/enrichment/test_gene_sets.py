import gzip

import pytest

from conceptome.core import InputError
from conceptome.enrichment import GeneSets, load_gene_sets, read_gmt

GMT = "GOBP_A\tGO:0000001\tCD3E\tCD3D\tCD3E\nGOBP_B\tGO:0000002\tCD79A\tMS4A1\t\n\n"


def write(path, text):
    path.write_text(text)
    return path


def test_ontology_ids_become_terms_and_repeated_genes_count_once(tmp_path):
    sets = read_gmt(write(tmp_path / "go.gmt", GMT))
    assert sets.collection == "go"
    assert sets.terms == ("GO:0000001", "GO:0000002")
    assert sets.names == ("GOBP_A", "GOBP_B")
    assert sets.members == (("CD3E", "CD3D"), ("CD79A", "MS4A1"))
    assert sets.genes_of("GO:0000002") == ("CD79A", "MS4A1")


def test_gzip_and_plain_read_alike(tmp_path):
    packed = tmp_path / "go.gmt.gz"
    packed.write_bytes(gzip.compress(GMT.encode()))
    plain = read_gmt(write(tmp_path / "go.gmt", GMT))
    assert read_gmt(packed).to_frame().equals(plain.to_frame())


def test_first_column_is_the_term_without_an_ontology_id(tmp_path):
    sets = read_gmt(write(tmp_path / "h.gmt", "HALLMARK_A\tGenes of A\tTP53\nHALLMARK_B\thttps://b\tMYC\n"))
    assert sets.terms == sets.names == ("HALLMARK_A", "HALLMARK_B")
    assert sets.sources == ("Genes of A", "https://b")


def test_first_keeps_the_name_as_identifier(tmp_path):
    assert read_gmt(write(tmp_path / "go.gmt", GMT), ids="first").terms == ("GOBP_A", "GOBP_B")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected one gene set per line: name TAB description TAB gene TAB gene."),
        (
            "A\td\tTP53\nB,d,TP53\n",
            "line 2: found 1 tab-separated fields and 0 genes; a GMT line holds name TAB description "
            "TAB gene TAB gene. Check that this is a GMT file without empty sets.",
        ),
        ("A\td\t\t\n", "line 1: found 4 tab-separated fields and 0 genes"),
        (
            "A\td\tTP53\nA\te\tMYC\n",
            "The collection 'x' names 1 terms more than once: A. Give every term its own identifier.",
        ),
    ],
)
def test_files_that_are_no_collection_are_refused(tmp_path, text, message):
    with pytest.raises(InputError) as error:
        read_gmt(write(tmp_path / "x.gmt", text))
    assert message in str(error.value)


def test_missing_and_broken_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"There is no file at .*none\.gmt; expected a GMT file"):
        read_gmt(tmp_path / "none.gmt")
    broken = tmp_path / "broken.gmt.gz"
    broken.write_bytes(gzip.compress(GMT.encode())[:-12])
    with pytest.raises(InputError, match="cannot be read as text"):
        read_gmt(broken)
    binary = tmp_path / "binary.gmt"
    binary.write_bytes(b"\x89HDF\r\n\x1a\n\xff\xfe")
    with pytest.raises(InputError, match=r"expected a GMT file, plain or \.gz\. Fetch it again"):
        read_gmt(binary)


def test_shipped_collections_load_by_name(tmp_path):
    starter = load_gene_sets("immune-starter")
    assert starter.collection == "immune-starter"
    assert len(starter) >= 60
    assert load_gene_sets(write(tmp_path / "go.gmt", GMT)).terms == ("GO:0000001", "GO:0000002")
    with pytest.raises(InputError) as error:
        load_gene_sets("immune")
    assert str(error.value) == (
        "'immune' is neither a shipped collection (immune-starter), nor one to fetch (hallmark, go-bp, "
        "go-mf, go-cc, reactome, collectri, panglaodb), nor an existing file. Give one of these names or a "
        "path."
    )


def test_mappings_become_collections():
    sets = GeneSets.from_mapping({"T": ["CD3E", "CD3E", "CD3D"]})
    assert sets.collection == "custom"
    assert sets.members == (("CD3E", "CD3D"),)
    with pytest.raises(InputError, match="The gene set 'T' is a string, expected a list such as"):
        GeneSets.from_mapping({"T": "CD3E"})
    with pytest.raises(
        InputError, match=r"The collection 'custom' holds no gene sets; expected one or more\."
    ):
        GeneSets.from_mapping({})
    with pytest.raises(InputError, match=r"The collection 'custom' has no term 'B'; see its `terms`\."):
        sets.genes_of("B")


def test_real_collections_read_whole(shared):
    go = read_gmt(shared / "data/genesets/gobp_msigdb_v2023.1.Hs.max300genes.symbols.gmt.gz")
    assert len(go) == 7263
    assert all(term.startswith("GO:") for term in go.terms)
    assert len(read_gmt(shared / "data/genesets/hallmark_msigdb_v2024.1.Hs.symbols.gmt")) == 50


def test_sources_go_with_terms():
    message = "The collection 'x' has 1 sources for 2 terms; expected one for each, or none."
    with pytest.raises(InputError) as error:
        GeneSets("x", ("A", "B"), ("A", "B"), (("TP53",), ("MYC",)), sources=("link",))
    assert str(error.value) == message
