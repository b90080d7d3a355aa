"""What the pages are told, against the records they come from."""

import json

import numpy as np
import pytest

from conceptome import atlas
from conceptome.atlas import concept_pages, pages, selection
from conceptome.core import InputError


@pytest.fixture(scope="module")
def opened(bundle):
    with atlas.Atlas.open(bundle) as opened:
        yield opened


@pytest.fixture(scope="module")
def dense(opened, contents):
    ids = [row[0] for row in opened.rows("SELECT id FROM cells ORDER BY position")]
    order = contents.activations.cell_ids.get_indexer(ids)
    return contents.activations.values.toarray()[order]


def rows(table):
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def test_about_names_columns_with_their_categories(opened, contents):
    about = pages.about(opened)
    first = about["obs"][0]
    assert (first["name"], first["role"], first["kind"]) == ("cell_type", "label", "categorical")
    sizes = {
        one["name"]: one["n_cells"]
        for one in next(c for c in about["obs"] if c["key"] == "phase")["categories"]
    }
    assert sizes == contents.obs["phase"].value_counts().to_dict()
    assert about["thumbs"] == {"side": 48, "per_sheet": 32, "n_sheets": 1}
    json.dumps(about, allow_nan=False)


def test_genes_of_a_concept_fall_by_attribution(opened, contents):
    table = concept_pages.genes_of(opened, 1)
    scores = [score for score in table["attribution"] if score is not None]
    assert scores == sorted(scores, reverse=True)
    assert table["symbol"][0] == contents.genes["symbol"][table["gene"][0]]
    assert set(table["drives"]) <= {0, 1}


def test_terms_have_their_leading_edge_as_a_list(opened, contents):
    number = int(contents.enrichment.table["concept"].iloc[0])
    found = rows(concept_pages.terms_of(opened, number))
    expected = contents.enrichment.table.set_index(["concept", "term"])
    assert found
    for row in found:
        record = expected.loc[(number, row["identifier"])]
        assert ";".join(row["leading_edge"]) == record["leading_edge"]
        assert row["nes"] == record["nes"]
    assert [row["has_curve"] for row in found].count(1) == 1


def test_a_running_sum_is_given_as_numbers(opened, contents):
    concept, term = opened.rows("SELECT concept, term FROM curves")[0]
    curve = concept_pages.curve_of(opened, concept, term)
    assert (curve["rank"], curve["value"], curve["hits"]) == ([0, 2, 10], [0.0, 0.5, 0.0], [0, 1])
    with pytest.raises(InputError) as caught:
        concept_pages.curve_of(opened, concept, 10_000)
    assert str(caught.value) == f"The atlas has no running sum of term 10000 for concept {concept}."


def test_pairs_tell_what_changed(opened, contents):
    number = int(contents.pairs.concept[0])
    found = rows(concept_pages.pairs_of(opened, number))
    expected = contents.pairs.of(number).to_frame()
    assert [row["factual_id"] for row in found] == expected["factual"].tolist()
    assert found[0]["changes"] == [
        {
            "gene": 3,
            "symbol": contents.genes["symbol"][3],
            "factual_value": 2.0,
            "counterfactual_value": 0.0,
            "effect_act": 0.5,
            "effect_pre": 0.25,
        }
    ]


def test_groups_list_every_category(opened, contents, dense):
    table = concept_pages.groups_of(opened, 0, "cell_type")
    assert sum(table["n_cells"]) == opened.n_cells
    assert sum(table["n_active"]) == (dense[:, 0] > 0).sum()
    mean = np.average(table["mean"], weights=table["n_cells"])
    assert mean == pytest.approx(dense[:, 0].mean(), rel=1e-6)


def test_what_is_not_there_is_named(opened):
    for ask, message in (
        (lambda: concept_pages.concept(opened, 999), "concepts, from 0 on, not number 999."),
        (lambda: concept_pages.groups_of(opened, 0, "depth"), "The atlas has no categorical column 'depth'."),
        (lambda: pages.gene(opened, "NOSUCH"), "The atlas has no gene 'NOSUCH'."),
        (lambda: pages.term(opened, 99_999), "The atlas has no term 99999."),
        (lambda: pages.cell(opened, 700), "The atlas has 700 cells, from 0 on, not number 700."),
        (lambda: pages.cell_named(opened, "x"), "The atlas has no cell 'x'."),
        (lambda: selection.group(opened, "phase", 50), "The column 'phase' has no category 50."),
        (lambda: pages.whole_table(opened, "cells; DROP"), "There is nothing under 'cells; DROP'."),
    ):
        with pytest.raises(InputError) as caught:
            ask()
        assert message in str(caught.value)


def test_a_gene_lists_the_concepts_it_drives_first(opened, contents):
    record = contents.attributions
    gene = int(record.drives.sum(axis=0).argmax())
    found = pages.gene(opened, contents.genes["name"][gene])
    assert found["gene"] == pages.gene(opened, str(gene))["gene"]
    driven = {int(concept) for concept in record.concepts[record.drives[:, gene]]}
    assert set(found["concepts"]["concept"][: len(driven)]) == driven
    assert found["gene"]["n_driven"] == len(driven)


def test_a_term_lists_its_concepts_by_falling_nes(opened):
    found = pages.term(opened, 0)["concepts"]
    assert found["nes"] == sorted(found["nes"], reverse=True)


def test_a_cell_has_its_concepts_and_columns(opened, contents, dense):
    found = pages.cell(opened, 4)
    active = np.flatnonzero(dense[4])
    assert sorted(found["concepts"]["concept"]) == active.tolist()
    assert found["concepts"]["activation"] == sorted(found["concepts"]["activation"], reverse=True)
    own = contents.obs.loc[found["cell"]["id"]]
    values = {one["key"]: one["value"] for one in found["obs"]}
    assert (values["cell_type"], values["depth"], values["batch"]) == (
        own["cell_type"],
        own["depth"],
        str(own["batch"]),
    )
    assert pages.cell_named(opened, found["cell"]["id"]) == 4
    assert pages.cell(opened, opened.n_cells - 1)["cell"]["x"] is None


def test_a_selection_compares_inside_with_outside(opened, dense):
    chosen = selection.chosen_cells(opened, ranges=[[0, 100], [50, 120]], cells=[300, 300])
    inside = np.zeros(700, dtype=bool)
    inside[:120] = inside[300] = True
    np.testing.assert_array_equal(chosen, inside)
    found = selection.select(opened, chosen)
    assert found["n_cells"] == 121
    for row in rows(found["concepts"]):
        values = dense[:, row["concept"]]
        assert row["n_active"] == (values[inside] > 0).sum()
        assert row["share_elsewhere"] == pytest.approx((values[~inside] > 0).mean())
        assert row["mean"] == pytest.approx(values[inside].mean(), rel=2e-3)
        assert row["mean_elsewhere"] == pytest.approx(values[~inside].mean(), rel=5e-3, abs=1e-3)
        assert row["phi"] == pytest.approx(np.corrcoef(inside, values > 0)[0, 1])
    assert found["concepts"]["phi"] == sorted(found["concepts"]["phi"], reverse=True)
    assert sum(found["groups"]["phase"]["n_selected"]) == 121


def test_blocks_of_a_selection_change_nothing(opened, monkeypatch):
    chosen = selection.chosen_cells(opened, cells=list(range(5, 600, 7)))
    whole = selection.select(opened, chosen)["concepts"]
    monkeypatch.setattr(selection, "BLOCK_CELLS", 64)
    parts = selection.select(opened, chosen)["concepts"]
    assert parts["n_active"] == whole["n_active"]
    np.testing.assert_allclose(parts["mean"], whole["mean"], rtol=1e-12)


def test_a_category_is_a_selection(opened, contents):
    code = 2
    found = selection.group(opened, "phase", code)
    cells = np.flatnonzero(opened.array("obs/phase.u16") == code).tolist()
    expected = selection.select(opened, selection.chosen_cells(opened, cells=cells))["concepts"]
    assert found["group"]["n_cells"] == len(cells)
    assert found["concepts"]["concept"] == expected["concept"]
    np.testing.assert_allclose(found["concepts"]["log2_ratio"], expected["log2_ratio"])


@pytest.mark.parametrize("n_cells", [1, 7, 350])
def test_the_ratio_favours_no_size_of_selection(opened, n_cells):
    known = np.array(opened.table("SELECT n_active FROM concepts ORDER BY concept")["n_active"])
    even = known * n_cells / opened.n_cells  # as often inside as elsewhere
    found = selection.against_the_rest(opened, n_cells, even, np.zeros(len(known)))
    np.testing.assert_allclose(found["log2_ratio"], 0, atol=1e-12)


@pytest.mark.parametrize("ranges", [[[0, 701]], [[-1, 3]], [[5, 2]]])
def test_selections_outside_are_refused(opened, ranges):
    with pytest.raises(InputError) as caught:
        selection.chosen_cells(opened, ranges=ranges)
    assert str(caught.value) == "A selection names cells from 0 to 699, and no range backwards."


def test_an_empty_selection_is_refused(opened):
    with pytest.raises(InputError) as caught:
        selection.chosen_cells(opened, ranges=[[4, 4]])
    assert str(caught.value) == "The selection is empty. Choose some cells."


def test_search_finds_by_the_beginning_of_words(opened, contents):
    symbol = contents.genes["symbol"][10]
    found = rows(pages.search(opened, symbol[:3].lower(), kind="gene", limit=100))
    assert any(row["ref"] == "10" and row["name"] == symbol for row in found)
    assert {row["kind"] for row in found} == {"gene"}
    kinds = {row["kind"] for row in rows(pages.search(opened, "also called", limit=5))}
    assert kinds == {"gene"}
    name = contents.obs["cell_type"].iloc[0]
    assert any(row["kind"] == "category" for row in rows(pages.search(opened, name)))
    cell = contents.activations.cell_ids[3]
    assert rows(pages.search(opened, cell))[0]["name"] == cell


@pytest.mark.parametrize(
    "text", ['"', "*", "a OR b NOT", 'x" OR kind:gene', "()", "", " ", "'; DROP TABLE cells", "-", "NEAR("]
)
def test_search_takes_any_text(opened, text):
    assert isinstance(pages.search(opened, text)["kind"], list)
