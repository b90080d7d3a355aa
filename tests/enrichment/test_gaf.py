import gzip

import pytest

from conceptome.core import InputError
from conceptome.enrichment import load_gene_sets, read_gaf, read_obo

OBO = "[Term]\nid: GO:0000001\nname: leaf\nalt_id: GO:0000009\n"


def line(symbol, term, evidence, aspect="P", qualifier="involved_in"):
    fields = [
        "UniProtKB",
        f"id_{symbol}",
        symbol,
        qualifier,
        term,
        "PMID:1",
        evidence,
        "",
        aspect,
        "name",
        "alias",
    ]
    return "\t".join([*fields, "protein", "taxon:9606", "20240101", "UniProt", "", ""])


LINES = [
    "!gaf-version: 2.2",
    line("CD3E", "GO:0000001", "IDA"),
    line("CD3E", "GO:0000001", "IEA"),
    line("CD3D", "GO:0000001", "IEA"),
    line("MS4A1", "GO:0000001", "IMP", qualifier="NOT|involved_in"),
    line("CD19", "GO:0000009", "TAS"),
    line("LYZ", "GO:0000002", "HDA", aspect="F", qualifier="enables"),
    line("MS4A1", "GO:0000002", "IMP", qualifier="not|enables"),
    line("NONE", "GO:0008150", "ND"),
    "",
]


@pytest.fixture
def gaf(tmp_path):
    path = tmp_path / "few.gaf.gz"
    path.write_bytes(gzip.compress("\n".join(LINES).encode()))
    return path


def test_reads_what_holds_and_counts_what_does_not(gaf):
    annotations = read_gaf(gaf)
    assert annotations.collection == "few"
    assert annotations.n_negated == 2
    assert list(annotations.table.columns) == ["gene", "term", "aspect", "evidence", "qualifier", "taxon"]
    assert list(annotations.table["gene"]) == ["CD3E", "CD3E", "CD3D", "CD19", "LYZ", "NONE"]
    assert list(read_gaf(gaf, genes="id").table["gene"])[:2] == ["id_CD3E", "id_CD3E"]


def test_sets_by_evidence_and_aspect(gaf, tmp_path):
    annotations = read_gaf(gaf)
    every = annotations.gene_sets()
    assert every.terms == ("GO:0000001", "GO:0000002", "GO:0000009")
    assert every.members == (("CD3E", "CD3D"), ("LYZ",), ("CD19",))
    assert annotations.gene_sets(evidence=["experimental"]).members == (("CD3E",),)
    assert annotations.gene_sets(evidence=["IEA", "author"]).terms == ("GO:0000001", "GO:0000009")
    assert annotations.gene_sets(aspect="F").members == (("LYZ",),)
    obo = tmp_path / "few.obo"
    obo.write_text(OBO)
    named = annotations.gene_sets(ontology=read_obo(obo))
    assert named.names == ("leaf", "GO:0000002", "leaf")


def test_says_what_was_not_understood(gaf, tmp_path):
    annotations = read_gaf(gaf)
    with pytest.raises(InputError, match="the evidence 'guess' is unknown; expected EXP, IDA"):
        annotations.gene_sets(evidence=["guess"])
    with pytest.raises(InputError, match="None of the 6 annotations of few has aspect C and evidence IDA"):
        annotations.gene_sets(aspect="C", evidence=["IDA"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!gaf-version: 2.2\n", "holds no annotation (0 with NOT); expected a GAF file."),
        (
            line("", "GO:0000001", "IDA"),
            "line 1: the gene has no symbol. Leave the line out or take another column.",
        ),
        ("CD3E\tGO:0000001\n", "line 1: found 2 tab-separated fields, expected 15 to 17"),
        (line("CD3E", "GO:0000001", "QQQ"), "line 1: the evidence 'QQQ' is unknown; expected EXP"),
    ],
)
def test_refuses_what_is_no_gaf_file(tmp_path, text, message):
    path = tmp_path / "wrong.gaf"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_gaf(path)
    assert message in str(caught.value)


def test_a_gaf_is_loaded_with_its_ontology(gaf, tmp_path):
    (tmp_path / "go.obo").write_text(
        OBO + "is_a: GO:0000002\n\n[Term]\nid: GO:0000002\nname: stem\n\n[Term]\nid: GO:0008150\nname: root\n"
    )
    sets = load_gene_sets(gaf, ontology=read_obo(tmp_path / "go.obo"))
    assert sets.collection == "few"
    assert dict(zip(sets.names, sets.members, strict=True)) == {
        "leaf": ("CD3E", "CD3D", "CD19"),
        "stem": ("CD3E", "CD3D", "LYZ", "CD19"),
    }
    with pytest.raises(InputError) as error:
        load_gene_sets(gaf)
    assert str(error.value) == (
        f"{gaf} holds annotations, which count for all terms above; that takes their ontology. Give its "
        "OBO file, such as --ontology go-basic.obo."
    )
