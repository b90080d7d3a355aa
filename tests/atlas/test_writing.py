import json

import numpy as np
import pandas as pd
import pytest

from conceptome import atlas
from conceptome.atlas import writing
from conceptome.atlas.packing import unpack_column
from conceptome.core import BundleError, DictionaryMismatchError, InputError


@pytest.fixture(scope="module")
def opened(bundle):
    with atlas.Atlas.open(bundle) as opened:
        yield opened


@pytest.fixture(scope="module")
def order(opened, contents):
    """Where each cell of the atlas stands in the records."""
    ids = [row[0] for row in opened.rows("SELECT id FROM cells ORDER BY position")]
    return contents.activations.cell_ids.get_indexer(ids)


def test_activations_are_kept_cell_by_cell_and_concept_by_concept(opened, contents, order):
    dense = contents.activations.values.toarray()[order]
    indptr = opened.array("csr_indptr.u64").astype(int)
    index, value = opened.array("csr_index.uint"), opened.array("csr_value.f16")
    for cell in (0, 5, len(dense) - 1):
        some = slice(indptr[cell], indptr[cell + 1])
        assert index[some].tolist() == np.flatnonzero(dense[cell]).tolist()
        np.testing.assert_allclose(value[some], dense[cell][dense[cell] > 0], rtol=1e-3)
    for concept in range(dense.shape[1]):
        cells, values = unpack_column(opened.blob("activations", concept))
        assert cells.tolist() == np.flatnonzero(dense[:, concept]).tolist()
        np.testing.assert_allclose(values, dense[cells, concept], atol=dense[:, concept].max() / 250)


def test_cells_without_a_place_come_last(opened, order):
    places = opened.array("coords.u16")
    assert order[-1] == 7
    assert (places[-1] == 65535).all()
    assert (places[:-1] < 65535).all()


def test_columns_follow_the_order_of_the_cells(opened, contents, order):
    categories = dict(opened.rows("SELECT code, name FROM obs_categories WHERE key = 'cell_type'"))
    found = [categories[code] for code in opened.array("obs/cell_type.u16").tolist()]
    assert found == contents.obs["cell_type"].astype(str).iloc[order].tolist()
    np.testing.assert_array_equal(opened.array("obs/depth.f32"), contents.obs["depth"].iloc[order])


def test_genes_of_a_concept_are_those_of_the_records(opened, contents):
    record, de = contents.attributions, contents.de
    table = pd.DataFrame(opened.table("SELECT * FROM drivers WHERE concept = 2 ORDER BY rank"))
    row = list(record.concepts).index(2)
    assert set(np.flatnonzero(record.drives[row])) <= set(table["gene"])
    assert int(np.nanargmax(record.attribution[row])) == table["gene"].iloc[0]
    for name, values in (("attribution", record.attribution[row]), ("ci_high", record.ci_high[row])):
        np.testing.assert_array_equal(table[name].astype(float), values[table["gene"]])
    np.testing.assert_array_equal(table["score"], de.score[list(de.concepts).index(2)][table["gene"]])


def test_findings_keep_all_that_is_significant(opened, contents):
    expected = contents.enrichment.table.query("q_global <= 0.05")
    found = opened.rows(
        "SELECT concept, identifier, nes, leading_edge FROM findings JOIN terms USING (term) "
        "WHERE q_global <= 0.05"
    )
    columns = expected[["concept", "term", "nes", "leading_edge"]].itertuples(index=False)
    assert sorted(found) == sorted(tuple(row) for row in columns)
    assert len(found) > 0


def test_pairs_point_at_their_cells(opened, contents, order):
    table = pd.DataFrame(opened.table("SELECT * FROM pairs ORDER BY concept, number"))
    expected = contents.pairs.to_frame()
    ids = contents.activations.cell_ids[order]
    assert ids[table["factual"]].tolist() == expected["factual"].tolist()
    assert ids[table["counterfactual"]].tolist() == expected["counterfactual"].tolist()
    assert (table["n_differing"] == 9).all()


def test_expression_is_kept_of_the_genes_that_drive_a_concept(opened, contents, order):
    rows = opened.rows("SELECT gene, expression FROM genes WHERE expression IS NOT NULL ORDER BY gene")
    assert {row[0] for row in rows} == set(np.flatnonzero(contents.attributions.drives.any(axis=0)))
    gene, number = rows[-1]
    counts = contents.expression.toarray()
    per_cell = np.log1p(counts[order, gene] / counts[order].sum(axis=1) * 1e4)
    cells, values = unpack_column(opened.blob("expression", number))
    assert cells.tolist() == np.flatnonzero(per_cell).tolist()
    np.testing.assert_allclose(values, per_cell[cells], atol=per_cell.max() / 250)


def test_further_columns_of_concepts_are_kept(opened):
    assert opened.rows("SELECT added_later, auto_name FROM concepts WHERE concept = 0") == [
        (1, "<script>alert(1)</script>")
    ]


def test_the_same_contents_give_the_same_bytes(bundle, contents, tmp_path):
    again = atlas.write(tmp_path / "again.atlas", contents)
    assert (again / "manifest.json").read_bytes() == (bundle / "manifest.json").read_bytes()


def test_nothing_is_left_of_an_atlas_that_could_not_be_finished(contents, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "_settle", fail)
    with pytest.raises(OSError, match="No space left on device"):
        atlas.write(tmp_path / "new.atlas", contents)
    assert list(tmp_path.iterdir()) == []


def test_an_atlas_is_replaced_only_when_asked(contents, tmp_path):
    place = atlas.write(tmp_path / "one.atlas", contents)
    before = place.stat().st_ino
    with pytest.raises(BundleError) as caught:
        atlas.write(place, contents)
    assert str(caught.value) == (
        f"{place} is already an atlas. Replace it with --overwrite, or choose another name."
    )
    atlas.write(place, contents, overwrite=True)
    assert place.stat().st_ino != before
    assert [item.name for item in tmp_path.iterdir()] == ["one.atlas"]


def test_other_folders_are_never_replaced(contents, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError) as caught:
        atlas.write(tmp_path, contents, overwrite=True)
    assert str(caught.value) == f"{tmp_path} exists and is no atlas. Choose another name for the atlas."
    assert (tmp_path / "thesis.txt").exists()


def test_contents_that_do_not_fit_are_refused(contents):
    from dataclasses import replace

    with pytest.raises(InputError) as caught:
        replace(contents, layout=contents.layout[:5])
    assert str(caught.value) == (
        f"Contents: layout has 5 cells, activations and genes have {len(contents.obs)}. "
        "Build all parts from one run."
    )
    with pytest.raises(DictionaryMismatchError) as mismatch:
        replace(contents, pairs=replace(contents.pairs, dictionary_id="other"))
    assert str(mismatch.value) == (
        "Contents: pairs comes from dictionary other, activations from "
        f"{contents.activations.dictionary_id}. Build all parts from one run."
    )
    with pytest.raises(InputError, match=r"^Contents: attributions and genes name other genes\. "):
        replace(contents, genes=contents.genes.iloc[::-1], de=None)
    with pytest.raises(InputError, match=r"^Contents: concepts needs a column 'concept' from 0 to "):
        replace(contents, concepts=contents.concepts.iloc[::-1])


def test_the_bare_minimum_is_an_atlas_too(contents, tmp_path):
    bare = atlas.Contents(
        contents.activations, contents.obs[[]], contents.layout, contents.genes, contents.concepts
    )
    with atlas.Atlas.open(atlas.write(tmp_path / "bare.atlas", bare)) as opened:
        assert opened.rows("SELECT count(*) FROM drivers") == [(0,)]
        assert opened.rows("SELECT count(*) FROM concepts") == [(opened.n_concepts,)]


def test_build_takes_the_records_of_a_notebook(demo_records, tmp_path):
    place = atlas.build(
        tmp_path / "notebook.atlas",
        demo_records.adata,
        demo_records.dictionary,
        demo_records.activations,
        demo_records.pairs,
        demo_records.attributions,
        demo_records.enrichment,
        roles={"cell_type": "label"},
    )
    manifest = json.loads((place / "manifest.json").read_text())
    assert manifest["tables"]["drivers"]["rows"] > 0
    with atlas.Atlas.open(place) as opened:
        assert opened.rows("SELECT reason FROM missing WHERE part = 'de'") == [
            ("No de were given to conceptome.atlas.build.",)
        ]
    with pytest.raises(InputError) as caught:
        atlas.build(
            place,
            demo_records.adata,
            demo_records.dictionary,
            demo_records.activations,
            layout_key="X_tsne",
        )
    assert str(caught.value) == (
        "obsm has no 'X_tsne', it has ['X_umap']. Compute a map of the cells, such as sc.tl.umap(adata), or "
        "name one with layout_key."
    )
