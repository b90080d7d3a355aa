import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conceptome.core import InputError
from conceptome.enrichment import gsea, load_gene_sets, read_gmt, read_gmx, read_msigdb_json, read_panglaodb

GMT = "GOBP_A\tGO:0000001\tCD3E\tCD3D\tCD3E\nGOBP_B\tGO:0000002\tCD79A\tMS4A1\t\n\n"
GMX = "A\tGOBP_B\tC\nna\tGO:0000002\t\nCD3E\tCD79A\tLYZ\nCD3D\t\tCST3\n\tMS4A1\n"
ENRICHR = (
    "B cell activation (GO:0042113)\t\tCD79A,1.0\tMS4A1,1.0\nSignaling By BCR R-HSA-983705\t\tCD79A\n"
    "Adipogenesis WP236\t\tLPL\nInterferon Alpha Response\t\tISG15\tMX1,0.5\n"
)
MSIGDB = {
    "GOBP_B": {"exactSource": "GO:0000002", "geneSymbols": ["CD79A", "MS4A1"], "systematicName": "M1"},
    "HALLMARK_A": {"exactSource": "", "geneSymbols": ["CD3E"]},
}


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        GMT.replace("\n", "\r\n"),
        "\n\n" + GMT.replace("\n", "\n  \n"),
        "﻿" + GMT,
        gzip.compress(GMT.replace("\n", "\r\n").encode()),
    ],
    ids=["CRLF", "empty lines", "byte order mark", "gzip, CRLF"],
)
def test_the_same_sets_however_the_lines_end(tmp_path, text):
    plain = read_gmt(write(tmp_path / "go.gmt", GMT))
    assert plain.members == (("CD3E", "CD3D"), ("CD79A", "MS4A1"))
    (tmp_path / "other").mkdir()
    assert read_gmt(write(tmp_path / "other/go.gmt", text)).to_frame().equals(plain.to_frame())


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\x0b", "\x1c"])
def test_only_ends_of_lines_end_lines(tmp_path, mark):
    sets = read_gmt(write(tmp_path / "a.gmt", f"A\tone{mark}two\tCD3E\tCD3D\nB\tna\tMS4A1\n"))
    assert sets.members == (("CD3E", "CD3D"), ("MS4A1",))
    assert sets.sources[0] == f"one{mark}two"


def test_a_gmx_without_descriptions_keeps_its_first_genes(tmp_path):
    sets = read_gmx(write(tmp_path / "a.gmx", "\nA\tB\r\n\t\r\nCD3E\tMS4A1\r\n\t\r\nCD3D\t\r\n"))
    assert sets.members == (("CD3E", "CD3D"), ("MS4A1",))


def test_weights_of_enrichr_in_any_notation(tmp_path):
    sets = read_gmt(write(tmp_path / "a.gmt", "A\t\tCD3E,1.0E-4\tCD3D,1e-05\tCD3G,-2\n"))
    assert sets.members == (("CD3E", "CD3D", "CD3G"),)


def test_enrichr_writes_ids_into_names_and_weights_onto_genes(tmp_path):
    sets = read_gmt(write(tmp_path / "enrichr.gmt", ENRICHR))
    assert sets.terms == ("GO:0042113", "R-HSA-983705", "WP236", "Interferon Alpha Response")
    assert sets.names == (
        *("B cell activation", "Signaling By BCR", "Adipogenesis", "Interferon Alpha Response"),
    )
    assert sets.members == (("CD79A", "MS4A1"), ("CD79A",), ("LPL",), ("ISG15", "MX1"))
    assert read_gmt(tmp_path / "enrichr.gmt", ids="first").terms[0] == "B cell activation (GO:0042113)"


def test_gmx_lists_sets_in_columns(tmp_path):
    sets = read_gmx(write(tmp_path / "sets.gmx", GMX))
    assert sets.terms == ("A", "GO:0000002", "C")
    assert sets.members == (("CD3E", "CD3D"), ("CD79A", "MS4A1"), ("LYZ", "CST3"))
    assert sets.sources == ("na", "GO:0000002", "")
    packed = write(tmp_path / "sets.gmx.gz", gzip.compress(GMX.encode()))
    assert load_gene_sets(packed).to_frame().equals(sets.to_frame())


def test_msigdb_json(tmp_path):
    path = write(tmp_path / "c5.json", json.dumps(MSIGDB))
    sets = load_gene_sets(path)
    assert sets.collection == "c5"
    assert sets.terms == ("GO:0000002", "HALLMARK_A")
    assert sets.names == ("GOBP_B", "HALLMARK_A")
    assert sets.members == (("CD79A", "MS4A1"), ("CD3E",))


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (
            read_gmx,
            "",
            "is empty; expected one gene set per column: its name, a description, then its genes.",
        ),
        (
            read_gmx,
            "A,B\nna,na\nCD3E,MS4A1\n",
            "column 1: 'CD3E,MS4A1' is no gene name. Separate genes by tabs.",
        ),
        (
            read_gmx,
            "A\tB\nna\tna\nCD3E\t\n",
            "column 2: found 3 rows and the name 'B'; a GMX column holds a name, a description and one gene "
            "per row. Check that this is a GMX file with tabs.",
        ),
        (
            read_msigdb_json,
            '{"A": {"genes": ["CD3E"]}}',
            "is not MSigDB's JSON (KeyError: 'geneSymbols'); expected an object that gives every set its "
            '"geneSymbols". Download it again, or take the GMT file.',
        ),
        (read_msigdb_json, "A\tna\tCD3E\n", "is not MSigDB's JSON (JSONDecodeError"),
        (
            read_msigdb_json,
            '{"A": {"geneSymbols": "CD3E"}}',
            "x.gmt, A: geneSymbols is no list of names or exactSource no text; expected MSigDB's JSON, "
            'such as {"A": {"exactSource": "GO:0000001", "geneSymbols": ["CD3E", "CD3D"]}}. Mend the entry.',
        ),
        (read_msigdb_json, '{"A": {"geneSymbols": ["CD3E", null]}}', "A: geneSymbols is no list of names"),
        (read_msigdb_json, '{"A": {"geneSymbols": {"CD3E": 1}}}', "A: geneSymbols is no list of names"),
        (
            read_msigdb_json,
            '{"A": {"geneSymbols": ["CD3E"], "exactSource": 5}}',
            "A: geneSymbols is no list of names or exactSource no text",
        ),
        (read_msigdb_json, "[" * 100_000, "is not MSigDB's JSON (RecursionError"),
        (read_msigdb_json, '{"": {"geneSymbols": ["CD3E"]}}', "x.gmt, : the set has no name. Give it one."),
        (
            read_panglaodb,
            "species\tofficial gene symbol\tcell type\tcanonical marker\nHs\tCD3E\n",
            "x.gmt, line 2: found 2 tab-separated fields, expected 4 as in the first line. Fetch it again.",
        ),
        (
            read_gmt,
            "A\tna\tCD3E CD3D CD3G\n",
            "line 1: 'CD3E CD3D CD3G' is no gene name. Separate genes by tabs.",
        ),
        (read_gmt, "A\tna\tCD3E|CD3D\n", "line 1: 'CD3E|CD3D' is no gene name. Separate genes by tabs."),
        (read_msigdb_json, '{"A": {"geneSymbols": []}}', "A: the set holds no genes. Leave it out."),
        (
            read_gmt,
            "A na CD3E CD3D\n",
            "line 1: found 1 tab-separated fields and 0 genes; a GMT line holds name TAB description TAB "
            "gene TAB gene. Check that this is a GMT file without empty sets.",
        ),
        (
            read_gmt,
            "A;na;CD3E;CD3D\n",
            "line 1: found 1 tab-separated fields and 0 genes",
        ),
        (read_gmt, "A\tna\tCD3E;CD3D\n", "line 1: 'CD3E;CD3D' is no gene name."),
        (
            read_gmt,
            "B cells (GO:0000001)\t\tCD3E\nB-cells (GO:0000001)\t\tMYC\n",
            "The collection 'x' names 1 terms more than once: GO:0000001. Give every term its own",
        ),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, read, text, message):
    path = write(tmp_path / "x.gmt", text)
    with pytest.raises(InputError) as error:
        read(path)
    assert message in str(error.value)


def test_sixty_thousand_terms(tmp_path):
    """Read, and tested in two rankings."""
    rng = np.random.default_rng(0)
    genes = np.array([f"G{number:05d}" for number in range(5000)])
    drawn = rng.integers(0, 5000, size=(60_000, 25))
    lines = (f"T{row}\t\t" + "\t".join(genes[members]) for row, members in enumerate(drawn))
    sets = read_gmt(write(tmp_path / "large.gmt", "\n".join(lines)))
    assert len(sets) == 60_000
    scores = pd.DataFrame(rng.standard_normal((2, 5000)), columns=genes)
    table = gsea(scores, sets, n_permutations=200, calibrate=False).table
    assert len(table) == 120_000
    assert (table["p"] <= 0.05).mean() == pytest.approx(0.05, abs=0.02)  # 200 permutations shared by a size


def test_no_gene_in_common_with_the_data(tmp_path):
    sets = read_gmt(write(tmp_path / "mouse.gmt", "A\tna\t" + "\t".join(f"Cd{n}" for n in range(20))))
    scores = pd.DataFrame(np.random.default_rng(0).random((1, 50)), columns=[f"CD{n}" for n in range(50)])
    with pytest.raises(InputError) as error:
        gsea(scores, sets)
    assert str(error.value) == (
        "No term of mouse has 10 to 500 scored genes: 0 of the 20 genes in the terms are among the 50 scored "
        "genes (CD0, CD1, CD10 ...). Lower min_size, give gene_names where the scores name genes by another "
        "system, or find genes by alias and case with cm.enrichment.match_genes."
    )


def test_real_files_of_both_flavours(shared):
    folder: Path = shared / "data/genesets"
    enrichr = read_gmt(folder / "gobp_enrichr_2021.gmt.gz")
    assert len(enrichr) == 6034
    assert all(term.startswith("GO:") for term in enrichr.terms)
    modules = read_gmt(folder / "blood_transcription_modules_BTM_2013.gmt")
    assert modules.terms[0] == "targets of FOSL1/2 (M0)"


def test_a_null_source_is_no_source(tmp_path):
    text = '{"GOBP_A": {"geneSymbols": ["CD3E"], "exactSource": null}}'
    assert read_msigdb_json(write(tmp_path / "a.json", text)).terms == ("GOBP_A",)


def test_blank_lines_and_nameless_genes_of_a_marker_table(tmp_path):
    head = "species\tofficial gene symbol\tcell type\tcanonical marker\n"
    text = head + "\nHs\tCD3E\tT cells\t1\nHs\t\tT cells\t1\n\n"
    assert read_panglaodb(write(tmp_path / "a.tsv", text)).members == (("CD3E",),)


def test_fetched_collections_load_by_name(tmp_path, monkeypatch):
    from conceptome.data.registry import named

    monkeypatch.setenv("CONCEPTOME_CACHE", str(tmp_path))
    with pytest.raises(InputError) as error:
        load_gene_sets("hallmark")
    file = tmp_path / "hallmark" / named("hallmark").files[0].name
    assert str(error.value) == (
        f"The collection hallmark is not at {file}. Run: conceptome data fetch hallmark (licence: CC BY 4.0)"
    )
    content = {
        "hallmark": "HALLMARK_A\thttps://a\tTP53\n",
        "collectri": "source,target,weight\nMYC,TERT,1\nMYC,CDKN1A,-1\n",
        "panglaodb": "species\tofficial gene symbol\tcell type\tcanonical marker\nMm Hs\tCD3E\tT cells\t1\n",
    }
    for name, text in content.items():
        (tmp_path / name).mkdir()
        write(tmp_path / name / named(name).files[0].name, text)
        assert load_gene_sets(name).collection == name
    assert load_gene_sets("collectri").weights == ((1.0, -1.0),)
    assert load_gene_sets("panglaodb").members == (("CD3E",),)


def test_markers_of_panglaodb(shared, tmp_path):
    sets = read_panglaodb(shared / "data/genesets/PanglaoDB_markers_27_Mar_2020.tsv.gz")
    derived = read_gmt(shared / "data/genesets/panglaodb_human_canonical_2020.gmt")
    ours = dict(zip(sets.terms, map(set, sets.members), strict=True))
    assert ours == dict(zip(derived.terms, map(set, derived.members), strict=True))
    with pytest.raises(InputError, match="is no marker table of PanglaoDB; expected the columns species,"):
        read_panglaodb(write(tmp_path / "x.tsv", "a\tb\n"))
