"""The committed bundle of each schema version still opens, and says what it said."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conceptome import atlas
from conceptome.atlas import concept_pages, pages, schema, selection
from conceptome.atlas.packing import unpack_column

HERE = Path(__file__).parent
EXAMPLES = sorted(HERE.glob("v*.atlas"))


def test_there_is_an_example_of_this_version():
    assert HERE / f"v{schema.SCHEMA_VERSION}.atlas" in EXAMPLES


@pytest.mark.parametrize("place", EXAMPLES, ids=lambda place: place.name)
def test_an_example_is_whole_and_every_table_has_rows(place):
    assert atlas.check(place).startswith(f"{place} is whole: ")
    tables = json.loads((place / "manifest.json").read_text())["tables"]
    assert [name for name, entry in tables.items() if not entry["rows"]] == []


@pytest.mark.parametrize("place", EXAMPLES, ids=lambda place: place.name)
def test_an_example_says_what_it_said(place):
    with atlas.Atlas.open(place) as opened:
        assert concept_pages.concept_list(opened)["auto_name"] == ["T cells", "NK cells (GNLY)", "B cells"]
        assert concept_pages.concept(opened, 0)["module"]["label"] == "T"
        assert concept_pages.genes_of(opened, 0)["symbol"] == ["CD3E", "GNLY", "MS4A1", "LYZ"]
        assert concept_pages.terms_of(opened, 0)["leading_edge"] == [["CD3E", "GNLY"]]
        assert concept_pages.terms_of(opened, 0)["nes_de"] == [-1.5]
        assert concept_pages.terms_of(opened, 0)["theme_name"] == ["T cells"]
        assert concept_pages.curve_of(opened, 0, 0)["value"] == [0.0, 0.6, 0.0]
        pairs = concept_pages.pairs_of(opened, 0)
        assert pairs["factual_id"] == ["cell-0", "cell-3"]
        assert pairs["changes"][0][0]["symbol"] == "CD3E"
        assert pairs["library_ratio"] == [1.0, None]
        assert concept_pages.groups_of(opened, 1, "cell_type")["n_active"] == [0, 4, 0]
        assert pages.whole_table(opened, "verdicts")["evidence"] == ["not judged"]
        assert pages.gene(opened, "GNLY")["gene"]["aliases"] == "NKG5 LAG2"
        assert pages.search(opened, "nkg5")["name"] == ["GNLY"]
        assert pages.term(opened, 0)["concepts"]["concept"] == [0, 1]
        named = pages.cell_named(opened, "cell-11")
        assert pages.cell(opened, named)["concepts"]["activation"] == [12.0, 0.5, 0.25]
        assert pages.cell(opened, named)["obs"][0]["value"] is None
        cells, values = unpack_column(opened.blob("activations", 2))
        assert named in cells
        assert values.max() == 12
        chosen = selection.chosen_cells(opened, cells=[named])
        assert selection.select(opened, chosen)["concepts"]["n_active"] == [1, 1, 1]
        assert pages.about(opened)["missing"] == {
            "stability": "One seed was trained. Run again with --n-seeds 5."
        }


def test_every_table_and_file_of_the_schema_is_in_the_example():
    manifest = json.loads((EXAMPLES[-1] / "manifest.json").read_text())
    assert sorted(manifest["tables"]) == sorted(table.name for table in schema.TABLES)
    arrays = {array.path for array in schema.ARRAYS if "*" not in array.path}
    assert arrays <= set(manifest["arrays"])
    assert {*schema.PACKS, schema.PICTURE, schema.DATABASE} <= set(manifest["files"])
    for array in schema.ARRAYS:
        if "*" not in array.path:
            assert manifest["arrays"][array.path]["dtype"] in array.dtypes


def test_the_documentation_names_every_file():
    text = (HERE.parents[1] / "docs" / "atlas.md").read_text()
    for name in (*schema.PACKS, schema.PICTURE, schema.DATABASE, schema.MANIFEST):
        assert f"`{name}`" in text
    for array in schema.ARRAYS:
        assert f"`{array.path}`" in text or array.path == "obs/*"


def test_reading_an_atlas_loads_no_model():
    code = (
        "import sys; from conceptome import atlas; atlas.describe(sys.argv[1]); atlas.check(sys.argv[1]); "
        "heavy = ('torch', 'scanpy', 'scvi', 'anndata', 'sklearn', 'matplotlib', 'zarr', 'pandas', 'scipy'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    words = [sys.executable, "-c", code, str(EXAMPLES[-1])]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "[]\n"
