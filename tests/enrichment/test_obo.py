import gzip
import re

import pytest

from conceptome.core import InputError
from conceptome.enrichment import read_obo

SMALL = """format-version: 1.2
default-namespace: process
subsetdef: slim "A slim"

[Term]
id: T:0001
name: root
subset: slim

[Term]
id: T:0002
name: response to X\\, fast
namespace: function
is_a: T:0001 {source="me"} ! root
relationship: part_of T:0003 ! other
relationship: regulates T:0004
alt_id: T:0099

[Term]
id: T:0003
name: other ! still the name
is_a: T:0001 ! root
subset: slim

[Term]
id: T:0004
name: regulated
is_a: T:0001

[Term]
id: T:0090
name: obsolete thing
is_obsolete: true
replaced_by: T:0004

[Term]
id: T:0091
name: obsolete other thing
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""


@pytest.fixture
def obo(tmp_path):
    def write(text):
        path = tmp_path / "small.obo"
        path.write_text(text)
        return path

    return write


def test_reads_terms_relations_and_former_identifiers(obo):
    ontology = read_obo(obo(SMALL))
    assert list(ontology.ids) == ["T:0001", "T:0002", "T:0003", "T:0004"]
    assert ontology.names == ("root", "response to X, fast", "other ! still the name", "regulated")
    assert ontology.namespaces == ("process", "function", "process", "process")
    assert ontology.ancestors_of("T:0002") == ("T:0001", "T:0003")
    assert ontology.descendants_of("T:0003") == ("T:0002",)
    assert ontology.alternatives == {"T:0099": "T:0002", "T:0090": "T:0004"}
    assert ontology.obsolete == {"T:0091"}
    assert ontology.subsets == {"slim": ("T:0001", "T:0003")}
    assert list(ontology.levels) == [0, 2, 1, 1]
    assert ontology.position("T:0099") == 1


def test_follows_the_relations_asked_for(obo):
    path = obo(SMALL)
    assert read_obo(path, relations=["is_a"]).ancestors_of("T:0002") == ("T:0001",)
    regulated = read_obo(path, relations=["is_a", "regulates"])
    assert regulated.ancestors_of("T:0002") == ("T:0001", "T:0004")


def test_a_bare_relation_is_refused(obo):
    message = "relations is the text 'part_of', expected a list such as ['is_a', 'part_of']."
    with pytest.raises(InputError, match=re.escape(message)):
        read_obo(obo(SMALL), relations="part_of")


def test_replacements_are_followed_to_a_live_term(obo):
    retired = "[Term]\nid: T:{}\nis_obsolete: true\nreplaced_by: T:{}\n"
    chain = retired.format("0092", "0090") + "alt_id: T:0093\n\n"  # T:0090 was replaced by T:0004
    ring = retired.format("0094", "0095") + "\n" + retired.format("0095", "0094")
    ontology = read_obo(obo(SMALL + "\n" + chain + ring))
    assert ontology.alternatives["T:0092"] == ontology.alternatives["T:0093"] == "T:0004"
    assert {"T:0094", "T:0095"} <= ontology.obsolete


def test_gzip_and_windows_lines_read_alike(obo, tmp_path):
    packed = tmp_path / "small.obo.gz"
    packed.write_bytes(gzip.compress(SMALL.replace("\n", "\r\n").encode()))
    plain = read_obo(obo(SMALL))
    other = read_obo(packed)
    assert (other.names, list(other.ids)) == (plain.names, list(plain.ids))
    assert (other.ancestors != plain.ancestors).nnz == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format-version: 1.2\n", "holds no [Term]; expected an OBO file"),
        ("just words\n", "line 1: found 'just words', expected 'tag: value' as in an OBO file."),
        ("[Term]\nname: nameless\n", "line 1: a [Term] without id; every term of an OBO file has one."),
        ("[Term]\nid: A:1\n\n[Term]\nid: A:1\n", "line 4: the term A:1 is defined a second time."),
        (
            "[Term]\nid: A:1\nis_a: A:2 ! gone\n",
            "line 1: the parent 'A:2' of A:1 is not among the 1 live terms (1 such references).",
        ),
        (
            "[Term]\nid: A:1\nis_a: ! gone\n",
            "line 1: the parent '' of A:1 is not among the 1 live terms (1 such references).",
        ),
        (
            "[Term]\nid: A:1\nis_obsolete: true\n",
            "holds no [Term] that is not obsolete; expected an OBO file, such as go-basic.obo.",
        ),
        ("[Term]\nid: A:1\nis_a: A:1\n", "The ontology has a cycle through 1 terms (A:1)"),
        (
            "".join(f"[Term]\nid: A:{term}\nis_a: A:{term % 3 + 1}\n" for term in (1, 2, 3)),
            "The ontology has a cycle through 3 terms (A:1, A:2, A:3), so none of them stands above the",
        ),
    ],
)
def test_says_what_is_wrong_with_a_file(obo, text, message):
    with pytest.raises(InputError) as caught:
        read_obo(obo(text))
    assert message in str(caught.value)


def test_refuses_what_is_no_file_and_no_text(tmp_path):
    with pytest.raises(InputError, match=r"There is no file at .*; expected an OBO file, plain or .gz"):
        read_obo(tmp_path / "missing.obo")
    torn = tmp_path / "torn.obo.gz"
    torn.write_bytes(gzip.compress(SMALL.encode())[:-20])
    with pytest.raises(InputError, match=r"cannot be read as text .*; expected an OBO file"):
        read_obo(torn)


def test_says_why_a_term_is_not_there(obo):
    ontology = read_obo(obo(SMALL))
    with pytest.raises(InputError, match="The term 'T:0091' is obsolete and was not replaced"):
        ontology.position("T:0091")
    with pytest.raises(InputError, match="The term 'X' is not in the ontology \\(4 live terms"):
        ontology.ancestors_of("X")


def test_the_gene_ontology(gene_ontology):
    ontology = gene_ontology
    assert len(ontology) == 42442
    names = {ontology.names[ontology.position(term)] for term in ontology.ancestors_of("GO:0002250")}
    assert names == {
        "immune system process",
        "immune response",
        "biological_process",
        "response to stimulus",
    }
    assert "GO:0002250" in ontology.descendants_of("GO:0006955")
